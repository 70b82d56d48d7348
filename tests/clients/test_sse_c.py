"""Customer-provided keys (SSE-C): every operation that takes them, and nothing of an object without its key."""

import base64
import filecmp
import hashlib
import io
import itertools
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from conftest import unique_name
from test_cli_clients import Commands
from test_objects import code
from test_post_forms import encode, post
from testbed.payload import MIB, body, md5
from testbed.signed import call, path_of, presign, send
from testbed.stored import files_under
from testbed.target import Gateway

OURS, OTHER = body(32, "customer key"), body(32, "another customer key")
PREFIX = "x-amz-server-side-encryption-customer-"
SOURCE_PREFIX = "x-amz-copy-source-server-side-encryption-customer-"


def sse(key: bytes | None, prefix: str = "SSECustomer") -> dict[str, object]:
    """boto3's parameters; it adds the MD5."""
    return {} if key is None else {f"{prefix}Algorithm": "AES256", f"{prefix}Key": key}


def sse_encoded(key: bytes) -> dict[str, str]:
    """The same for calls in which boto3 sends the parameters as they are."""
    md5 = base64.b64encode(hashlib.md5(key).digest()).decode()
    return {
        "SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(key).decode(), "SSECustomerKeyMD5": md5,
    }  # fmt: skip


def source(key: bytes | None) -> dict[str, object]:
    return sse(key, "CopySourceSSECustomer")


def headers(key: bytes, prefix: str = PREFIX) -> dict[str, str]:
    return {f"{prefix}algorithm": "AES256", f"{prefix}key": base64.b64encode(key).decode(), f"{prefix}key-MD5": md5(key)}


def assert_answered(answer: dict, key: bytes | None) -> None:
    """An answer names the customer key's MD5, or the encryption that every object has."""
    sent = answer["ResponseMetadata"]["HTTPHeaders"]
    names = ("x-amz-server-side-encryption", f"{PREFIX}algorithm", f"{PREFIX}key-md5")
    expected = ("AES256", None, None) if key is None else (None, "AES256", md5(key))
    assert tuple(map(sent.get, names)) == expected


def refused(operation, **parameters) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        operation(**parameters)
    return code(raised)


def files_containing(needle: bytes, *roots) -> list:
    """These files are small enough to be read whole."""
    return [path for path in files_under(*roots) if needle in path.read_bytes()]


def put_raw(target, bucket, sent: dict[str, str]):
    return call(target, "PUT", bucket, "object", headers=sent, body=b"x")


