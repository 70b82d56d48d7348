"""Object lock where the region has it, with retention and legal hold; a clear refusal where it has not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from conftest import empty, unique_name
from test_multipart import complete, upload
from test_objects import code
from test_post_forms import encode, post
from testbed.payload import MIB, body

FAR = datetime(2040, 1, 1, tzinfo=UTC)
GOVERNED = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}
WITH_HOLD = GOVERNED | {"ObjectLockLegalHoldStatus": "ON"}
DAY = {"Mode": "GOVERNANCE", "Days": 1}


def refused(action) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        action()
    return code(raised)


def configuration(**retention) -> dict:
    rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
    return {"ObjectLockEnabled": "Enabled"} | rule


def lock_of(head: dict) -> dict:
    return {name: value for name, value in head.items() if name.startswith("ObjectLock")}


def unlock(s3, bucket: str) -> None:
    """Lifts what can be lifted, and deletes what then can be deleted."""
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        at = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
        s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
        try:
            s3.delete_object(**at, BypassGovernanceRetention=True)
        except ClientError as error:
            # In compliance mode it stays until the whole store goes.
            assert error.response["Error"]["Code"] == "AccessDenied"


@pytest.fixture
def make_locked(target, s3):
    """Makes buckets with object lock; on an embedded region, shows the refusal and ends the test there."""
    made = []

    def make() -> str:
        name = unique_name("locked")
        if target.kind == "embedded":
            assert refused(lambda: s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)) == (
                501, "NotImplemented",
            )  # fmt: skip
            pytest.skip("the embedded region has no object lock")
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        made.append(name)
        return name

    yield make
    for name in made:
        unlock(s3, name)
        empty(s3, name)


@pytest.fixture
def locked(make_locked) -> str:
    return make_locked()


@pytest.mark.lethe_only("SeaweedFS has it")
def test_object_lock_on_a_region_without_it_is_not_implemented_and_changes_nothing(kind, s3, bucket):
    if kind != "embedded":
        pytest.skip("the region has object lock")
    name = unique_name("locked")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    at = {"Bucket": bucket, "Key": "kept"}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    for label, action in {
        "bucket": lambda: s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True),
        "put": lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", **GOVERNED),
        "hold": lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", ObjectLockLegalHoldStatus="ON"),
        "copy": lambda: s3.copy_object(Bucket=bucket, Key="new", CopySource=at, **GOVERNED),
        "upload": lambda: s3.create_multipart_upload(Bucket=bucket, Key="new", **GOVERNED),
        "get configuration": lambda: s3.get_object_lock_configuration(Bucket=bucket),
        "put configuration": lambda: s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration=configuration(**DAY)
        ),
        "get retention": lambda: s3.get_object_retention(**at),
        "put retention": lambda: s3.put_object_retention(**at, Retention=retention),
        "get hold": lambda: s3.get_object_legal_hold(**at),
        "put hold": lambda: s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"}),
    }.items():
        assert refused(action) == (501, "NotImplemented"), label
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_bucket_with_object_lock_is_versioned_for_good(s3, locked):
    found = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert found == configuration()
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    suspended = {"Status": "Suspended"}
    assert refused(lambda: s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration=suspended)) == (
        409, "InvalidBucketState",
    )  # fmt: skip
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_lock_configuration_is_kept_as_set_and_taken_back(s3, locked):
    for wanted in (configuration(**DAY), configuration(Mode="COMPLIANCE", Years=1), configuration()):
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
        assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == wanted


BAD_CONFIGURATIONS = {
    "days and years": (configuration(Mode="GOVERNANCE", Days=1, Years=1), "MalformedXML"),
    "neither": (configuration(Mode="GOVERNANCE"), "MalformedXML"),
    "no days": (configuration(Mode="GOVERNANCE", Days=0), "InvalidRetentionPeriod"),
    "years before": (configuration(Mode="GOVERNANCE", Years=-1), "InvalidRetentionPeriod"),
    "centuries": (configuration(Mode="GOVERNANCE", Years=101), "InvalidRetentionPeriod"),
    "small letters": (configuration(Mode="governance", Days=1), "MalformedXML"),
    "disabled": (configuration(**DAY) | {"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
}


def test_lock_configuration_that_can_not_be_is_refused(s3, locked):
    for label, (wanted, expected) in BAD_CONFIGURATIONS.items():
        answer = refused(lambda: s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted))  # noqa: B023
        assert answer == (400, expected), label
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration()


def test_lock_of_an_older_bucket_needs_versioning_and_stays(kind, s3, make_bucket):
    if kind == "embedded":
        pytest.skip("the embedded region has no object lock")
    bucket = make_bucket()
    put = lambda: s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration(**DAY))  # noqa: E731
    assert refused(lambda: s3.get_object_lock_configuration(Bucket=bucket)) == (
        404, "ObjectLockConfigurationNotFoundError",
    )  # fmt: skip
    assert refused(put) == (409, "InvalidBucketState")
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    for action in (
        lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", **GOVERNED),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="new", ObjectLockLegalHoldStatus="ON"),
        lambda: s3.get_object_retention(Bucket=bucket, Key="old"),
        lambda: s3.put_object_legal_hold(Bucket=bucket, Key="old", LegalHold={"Status": "ON"}),
    ):
        assert refused(action) == (400, "InvalidRequest")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["old"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put()
    s3.put_object(Bucket=bucket, Key="new", Body=b"new")
    assert s3.head_object(Bucket=bucket, Key="new")["ObjectLockMode"] == "GOVERNANCE"
    suspended = {"Status": "Suspended"}
    assert refused(lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended))[0] == 409
    unlock(s3, bucket)


def by_upload(*sizes):
    def write(s3, bucket, key, **lock) -> tuple[bytes, str]:
        data, upload_id, parts = upload(s3, bucket, key, sizes, **lock)
        return data, complete(s3, bucket, key, upload_id, parts)["VersionId"]

    return write


def by_put(size):
    def write(s3, bucket, key, **lock) -> tuple[bytes, str]:
        data = body(size)
        return data, s3.put_object(Bucket=bucket, Key=key, Body=data, **lock)["VersionId"]

    return write


def by_copy(size, onto_itself=False):
    def write(s3, bucket, key, **lock) -> tuple[bytes, str]:
        data, source = body(size), key if onto_itself else f"{key}-source"
        s3.put_object(Bucket=bucket, Key=source, Body=data)
        copied = s3.copy_object(
            Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": source},
            MetadataDirective="REPLACE", Metadata={"copied": "yes"}, **lock,
        )  # fmt: skip
        return data, copied["VersionId"]

    return write


WAYS = {
    "empty put": by_put(0),
    "buffered put": by_put(1000),
    "streamed put": by_put(3 * MIB + 17),
    "copy": by_copy(2000),
    "copy of a streamed one": by_copy(2 * MIB),
    "copy onto itself": by_copy(2000, onto_itself=True),
    "spooled upload": by_upload(1234),
    "upload": by_upload(5 * MIB, 77),
    "upload of whole parts": by_upload(5 * MIB, 5 * MIB),
}


def kept_upstream(target, key: str) -> list[dict]:
    """Every version upstream of a key, whatever its bucket, with its lock."""
    if target.store is None or target.kind == "direct":
        return []
    store = target.store.client()
    found = []
    for name in (b["Name"] for b in store.list_buckets()["Buckets"]):
        for version in store.list_object_versions(Bucket=name, Prefix=key).get("Versions", []):
            if version["Key"] == key:
                head = store.head_object(Bucket=name, Key=key, VersionId=version["VersionId"])
                found.append(lock_of(head) | {"VersionId": version["VersionId"]})
    return found


@pytest.mark.beyond_seaweedfs("copies its source's lock")
@pytest.mark.parametrize("way", WAYS)
def test_object_has_the_lock_that_it_was_written_with(target, s3, locked, way):
    key = unique_name("object")
    data, version = WAYS[way](s3, locked, key, **WITH_HOLD)
    expected = WITH_HOLD
    for read in (s3.head_object, s3.get_object):
        assert lock_of(read(Bucket=locked, Key=key, VersionId=version)) == expected
    assert s3.get_object(Bucket=locked, Key=key)["Body"].read() == data
    at = {"Bucket": locked, "Key": key, "VersionId": version}
    assert s3.get_object_retention(**at)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    assert refused(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) == (403, "AccessDenied")
    # The store has no other version of what was written, without its lock; the source of a copy onto itself is one.
    others = [found for found in kept_upstream(target, key) if found["VersionId"] != version]
    assert len(others) == (way == "copy onto itself")


@pytest.mark.beyond_seaweedfs("copies its source's lock")
@pytest.mark.parametrize("way", WAYS)
def test_object_that_asks_for_nothing_has_the_buckets_default(s3, locked, way):
    before = datetime.now(UTC)
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration(**DAY))
    data, version = WAYS[way](s3, locked, "object")
    head = s3.head_object(Bucket=locked, Key="object", VersionId=version)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    # A minute for clocks and for what keeps whole seconds.
    assert before + timedelta(days=1, minutes=-1) < head["ObjectLockRetainUntilDate"]
    assert head["ObjectLockRetainUntilDate"] < datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert s3.get_object(Bucket=locked, Key="object")["Body"].read() == data
    at = {"Bucket": locked, "Key": "object", "VersionId": version}
    assert refused(lambda: s3.delete_object(**at)) == (403, "AccessDenied")


@pytest.mark.beyond_seaweedfs("copies its source's lock")
def test_copy_has_no_lock_of_its_source(s3, make_locked, make_bucket):
    locked, other = make_locked(), make_locked()
    plain = make_bucket()
    s3.put_object(Bucket=locked, Key="source", Body=b"data", **WITH_HOLD)
    for bucket in (locked, other, plain):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": locked, "Key": "source"})
        head = s3.head_object(Bucket=bucket, Key="copy")
        assert not {"ObjectLockMode", "ObjectLockRetainUntilDate"} & set(lock_of(head))
        assert head.get("ObjectLockLegalHoldStatus", "OFF") == "OFF"
        assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"data"


def unlocked_upstream(target) -> set:
    """Everything that the store holds in buckets without object lock: Lethe's spool is one."""
    store, found = target.store.client(), set()
    for name in (b["Name"] for b in store.list_buckets()["Buckets"]):
        try:
            store.get_object_lock_configuration(Bucket=name)
        except ClientError:
            found |= {(name, o["Key"]) for o in store.list_objects_v2(Bucket=name).get("Contents", [])}
    return found


