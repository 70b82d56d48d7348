"""PUT, GET, HEAD and DELETE of whole objects and of ranges, as boto3 sends them."""

import io

import pytest
from botocore.exceptions import ClientError

from testbed.payload import MIB, body
from testbed.signed import call, connect, path_of, send, sign

SEGMENT = 16 * 1024
SIZES = (0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, MIB - 1, MIB, MIB + 1, 5 * MIB, 5 * MIB + 7)


def code(raised) -> tuple[int, str]:
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("size", SIZES)
def test_put_any_size_reads_back_with_its_plaintext_length(s3, bucket, size):
    data = body(size)
    s3.put_object(Bucket=bucket, Key="object", Body=data)
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["ContentLength"] == size
    assert got["Body"].read() == data
    assert s3.head_object(Bucket=bucket, Key="object")["ContentLength"] == size
    assert [o["Size"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [size]


def test_put_over_an_object_reads_back_the_newer(s3, bucket):
    for data in (body(3 * MIB, "old"), body(100, "new"), b""):
        s3.put_object(Bucket=bucket, Key="object", Body=data)
        assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


def test_put_signed_payload_reads_back(target, bucket):
    data = body(70_000)
    answer = call(target, "PUT", bucket, "object", body=data)
    assert answer.status == 200, answer.body
    assert call(target, "GET", bucket, "object").body == data


@pytest.mark.beyond_seaweedfs("does not verify the hash")
def test_put_signed_payload_with_another_hash_is_refused_and_not_stored(target, bucket):
    wrong = {"X-Amz-Content-SHA256": "0" * 64}
    answer = call(target, "PUT", bucket, "object", headers=wrong, body=body(70_000))
    assert (answer.status, answer.error()[0]) == (400, "XAmzContentSHA256Mismatch")
    assert call(target, "HEAD", bucket, "object").status == 404


def test_put_unsigned_payload_reads_back(target, bucket):
    data = body(2 * MIB)
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert call(target, "PUT", bucket, "object", headers=headers, body=data).status == 200
    assert call(target, "GET", bucket, "object").body == data


@pytest.mark.lethe_only("an ETag of ciphertext")
def test_etag_is_the_same_in_every_answer_and_no_md5(s3, bucket):
    data = body(1000)
    etag = s3.put_object(Bucket=bucket, Key="object", Body=data)["ETag"]
    assert etag.startswith('"') and etag.endswith('-1"')
    assert s3.get_object(Bucket=bucket, Key="object")["ETag"] == etag
    assert s3.head_object(Bucket=bucket, Key="object")["ETag"] == etag
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == etag
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["ETag"] == etag
    other = s3.put_object(Bucket=bucket, Key="other", Body=data)["ETag"]
    assert other != etag, "equal plaintexts must not show by their ETags"


RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=0-99": (0, 100),
    "bytes=16383-16384": (16383, 16385),
    "bytes=16384-32767": (16384, 32768),
    "bytes=100000-": (100_000, None),
    "bytes=-1": (-1, None),
    "bytes=-16385": (-16385, None),
    "bytes=-99999999": (0, None),
    "bytes=199999-99999999": (199_999, None),
}


@pytest.mark.parametrize("header", RANGES)
def test_get_range_gives_exactly_those_bytes(s3, bucket, header):
    data = body(200_000)
    s3.put_object(Bucket=bucket, Key="object", Body=data)
    first, end = RANGES[header]
    expected = data[first:end]
    got = s3.get_object(Bucket=bucket, Key="object", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == expected
    start = first if first >= 0 else len(data) + first
    assert got["ContentRange"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"


@pytest.mark.beyond_seaweedfs("ignores the range of a HEAD")
def test_head_range_answers_as_get_would(target, bucket):
    call(target, "PUT", bucket, "object", body=body(200_000))
    answer = call(target, "HEAD", bucket, "object", headers={"Range": "bytes=5-16400"})
    assert (answer.status, answer.headers["content-length"]) == (206, "16396")
    assert answer.headers["content-range"] == "bytes 5-16400/200000"


@pytest.mark.parametrize("header", ("bytes=200000-", "bytes=200000-200001", "bytes=-0"))
def test_get_range_past_the_end_is_416(s3, bucket, header):
    s3.put_object(Bucket=bucket, Key="object", Body=body(200_000))
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="object", Range=header)
    assert code(raised) == (416, "InvalidRange")


@pytest.mark.beyond_seaweedfs("answers 416 to some")
@pytest.mark.parametrize("header", ("bytes=9-2", "bytes=a-b", "lines=0-3", "bytes=0-1,5-6"))
def test_get_malformed_or_multiple_ranges_are_ignored(target, bucket, header):
    data = body(1000)
    call(target, "PUT", bucket, "object", body=data)
    answer = call(target, "GET", bucket, "object", headers={"Range": header})
    assert (answer.status, answer.body) == (200, data)


def test_get_range_of_an_empty_object_is_416(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="object", Range="bytes=0-0")
    assert code(raised) == (416, "InvalidRange")


SYSTEM = {
    "ContentType": "text/x-lethe; charset=utf-8",
    "ContentDisposition": 'attachment; filename="räksmörgås.txt"'.encode().decode("latin-1"),
    "ContentEncoding": "identity",
    "ContentLanguage": "de-DE",
    "CacheControl": "private, max-age=77",
}


def test_put_system_headers_come_back(s3, bucket):
    system = SYSTEM | {"ContentDisposition": 'attachment; filename="a b.txt"'}
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", **system)
    for answer in (s3.get_object(Bucket=bucket, Key="object"), s3.head_object(Bucket=bucket, Key="object")):
        assert {name: answer.get(name) for name in system} == system


def test_put_expires_comes_back_as_text(target, bucket):
    expires = "Wed, 21 Oct 2026 07:28:00 GMT"
    call(target, "PUT", bucket, "object", headers={"Expires": expires}, body=b"x")
    assert call(target, "HEAD", bucket, "object").headers["expires"] == expires


@pytest.mark.beyond_seaweedfs("guesses a type")
def test_put_without_a_content_type_reads_back_as_octet_stream(target, bucket):
    call(target, "PUT", bucket, "object", body=b"x")
    answer = call(target, "HEAD", bucket, "object")
    assert answer.headers["content-type"] in ("binary/octet-stream", "application/octet-stream")


def test_put_user_metadata_comes_back_in_lower_case(s3, bucket):
    metadata = {"colour": "blue", "a-b_c.d": "spaces inside kept", "punctuation": "a,b;c=d\"e'<&>"}
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata | {"UPPER": "Value"})
    expected = metadata | {"upper": "Value"}
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == expected
    assert s3.get_object(Bucket=bucket, Key="object")["Metadata"] == expected


@pytest.mark.beyond_seaweedfs("drops empty values")
def test_put_user_metadata_with_an_empty_value_comes_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata={"empty": "", "full": "x"})
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == {"empty": "", "full": "x"}