@pytest.mark.parametrize("size", (0, 1, MIB, MIB + 1, 3 * MIB))
def test_object_reads_back_with_its_key(s3, bucket, size):
    data = body(size)
    where = {"Bucket": bucket, "Key": "object"}
    put = s3.put_object(**where, Body=data, Metadata={"colour": "red"}, ContentType="text/x-c", **sse(OURS))
    assert_answered(put, OURS)
    # Twice, and ranges first: what one request has opened serves no other without the key.
    for _ in range(2):
        if size:
            got = s3.get_object(**where, Range="bytes=0-9", **sse(OURS))
            assert (got["Body"].read(), got["ResponseMetadata"]["HTTPStatusCode"]) == (data[:10], 206)
        got = s3.get_object(**where, **sse(OURS))
        assert_answered(got, OURS)
        assert got["Body"].read() == data
        head = s3.head_object(**where, **sse(OURS))
        assert_answered(head, OURS)
        assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (size, {"colour": "red"}, "text/x-c")
        for operation in (s3.get_object, s3.head_object):
            assert refused(operation, **where)[0] == 400
            assert refused(operation, **where, **sse(OTHER))[0] == 403
    assert [o["Size"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [size]


@pytest.mark.beyond_seaweedfs("answers otherwise")
def test_read_without_the_key_or_with_another_says_what_is_wrong(target, s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    s3.put_object(**where, Body=b"secret", **sse(OURS))
    s3.put_object(Bucket=bucket, Key="plain", Body=b"plain")
    answer = call(target, "GET", bucket, "object")
    assert (answer.status, answer.error()[0]) == (400, "InvalidRequest")
    assert "stored using a form of Server Side Encryption" in answer.error()[1]
    answer = call(target, "GET", bucket, "object", headers=headers(OTHER))
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")
    answer = call(target, "GET", bucket, "plain", headers=headers(OURS))
    assert (answer.status, answer.error()[0]) == (400, "InvalidRequest")
    assert "not applicable to this object" in answer.error()[1]
    for more in ({"Range": "bytes=0-1"}, {"PartNumber": 1}, {"IfNoneMatch": "x"}, {"ChecksumMode": "ENABLED"}):
        assert refused(s3.get_object, **where, **more) == (400, "InvalidRequest")
        assert refused(s3.get_object, **where, **more, **sse(OTHER)) == (403, "AccessDenied")


def test_get_object_attributes_needs_the_key(s3, bucket):
    where = {"Bucket": bucket, "Key": "object", "ObjectAttributes": ["ObjectSize", "ETag"]}
    s3.put_object(Bucket=bucket, Key="object", Body=body(1000), **sse(OURS))
    assert refused(s3.get_object_attributes, **where)[0] == 400
    assert refused(s3.get_object_attributes, **where, **sse_encoded(OTHER))[0] == 403
    assert s3.get_object_attributes(**where, **sse_encoded(OURS))["ObjectSize"] == 1000


def without(name: str) -> dict[str, str]:
    return {header: value for header, value in headers(OURS).items() if header != PREFIX + name}


MALFORMED = {
    "no-algorithm": (without("algorithm"), "InvalidArgument"),
    "no-key": (without("key"), "InvalidArgument"),
    "no-md5": (without("key-MD5"), "InvalidArgument"),
    "algorithm-alone": ({PREFIX + "algorithm": "AES256"}, "InvalidArgument"),
    "another-algorithm": (headers(OURS) | {PREFIX + "algorithm": "AES192"}, "InvalidEncryptionAlgorithmError"),
    "no-base64": (headers(OURS) | {PREFIX + "key": "?" * 44}, "InvalidArgument"),
    "short-key": (headers(OURS[:31]), "InvalidArgument"),
    "long-key": (headers(OURS + b"x"), "InvalidArgument"),
    "another-md5": (headers(OURS) | {PREFIX + "key-MD5": md5(OTHER)}, "InvalidArgument"),
    "md5-no-base64": (headers(OURS) | {PREFIX + "key-MD5": "?"}, "InvalidArgument"),
    "source-key-of-no-copy": (headers(OURS, SOURCE_PREFIX), "InvalidArgument"),
    "and-aes256": (headers(OURS) | {"x-amz-server-side-encryption": "AES256"}, "InvalidArgument"),
    "and-kms": (headers(OURS) | {"x-amz-server-side-encryption": "aws:kms"}, "InvalidArgument"),
}


@pytest.mark.beyond_seaweedfs("takes some, and has other codes")
@pytest.mark.parametrize("name", MALFORMED)
def test_customer_key_that_is_none_is_refused_and_nothing_stored(target, bucket, name):
    sent, expected = MALFORMED[name]
    answer = put_raw(target, bucket, sent)
    assert (answer.status, answer.error()[0]) == (400, expected)
    assert base64.b64encode(OURS) not in answer.body
    assert call(target, "HEAD", bucket, "object").status == 404


def test_conditions_hold_for_who_has_the_key(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    etag = s3.put_object(**where, Body=b"x", **sse(OURS))["ETag"]
    assert refused(s3.get_object, **where, IfNoneMatch=etag, **sse(OURS))[0] == 304
    assert refused(s3.head_object, **where, IfMatch='"other"', **sse(OURS))[0] == 412
    assert s3.get_object(**where, IfMatch=etag, **sse(OURS))["Body"].read() == b"x"


@pytest.mark.beyond_seaweedfs("has keys and tags of its own")
def test_tags_acls_lists_and_deletes_need_no_key(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    s3.put_object(**where, Body=body(12345), Tagging="a=b", **sse(OURS))
    assert s3.get_object_tagging(**where)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "c", "Value": "d"}]})
    assert s3.get_object(**where, **sse(OURS))["Body"].read() == body(12345)
    assert s3.get_object_acl(**where)["Grants"]
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Size"] == 12345
    s3.delete_object(**where)
    assert refused(s3.head_object, **where, **sse(OURS))[0] == 404


@pytest.mark.beyond_seaweedfs("mixes them up")
@pytest.mark.parametrize("shape", ("single", "parts"))
def test_copy_takes_changes_and_loses_a_customer_key(s3, bucket, shape):
    data = body(5 * MIB + 9)
    for old, new in itertools.product((None, OURS, OTHER), repeat=2):
        where = {"Bucket": bucket, "Key": "from"}
        if shape == "single":
            s3.put_object(**where, Body=data, Metadata={"m": "1"}, **sse(old))
        else:
            upload_id = s3.create_multipart_upload(**where, Metadata={"m": "1"}, **sse(old))["UploadId"]
            parts = []
            for number, part in enumerate((data[: 5 * MIB], data[5 * MIB :]), 1):
                etag = s3.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=part, **sse(old))["ETag"]
                parts.append({"PartNumber": number, "ETag": etag})
            done = s3.complete_multipart_upload(
                **where, UploadId=upload_id, MultipartUpload={"Parts": parts}, **sse(old)
            )
            assert_answered(done, old)
        to = {"Bucket": bucket, "Key": "to", "CopySource": where}
        for wrong in {None, OURS, OTHER} - {old}:
            status = 403 if old and wrong else 400
            assert refused(s3.copy_object, **to, **source(wrong), **sse(new))[0] == status
        assert_answered(s3.copy_object(**to, **source(old), **sse(new)), new)
        got = s3.get_object(Bucket=bucket, Key="to", **sse(new))
        assert_answered(got, new)
        assert (got["Body"].read(), got["Metadata"]) == (data, {"m": "1"})
        for wrong in {None, OURS, OTHER} - {new}:
            assert refused(s3.get_object, Bucket=bucket, Key="to", **sse(wrong))[0] in (400, 403)
        assert s3.get_object(**where, **sse(old))["Body"].read() == data
        assert {o["Size"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {len(data)}


def test_copy_onto_itself_may_change_the_key_alone(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    s3.put_object(**where, Body=b"x", **sse(OURS))
    for old, new in ((OURS, OTHER), (OTHER, None), (None, OURS)):
        s3.copy_object(**where, CopySource=where, **source(old), **sse(new))
        assert s3.get_object(**where, **sse(new))["Body"].read() == b"x"
        assert refused(s3.get_object, **where, **sse(old))[0] in (400, 403)


def test_upload_takes_parts_with_the_key_that_it_began_with(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    for right in (OURS, None):
        created = s3.create_multipart_upload(**where, **sse(right))
        assert_answered(created, right)
        part = where | {"UploadId": created["UploadId"], "PartNumber": 1, "Body": body(1000)}
        for wrong in {None, OURS, OTHER} - {right}:
            assert refused(s3.upload_part, **part, **sse(wrong))[0] == 400
        sent = s3.upload_part(**part, **sse(right))
        assert_answered(sent, right)
        s3.complete_multipart_upload(
            **where, UploadId=created["UploadId"], MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]},
            **sse(right),
        )  # fmt: skip
        assert s3.get_object(**where, **sse(right))["Body"].read() == body(1000)


@pytest.mark.beyond_seaweedfs("asks for no key")
def test_complete_needs_the_key_that_the_upload_began_with(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where, **sse(OURS))["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x", **sse(OURS))["ETag"]
    end = upload | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    for _ in range(2):
        for wrong in (None, OTHER):
            assert refused(s3.complete_multipart_upload, **end, **sse(wrong)) == (400, "InvalidRequest")
        # The second time it repeats its answer: to the key alone.
        done = s3.complete_multipart_upload(**end, **sse(OURS))
        assert_answered(done, OURS)


@pytest.mark.beyond_seaweedfs("shows none")
def test_listed_parts_show_their_checksums_to_the_key_alone(s3, bucket):
    where = {"Bucket": bucket, "Key": "object"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256", **sse(OURS))["UploadId"]}
    s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256", **sse(OURS))
    [with_key] = s3.list_parts(**upload, **sse_encoded(OURS))["Parts"]
    [without_key] = s3.list_parts(**upload)["Parts"]
    assert "ChecksumSHA256" in with_key and "ChecksumSHA256" not in without_key
    assert without_key["Size"] == 1
    assert refused(s3.list_parts, **upload, **sse_encoded(OTHER)) == (400, "InvalidRequest")


@pytest.mark.beyond_seaweedfs("checks fewer of them")
def test_part_copied_needs_the_keys_of_source_and_upload(s3, bucket):
    data = body(6 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=data, **sse(OURS))
    where = {"Bucket": bucket, "Key": "to"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where, **sse(OTHER))["UploadId"]}
    part = upload | {"PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "from"}, "CopySourceRange": "bytes=5-5999999"}
    assert refused(s3.upload_part_copy, **part, **sse(OTHER)) == (400, "InvalidRequest")
    assert refused(s3.upload_part_copy, **part, **source(OTHER), **sse(OTHER)) == (403, "AccessDenied")
    assert refused(s3.upload_part_copy, **part, **source(OURS)) == (400, "InvalidRequest")
    assert refused(s3.upload_part_copy, **part, **source(OURS), **sse(OURS)) == (400, "InvalidRequest")
    copied = s3.upload_part_copy(**part, **source(OURS), **sse(OTHER))
    assert_answered(copied, OTHER)
    end = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=end, **sse(OTHER))
    assert s3.get_object(**where, **sse(OTHER))["Body"].read() == data[5:6_000_000]


def test_boto3_transfer_and_its_ranges_and_parts(s3, bucket):
    data = body(20 * MIB + 3)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big", ExtraArgs=sse(OURS))
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back, ExtraArgs=sse(OURS))
    assert back.getvalue() == data
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=2, **sse(OURS))
    assert (part["Body"].read(), part["PartsCount"]) == (data[8 * MIB : 16 * MIB], 3)
    edge = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={8 * MIB - 1}-{8 * MIB}", **sse(OURS))
    assert edge["Body"].read() == data[8 * MIB - 1 : 8 * MIB + 1]