@pytest.mark.lethe_only("looks for what it spools")
def test_uploads_in_a_bucket_with_default_retention_are_aborted_and_superseded(target, s3, locked):
    compliance = configuration(Mode="COMPLIANCE", Days=1)
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=compliance)
    key = unique_name("object")
    _, aborted, _ = upload(s3, locked, key, [5 * MIB, 10])
    s3.abort_multipart_upload(Bucket=locked, Key=key, UploadId=aborted)
    before = unlocked_upstream(target)
    _, again, _ = upload(s3, locked, key, [1000])
    data = body(2000)
    part = s3.upload_part(Bucket=locked, Key=key, UploadId=again, PartNumber=1, Body=data)
    assert unlocked_upstream(target) - before, "small parts are spooled, where no default retention reaches them"
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    version = complete(s3, locked, key, again, parts)["VersionId"]
    assert s3.get_object(Bucket=locked, Key=key)["Body"].read() == data
    listed = s3.list_object_versions(Bucket=locked)["Versions"]
    assert [(v["Key"], v["VersionId"]) for v in listed] == [(key, version)]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=locked)
    assert not unlocked_upstream(target) - before


def test_retention_is_extended_and_weakened_only_by_bypassing_governance(s3, locked):
    version = s3.put_object(Bucket=locked, Key="object", Body=b"x", **GOVERNED)["VersionId"]
    at = {"Bucket": locked, "Key": "object", "VersionId": version}

    def put(mode="GOVERNANCE", days=0, **more):
        retention = {"Mode": mode, "RetainUntilDate": FAR + timedelta(days=days)}
        return s3.put_object_retention(**at, Retention=retention, **more)

    put(days=2)
    assert s3.get_object_retention(**at)["Retention"]["RetainUntilDate"] == FAR + timedelta(days=2)
    assert refused(lambda: put(days=1)) == (403, "AccessDenied")
    assert refused(lambda: put(mode="COMPLIANCE", days=2)) == (403, "AccessDenied")
    assert s3.get_object_retention(**at)["Retention"]["RetainUntilDate"] == FAR + timedelta(days=2)
    put(days=1, BypassGovernanceRetention=True)
    assert s3.get_object_retention(**at)["Retention"]["RetainUntilDate"] == FAR + timedelta(days=1)
    assert refused(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    s3.delete_object(**at, BypassGovernanceRetention=True)
    assert refused(lambda: s3.head_object(**at))[0] == 404


def test_compliance_can_be_neither_shortened_nor_lifted_nor_bypassed(s3, locked):
    compliance = {"Mode": "COMPLIANCE", "RetainUntilDate": FAR}
    version = s3.put_object(Bucket=locked, Key="object", Body=b"x")["VersionId"]
    at = {"Bucket": locked, "Key": "object", "VersionId": version}
    s3.put_object_retention(**at, Retention=compliance)
    for weaker in (
        compliance | {"RetainUntilDate": FAR - timedelta(seconds=1)},
        compliance | {"Mode": "GOVERNANCE"},
        {},
    ):
        for more in ({}, {"BypassGovernanceRetention": True}):
            answer = refused(lambda: s3.put_object_retention(**at, Retention=weaker, **more))  # noqa: B023
            assert answer in ((403, "AccessDenied"), (400, "InvalidRequest")), (weaker, more)
    longer = compliance | {"RetainUntilDate": FAR + timedelta(days=1)}
    s3.put_object_retention(**at, Retention=longer)
    assert s3.get_object_retention(**at)["Retention"] == longer
    assert refused(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) == (403, "AccessDenied")
    assert s3.get_object(**at)["Body"].read() == b"x"


def test_versions_have_locks_of_their_own(s3, locked):
    first, second = (s3.put_object(Bucket=locked, Key="object", Body=b"%d" % n)["VersionId"] for n in (1, 2))
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    s3.put_object_retention(Bucket=locked, Key="object", VersionId=first, Retention=retention)
    s3.put_object_legal_hold(Bucket=locked, Key="object", LegalHold={"Status": "ON"})
    found = s3.get_object_retention(Bucket=locked, Key="object", VersionId=first)["Retention"]
    assert found == retention
    for action in (
        lambda: s3.get_object_retention(Bucket=locked, Key="object"),
        lambda: s3.get_object_legal_hold(Bucket=locked, Key="object", VersionId=first),
    ):
        assert refused(action)[0] == 404
    assert s3.get_object_legal_hold(Bucket=locked, Key="object", VersionId=second)["LegalHold"] == {"Status": "ON"}


@pytest.mark.beyond_seaweedfs("has codes of its own")
def test_lock_that_is_not_there_has_s3s_code(s3, locked):
    s3.put_object(Bucket=locked, Key="object", Body=b"x")
    for read in (s3.get_object_retention, s3.get_object_legal_hold):
        assert refused(lambda: read(Bucket=locked, Key="object")) == (404, "NoSuchObjectLockConfiguration")  # noqa: B023
        assert refused(lambda: read(Bucket=locked, Key="none")) == (404, "NoSuchKey")  # noqa: B023


def test_legal_hold_keeps_a_version_until_it_is_lifted(s3, locked):
    version = s3.put_object(Bucket=locked, Key="object", Body=b"x")["VersionId"]
    at = {"Bucket": locked, "Key": "object", "VersionId": version}
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert refused(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) == (403, "AccessDenied")
    assert refused(lambda: s3.put_object_legal_hold(**at, LegalHold={"Status": "abc"})) == (400, "MalformedXML")
    marker = s3.delete_object(Bucket=locked, Key="object")
    assert marker["DeleteMarker"], "a delete without a version is a marker, and needs no lifting"
    assert refused(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    s3.delete_object(Bucket=locked, Key="object", VersionId=marker["VersionId"])
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    s3.delete_object(**at)


def test_delete_list_tells_what_is_kept_and_bypasses_when_asked(s3, locked):
    versions = {
        key: s3.put_object(Bucket=locked, Key=key, Body=b"x", **lock)["VersionId"]
        for key, lock in {"kept": GOVERNED, "free": {}}.items()
    }
    objects = [{"Key": key, "VersionId": version} for key, version in versions.items()]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["free"]
    assert [(e["Key"], e["VersionId"], e["Code"]) for e in answer["Errors"]] == [
        ("kept", versions["kept"], "AccessDenied")
    ]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects[:1]}, BypassGovernanceRetention=True)
    assert "Errors" not in answer and answer["Deleted"][0]["VersionId"] == versions["kept"]


