"""Versioning where the region has it; a clear refusal where it has not; tags."""

import pytest
from botocore.exceptions import ClientError

from test_multipart import complete, upload
from test_objects import code
from testbed.payload import MIB, body
from testbed.signed import call

EMBEDDED = "the embedded region has no versioning"


@pytest.fixture
def versioned(target, s3, bucket) -> str:
    """A bucket with versioning enabled; on an embedded region, shows the refusal and ends the test there."""
    if target.kind == "embedded":
        with pytest.raises(ClientError) as raised:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        assert code(raised) == (501, "NotImplemented")
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
        pytest.skip(EMBEDDED)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    return bucket


def test_versioning_is_off_at_first_and_enabled_or_not_implemented(target, s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    try:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    except ClientError as error:
        assert target.kind == "embedded" and error.response["Error"]["Code"] == "NotImplemented"
    else:
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_versions_are_kept_and_read_by_id_with_plaintext_sizes(s3, versioned):
    datas = [body(size, size) for size in (10, 2 * MIB, 0)]
    ids = [s3.put_object(Bucket=versioned, Key="object", Body=data)["VersionId"] for data in datas]
    assert len(set(ids)) == 3
    for version, data in zip(ids, datas, strict=True):
        got = s3.get_object(Bucket=versioned, Key="object", VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (data, version)
        assert s3.head_object(Bucket=versioned, Key="object", VersionId=version)["ContentLength"] == len(data)
    assert s3.get_object(Bucket=versioned, Key="object")["Body"].read() == datas[-1]
    rows = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [(r["VersionId"], r["Size"], r["IsLatest"]) for r in rows] == [
        (ids[2], 0, True), (ids[1], 2 * MIB, False), (ids[0], 10, False),
    ]  # fmt: skip


def test_delete_makes_a_marker_and_deleting_the_marker_restores(s3, versioned):
    version = s3.put_object(Bucket=versioned, Key="object", Body=b"kept")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="object")
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=versioned, Key="object")
    assert code(raised) == (404, "NoSuchKey")
    assert s3.get_object(Bucket=versioned, Key="object", VersionId=version)["Body"].read() == b"kept"
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    listed = s3.list_object_versions(Bucket=versioned)
    assert [m["VersionId"] for m in listed["DeleteMarkers"]] == [marker["VersionId"]]
    s3.delete_object(Bucket=versioned, Key="object", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=versioned, Key="object")["Body"].read() == b"kept"


def test_delete_of_a_version_removes_it_for_good(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="object", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="object", Body=b"2")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="object", VersionId=second)
    assert s3.get_object(Bucket=versioned, Key="object")["Body"].read() == b"1"
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=versioned, Key="object", VersionId=second)
    assert code(raised) == (404, "NoSuchVersion")
    s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "object", "VersionId": first}]})
    assert "Versions" not in s3.list_object_versions(Bucket=versioned)


def test_copy_of_an_old_version_brings_it_back(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="object", Body=b"old", Metadata={"v": "1"})["VersionId"]
    s3.put_object(Bucket=versioned, Key="object", Body=b"new", Metadata={"v": "2"})
    source = {"Bucket": versioned, "Key": "object", "VersionId": old}
    s3.copy_object(Bucket=versioned, Key="object", CopySource=source)
    got = s3.get_object(Bucket=versioned, Key="object")
    assert (got["Body"].read(), got["Metadata"]) == (b"old", {"v": "1"})


def test_version_list_pages_by_markers(s3, versioned):
    for number in range(7):
        s3.put_object(Bucket=versioned, Key=f"k{number % 2}", Body=b"%d" % number)
    seen, markers = [], {}
    while True:
        page = s3.list_object_versions(Bucket=versioned, MaxKeys=2, **markers)
        seen += [(v["Key"], v["VersionId"]) for v in page.get("Versions", [])]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert len(seen) == len(set(seen)) == 7
    assert [key for key, _ in seen] == ["k0"] * 4 + ["k1"] * 3