def test_presigned_url_with_signed_headers(target, s3, bucket):
    path = path_of(bucket, "object")
    sent = headers(OURS)
    url = presign(target, "PUT", path, headers=sent)
    assert send(target, "PUT", url, headers=sent, body=b"x").status == 200
    url = presign(target, "GET", path, headers=sent)
    answer = send(target, "GET", url, headers=sent)
    assert (answer.status, answer.body) == (200, b"x")
    assert send(target, "GET", url).status in (400, 403)
    assert refused(s3.get_object, Bucket=bucket, Key="object")[0] == 400


@pytest.mark.beyond_seaweedfs("ignores them in the query")
def test_presigned_url_with_the_key_in_its_query(target, s3, bucket):
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in headers(OURS).items())
    url = presign(target, "PUT", f"{path_of(bucket, 'object')}?{query}")
    answer = send(target, "PUT", url, body=b"x")
    assert (answer.status, answer.headers.get(f"{PREFIX}key-md5")) == (200, md5(OURS)), answer.body
    answer = send(target, "GET", presign(target, "GET", f"{path_of(bucket, 'object')}?{query}"))
    assert (answer.status, answer.body) == (200, b"x")
    assert refused(s3.get_object, Bucket=bucket, Key="object") == (400, "InvalidRequest")
    assert s3.get_object(Bucket=bucket, Key="object", **sse(OURS))["Body"].read() == b"x"