PAST = datetime(2020, 1, 1, tzinfo=UTC)
BAD_HEADERS = {
    "past": GOVERNED | {"ObjectLockRetainUntilDate": PAST},
    "mode alone": {"ObjectLockMode": "GOVERNANCE"},
    "date alone": {"ObjectLockRetainUntilDate": FAR},
    "unknown mode": GOVERNED | {"ObjectLockMode": "compliance"},
    "unknown hold": {"ObjectLockLegalHoldStatus": "on"},
}


@pytest.mark.beyond_seaweedfs("has codes of its own")
def test_lock_headers_that_can_not_be_are_refused_and_nothing_is_stored(s3, locked):
    source = {"Bucket": locked, "Key": "source"}
    s3.put_object(Bucket=locked, Key="source", Body=b"x")
    for label, lock in BAD_HEADERS.items():
        for action in (
            lambda: s3.put_object(Bucket=locked, Key="object", Body=b"x", **lock),  # noqa: B023
            lambda: s3.create_multipart_upload(Bucket=locked, Key="object", **lock),  # noqa: B023
            lambda: s3.copy_object(Bucket=locked, Key="object", CopySource=source, **lock),  # noqa: B023
        ):
            assert refused(action) == (400, "InvalidArgument"), label
    assert [v["Key"] for v in s3.list_object_versions(Bucket=locked)["Versions"]] == ["source"]