def metadata_of(size: int) -> dict[str, str]:
    """User metadata whose names and values have exactly `size` bytes, in several headers."""
    metadata = {f"name-{i}": "v" * 100 for i in range(10)}
    used = sum(len(k) + len(v) for k, v in metadata.items())
    metadata["rest"] = "r" * (size - used - len("rest"))
    return metadata


def test_put_metadata_of_2048_bytes_is_kept(s3, bucket):
    metadata = metadata_of(2048)
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == metadata


def test_put_metadata_of_2048_bytes_and_long_system_headers_are_kept(s3, bucket):
    metadata = metadata_of(2048)
    system = SYSTEM | {"ContentDisposition": "attachment; filename=" + "f" * 120}
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata, **system)
    head = s3.head_object(Bucket=bucket, Key="object")
    assert head["Metadata"] == metadata
    assert {name: head.get(name) for name in system} == system


def test_put_metadata_of_2048_bytes_in_one_value_is_kept(s3, bucket):
    metadata = {"m": "x" * 2047}
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == metadata


@pytest.mark.beyond_seaweedfs("has no such limit")
@pytest.mark.parametrize("size", (2049, 4000))
def test_put_metadata_over_2048_bytes_is_metadata_too_large(s3, bucket, size):
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata_of(size))
    assert code(raised) == (400, "MetadataTooLarge")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")