@pytest.mark.beyond_seaweedfs("takes unsigned headers")
def test_unsigned_customer_key_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", **sse(OURS))
    url = presign(target, "GET", path_of(bucket, "object"))
    answer = send(target, "GET", url, headers=headers(OURS))
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")


@pytest.mark.lethe_only("two tenants")
def test_customer_key_of_another_tenant_opens_nothing(target, make_bucket):
    ours, theirs = make_bucket(), make_bucket("globex")
    target.client().put_object(Bucket=ours, Key="object", Body=b"ours", **sse(OURS))
    globex = target.client("globex")
    assert refused(globex.get_object, Bucket=ours, Key="object", **sse(OURS)) == (404, "NoSuchBucket")
    globex.put_object(Bucket=theirs, Key="object", Body=b"theirs", **sse(OURS))
    assert globex.get_object(Bucket=theirs, Key="object", **sse(OURS))["Body"].read() == b"theirs"


def test_aws_cli_and_rclone_bring_their_keys(target, bucket, tmp_path):
    commands = Commands(target, tmp_path)
    (tmp_path / "key").write_bytes(OURS)
    for name, size in (("small", 1000), ("big", 9 * MIB)):
        (tmp_path / name).write_bytes(body(size))
        keyed = ("--sse-c", "AES256", "--sse-c-key", "fileb://key")
        commands.aws("s3", "cp", *keyed, name, f"s3://{bucket}/{name}")
        commands.aws("s3", "cp", *keyed, f"s3://{bucket}/{name}", f"{name}-back")
        assert filecmp.cmp(tmp_path / name, tmp_path / f"{name}-back", shallow=False)
        assert commands.aws("s3", "cp", f"s3://{bucket}/{name}", "never", check=False).returncode != 0
        flags = ("--s3-sse-customer-algorithm=AES256", f"--s3-sse-customer-key-base64={base64.b64encode(OURS).decode()}")
        commands.rclone("copyto", *flags, name, f"remote:{bucket}/rclone-{name}")
        commands.rclone("copyto", *flags, f"remote:{bucket}/{name}", f"{name}-rclone")
        assert filecmp.cmp(tmp_path / name, tmp_path / f"{name}-rclone", shallow=False)
        assert target.client().get_object(Bucket=bucket, Key=f"rclone-{name}", **sse(OURS))["Body"].read() == body(size)