@pytest.mark.beyond_seaweedfs("answers InvalidRequest")
def test_retention_document_that_can_not_be_is_refused(s3, locked):
    s3.put_object(Bucket=locked, Key="object", Body=b"x")
    for retention, expected in (
        ({"Mode": "GOVERNANCE", "RetainUntilDate": PAST}, "InvalidArgument"),
        ({"Mode": "abc", "RetainUntilDate": FAR}, "MalformedXML"),
        ({"Mode": "governance", "RetainUntilDate": FAR}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
    ):
        answer = refused(lambda: s3.put_object_retention(Bucket=locked, Key="object", Retention=retention))  # noqa: B023
        assert answer == (400, expected), retention
    assert refused(lambda: s3.get_object_retention(Bucket=locked, Key="object"))[0] == 404


def test_date_with_an_offset_is_the_time_that_it_means(s3, locked):
    until = datetime(2040, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))

    def with_offset(params, **_):
        params["headers"]["x-amz-object-lock-retain-until-date"] = until.isoformat()

    s3.meta.events.register("before-call.s3.PutObject", with_offset)
    try:
        s3.put_object(Bucket=locked, Key="object", Body=b"x", **GOVERNED)
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", with_offset)
    assert s3.head_object(Bucket=locked, Key="object")["ObjectLockRetainUntilDate"] == FAR