TAGS = [{"Key": "team", "Value": "one"}, {"Key": "space and +", "Value": "a/b=c:d@e"}]


def test_tags_are_put_read_replaced_and_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == []
    s3.put_object_tagging(Bucket=bucket, Key="object", Tagging={"TagSet": TAGS})
    got = s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"]
    assert sorted(got, key=str) == sorted(TAGS, key=str)
    assert s3.get_object(Bucket=bucket, Key="object")["TagCount"] == 2
    s3.put_object_tagging(Bucket=bucket, Key="object", Tagging={"TagSet": TAGS[:1]})
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == TAGS[:1]
    s3.delete_object_tagging(Bucket=bucket, Key="object")
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == []
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"x"


def test_tags_are_counted_and_in_one_order(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Tagging="foo=bar&bar")
    tags = [{"Key": "bar", "Value": ""}, {"Key": "foo", "Value": "bar"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == tags
    for method in ("GET", "HEAD"):
        assert call(target, method, bucket, "object").headers["x-amz-tagging-count"] == "2"
    s3.delete_object_tagging(Bucket=bucket, Key="object")
    assert "x-amz-tagging-count" not in call(target, "HEAD", bucket, "object").headers


def test_tags_change_leaves_body_and_metadata(s3, bucket):
    metadata = {"m": "x" * 2047}
    s3.put_object(Bucket=bucket, Key="object", Body=body(MIB), Metadata=metadata)
    s3.put_object_tagging(Bucket=bucket, Key="object", Tagging={"TagSet": TAGS})
    got = s3.get_object(Bucket=bucket, Key="object")
    assert (got["Body"].read(), got["Metadata"]) == (body(MIB), metadata)


def test_tags_of_a_multipart_upload_are_kept(s3, bucket):
    _, upload_id, parts = upload(s3, bucket, "object", [100], Tagging="team=one")
    complete(s3, bucket, "object", upload_id, parts)
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == TAGS[:1]


@pytest.mark.parametrize(
    "tags",
    (
        [{"Key": f"k{i}", "Value": "v"} for i in range(11)],
        [{"Key": "k" * 129, "Value": "v"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}],
    ),
    ids=("eleven", "long key", "long value", "twice"),
)
@pytest.mark.beyond_seaweedfs("takes a tag twice")
def test_tags_outside_s3s_limits_are_refused(s3, bucket, tags):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    with pytest.raises(ClientError) as raised:
        s3.put_object_tagging(Bucket=bucket, Key="object", Tagging={"TagSet": tags})
    assert code(raised) == (400, "BadRequest" if len(tags) > 10 else "InvalidTag")
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == []


def test_tags_of_a_missing_object_are_no_such_key(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.get_object_tagging(Bucket=bucket, Key="missing")
    assert code(raised) == (404, "NoSuchKey")


def test_delete_bucket_whose_last_trace_is_a_null_marker_succeeds(s3, versioned):
    s3.put_object(Bucket=versioned, Key="object", Body=b"1")
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=versioned, Key="object", Body=b"2")
    s3.delete_object(Bucket=versioned, Key="object")
    page = s3.list_object_versions(Bucket=versioned)
    for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
        s3.delete_object(Bucket=versioned, Key="object", VersionId=entry["VersionId"])
    assert s3.delete_bucket(Bucket=versioned)["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.beyond_seaweedfs("deletes the versions too unless told otherwise")
def test_delete_bucket_with_only_old_versions_is_bucket_not_empty(s3, versioned):
    version = s3.put_object(Bucket=versioned, Key="object", Body=b"kept")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="object")
    with pytest.raises(ClientError) as raised:
        s3.delete_bucket(Bucket=versioned)
    assert code(raised) == (409, "BucketNotEmpty")
    assert s3.get_object(Bucket=versioned, Key="object", VersionId=version)["Body"].read() == b"kept"