@pytest.mark.lethe_only("the gateway's own log and files")
def test_customer_key_lies_in_no_file_and_no_log(kind, tmp_path):
    """At the loudest log level, after requests that work and requests that fail."""
    target = Gateway(tmp_path, kind, log_level="trace")
    try:
        s3, bucket = target.client(), unique_name()
        s3.create_bucket(Bucket=bucket)
        test_object_reads_back_with_its_key(s3, bucket, 3 * MIB)
        test_copy_onto_itself_may_change_the_key_alone(s3, bucket)
        test_upload_takes_parts_with_the_key_that_it_began_with(s3, bucket)
        test_presigned_url_with_the_key_in_its_query(target, s3, bucket)
        # An upload left open, and what is refused.
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key="open", **sse(OURS))["UploadId"]
        s3.upload_part(Bucket=bucket, Key="open", UploadId=upload_id, PartNumber=1, Body=b"x", **sse(OURS))
        for sent, _ in MALFORMED.values():
            put_raw(target, bucket, sent)
        put_raw(target, bucket, headers(OURS) | {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
        log = target.log()
        assert bucket.encode() in log, "nothing to search"
        roots = [tmp_path] + ([target.store.data] if target.store else [])
        for key in (OURS, OTHER):
            encoded = base64.b64encode(key).decode()
            for form in (encoded.rstrip("=").encode(), quote(encoded, safe="").encode(), key, key.hex().encode()):
                assert form not in log, "the log holds a customer key"
                assert not files_containing(form, *roots), "a file holds a customer key"
    finally:
        target.stop()


def form_fields(s3, bucket: str, key: str, fields: dict[str, str], covered: bool = True) -> list[tuple[str, str]]:
    conditions = [{name: value} for name, value in fields.items()] if covered else []
    made = s3.generate_presigned_post(bucket, key, Fields=dict(fields), Conditions=conditions)
    return list(made["fields"].items())


@pytest.mark.beyond_seaweedfs("stores such a form without the key")
@pytest.mark.parametrize("size", (0, 1000, 9 * MIB))
def test_form_with_a_customer_key_is_read_with_that_key_alone(target, s3, bucket, size):
    answer = post(target, bucket, encode(form_fields(s3, bucket, "posted", headers(OURS)), body(size)))
    assert answer.status == 204, answer.body
    assert answer.headers[f"{PREFIX}key-md5"] == md5(OURS) and answer.headers[f"{PREFIX}algorithm"] == "AES256"
    assert "x-amz-server-side-encryption" not in answer.headers
    assert s3.get_object(Bucket=bucket, Key="posted", **sse(OURS))["Body"].read() == body(size)
    for key in (None, OTHER):
        with pytest.raises(ClientError):
            s3.get_object(Bucket=bucket, Key="posted", **sse(key))


@pytest.mark.beyond_seaweedfs("takes some")
def test_form_whose_policy_does_not_cover_its_customer_key_is_refused(target, s3, bucket):
    whole = headers(OURS)
    cases = [(whole, False, 403)] + [({name: whole[name]}, True, 400) for name in whole]
    cases += [(whole | {f"{PREFIX}key-MD5": md5(OTHER)}, True, 400), (whole | {"x-amz-server-side-encryption": "AES256"}, True, 400)]
    for fields, covered, status in cases:
        answer = post(target, bucket, encode(form_fields(s3, bucket, "posted", fields, covered), b"file"))
        assert answer.status == status, answer.body
        assert base64.b64encode(OURS) not in answer.body
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