def test_bucket_that_holds_locked_versions_is_not_deleted(s3, locked):
    s3.put_object(Bucket=locked, Key="object", Body=b"x", **GOVERNED)
    s3.delete_object(Bucket=locked, Key="object")
    assert refused(lambda: s3.delete_bucket(Bucket=locked)) == (409, "BucketNotEmpty")
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration()


def test_folder_marker_is_held_like_any_object(s3, locked):
    """Such a key has another name in the store: a lock put on the wrong one would hold nothing."""
    version = s3.put_object(Bucket=locked, Key="folder/", Body=b"")["VersionId"]
    at = {"Bucket": locked, "Key": "folder/", "VersionId": version}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    s3.put_object_retention(**at, Retention=retention)
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert s3.get_object_retention(**at)["Retention"] == retention
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    head = s3.head_object(**at)
    assert (head["ObjectLockMode"], head["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert refused(lambda: s3.delete_object(**at))[1] == "AccessDenied"
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    s3.delete_object(**at, BypassGovernanceRetention=True)


@pytest.mark.beyond_seaweedfs("stores a form without its lock")
@pytest.mark.parametrize("size", (10, 9 * MIB))
def test_form_locks_the_object_that_it_makes(target, s3, locked, bucket, size):
    fields = {
        "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": FAR.isoformat(),
        "x-amz-object-lock-legal-hold": "ON",
    }  # fmt: skip
    conditions = [{name: value} for name, value in fields.items()]

    def send_to(name: str, length: int, covered: bool = True) -> int:
        made = s3.generate_presigned_post(name, "posted", Fields=dict(fields), Conditions=conditions if covered else [])
        return post(target, name, encode(list(made["fields"].items()), body(length))).status

    # Refused before the file is read: a long one would not be taken to its end.
    assert send_to(locked, 100, covered=False) == 403
    assert send_to(bucket, 100) == 400
    assert send_to(locked, size) == 204
    assert lock_of(s3.head_object(Bucket=locked, Key="posted")) == WITH_HOLD