@pytest.mark.beyond_seaweedfs("has no such limit")
def test_multipart_metadata_over_2048_bytes_is_metadata_too_large(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.create_multipart_upload(Bucket=bucket, Key="object", Metadata=metadata_of(2049))
    assert code(raised) == (400, "MetadataTooLarge")


def test_get_response_overrides_replace_the_stored_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", ContentType="text/plain", CacheControl="no-store")
    got = s3.get_object(
        Bucket=bucket, Key="object", ResponseContentType="application/x-other",
        ResponseContentDisposition="attachment; filename=other", ResponseCacheControl="max-age=1",
        ResponseContentLanguage="fr", ResponseContentEncoding="identity",
    )  # fmt: skip
    assert got["ContentType"] == "application/x-other"
    assert got["ContentDisposition"] == "attachment; filename=other"
    assert got["CacheControl"] == "max-age=1"
    assert got["ContentLanguage"] == "fr"
    assert s3.head_object(Bucket=bucket, Key="object")["ContentType"] == "text/plain"


def test_get_missing_key_is_no_such_key(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="missing")
    assert code(raised) == (404, "NoSuchKey")
    with pytest.raises(ClientError) as raised:
        s3.head_object(Bucket=bucket, Key="missing")
    assert code(raised) == (404, "404")


def test_delete_missing_key_succeeds(s3, bucket):
    assert s3.delete_object(Bucket=bucket, Key="missing")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_object_makes_it_gone(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="object")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="object")
    assert code(raised) == (404, "NoSuchKey")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_delete_objects_answers_for_every_key(s3, bucket):
    names = [f"k{i}" for i in range(20)]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": n} for n in names[:15]] + [{"Key": "never"}]})
    assert sorted(d["Key"] for d in gone["Deleted"]) == sorted(names[:15] + ["never"])
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(names[15:])


def test_delete_objects_quiet_answers_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}], "Quiet": True})
    assert "Deleted" not in gone and "Errors" not in gone


@pytest.mark.beyond_seaweedfs("answers InvalidArgument")
def test_delete_objects_over_1000_is_malformed(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{i}"} for i in range(1001)]})
    assert code(raised) == (400, "MalformedXML")


def test_every_answer_has_a_request_id(target, bucket):
    good, bad = call(target, "PUT", bucket, "object", body=b"x"), call(target, "GET", bucket, "missing")
    assert good.headers["x-amz-request-id"] and bad.headers["x-amz-request-id"]
    assert good.headers["x-amz-request-id"] != bad.headers["x-amz-request-id"]


@pytest.mark.beyond_seaweedfs("has its own key management")
def test_encryption_headers_are_accepted_and_answered(s3, bucket):
    answer = s3.put_object(Bucket=bucket, Key="object", Body=b"x", ServerSideEncryption="AES256")
    assert answer["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"x"


@pytest.mark.beyond_seaweedfs("has its own key management")
def test_kms_encryption_header_is_accepted(s3, bucket):
    answer = s3.put_object(Bucket=bucket, Key="object", Body=b"x", ServerSideEncryption="aws:kms")
    assert answer["ServerSideEncryption"] == "aws:kms"


@pytest.mark.beyond_seaweedfs("has its own key management")
def test_encryption_headers_that_make_no_sense_are_invalid(target, s3, bucket):
    kms_key = {"x-amz-server-side-encryption-aws-kms-key-id": "key"}
    for headers in (kms_key, kms_key | {"x-amz-server-side-encryption": "AES256"}):
        answer = call(target, "PUT", bucket, "object", headers=headers, body=b"x")
        assert (answer.status, answer.error()[0]) == (400, "InvalidArgument")
    assert call(target, "HEAD", bucket, "object").status == 404
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    for method in ("GET", "HEAD"):
        assert call(target, method, bucket, "object", headers={"x-amz-server-side-encryption": "aws:kms"}).status == 400


def test_upload_and_download_file_objects_by_boto3_transfer(s3, bucket):
    data = body(20 * MIB + 3)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big")
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back)
    assert back.getvalue() == data


def test_get_object_attributes_names_what_is_asked_for_and_the_etag_without_quotes(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="object", Body=body(12345), ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "ObjectSize", "StorageClass", "Checksum", "ObjectParts"]
    got = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=wanted)
    assert got["ObjectSize"] == 12345
    assert got["ETag"] == put["ETag"].strip('"')
    assert got["StorageClass"] == "STANDARD"
    assert got["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert "ObjectParts" not in got
    got = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["ObjectSize"])
    assert set(got) == {"ObjectSize", "LastModified", "ResponseMetadata"}


@pytest.mark.beyond_seaweedfs("takes any name")
@pytest.mark.parametrize(
    ("names", "refused"), ((None, "InvalidRequest"), (",", "InvalidRequest"), ("ETag,Size", "InvalidArgument"))
)
def test_get_object_attributes_of_no_or_unknown_names_is_refused(target, s3, bucket, names, refused):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    headers = {} if names is None else {"x-amz-object-attributes": names}
    answer = call(target, "GET", bucket, "object", query={"attributes": ""}, headers=headers)
    assert (answer.status, answer.error()[0]) == (400, refused)


def test_headers_that_are_not_ascii_or_no_date_come_back_as_they_were(target, bucket):
    disposition = 'attachment; filename="\u00e9.txt"'
    headers = {"Content-Disposition": disposition, "Expires": "junk", "Cache-Control": "no-cache"}
    request_target, signed = sign(target, "PUT", path_of(bucket, "object"), headers={"Expires": "junk"}, body=b"x")
    sent = signed | {name: value.encode() for name, value in headers.items()}
    assert send(target, "PUT", request_target, sent, b"x").status == 200
    got = call(target, "HEAD", bucket, "object")
    assert got.headers["content-disposition"].encode("latin-1").decode() == disposition
    assert (got.headers["expires"], got.headers["cache-control"]) == ("junk", "no-cache")


def test_metadata_sent_twice_is_joined_with_a_comma(target, s3, bucket):
    connection = connect(target)
    headers = {"x-amz-meta-a": "1,2"}
    request_target, signed = sign(target, "PUT", path_of(bucket, "object"), headers=headers, body=b"x")
    del signed["x-amz-meta-a"]
    connection.putrequest("PUT", request_target, skip_accept_encoding=True, skip_host=True)
    host, port = target.address
    for name, value in [("Host", f"{host}:{port}"), ("Content-Length", "1"), *signed.items()]:
        connection.putheader(name, value)
    for value in ("1", "2"):
        connection.putheader("x-amz-meta-a", value)
    connection.endheaders(b"x")
    assert connection.getresponse().status == 200
    connection.close()
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == {"a": "1,2"}


def test_metadata_in_many_headers_is_kept_or_too_large(s3, bucket, monkeypatch):
    # Python's own bound on an answer's headers is 100.
    monkeypatch.setattr("http.client._MAXHEADERS", 1000)
    metadata = {f"k{n:03}": "v" for n in range(400)}
    fewer = dict(list(metadata.items())[:150])
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=fewer)
    assert s3.head_object(Bucket=bucket, Key="object")["Metadata"] == fewer
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=b"x", Metadata=metadata)
    assert code(raised) == (400, "MetadataTooLarge")


def test_get_with_an_override_that_is_no_date_gives_it_back(target, bucket):
    assert call(target, "PUT", bucket, "object", body=b"x").status == 200
    got = call(target, "GET", bucket, "object", query={"response-expires": "never"})
    assert (got.status, got.body, got.headers["expires"]) == (200, b"x", "never")


def test_session_token_beside_ones_own_key_is_invalid(target, bucket):
    answer = call(target, "PUT", bucket, "object", headers={"x-amz-security-token": "abc"}, body=b"x")
    assert (answer.status, answer.error()[0]) == (400, "InvalidToken")
    assert call(target, "HEAD", bucket, "object").status == 404


def test_announced_checksum_that_is_not_there_is_refused(target, bucket):
    headers = {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": "jNzOcw=="}
    answer = call(target, "PUT", bucket, "object", headers=headers, body=b"x")
    assert (answer.status, answer.error()[0]) == (400, "InvalidRequest")
    assert call(target, "HEAD", bucket, "object").status == 404


@pytest.mark.parametrize(
    "method,key,headers",
    (
        ("PUT", "kept", {"x-amz-write-offset-bytes": "4"}),
        ("DELETE", "kept", {"x-amz-mfa": "serial 123456"}),
        ("DELETE", "kept", {"x-amz-if-match-size": "4"}),
        ("PUT", "new", {"x-amz-copy-source": "{bucket}/kept", "x-amz-checksum-algorithm": "SHA256"}),
        ("PUT", "new", {"x-amz-website-redirect-location": "/elsewhere"}),
    ),
)
def test_request_for_what_lethe_has_not_is_not_implemented_and_changes_nothing(target, s3, bucket, method, key, headers):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    headers = {name: value.format(bucket=bucket) for name, value in headers.items()}
    answer = call(target, method, bucket, key, headers=headers)
    assert (answer.status, answer.error()[0]) == (501, "NotImplemented"), answer.body
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"


def test_storage_class_other_than_standard_is_invalid(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=b"x", StorageClass="GLACIER")
    assert code(raised) == (400, "InvalidStorageClass")
