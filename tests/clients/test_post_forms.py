"""POST forms: browser uploads with a signed policy, as boto3 makes them and as attackers would change them."""

import base64
import hashlib
import json
import time
import zlib
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError

from conftest import unique_name
from testbed.payload import MIB, body
from testbed.signed import Answer, connect, send

BOUNDARY = "----form-boundary"
FILE = 'form-data; name="file"; filename="photo.jpg"'


def encode(fields: list[tuple[str, str | bytes]], file: bytes | None, behind: list[tuple[str, bytes]] = ()) -> bytes:
    """A form as browsers write it: fields, the file, and what stands behind it."""
    parts = [(f'form-data; name="{name}"', value) for name, value in fields]
    if file is not None:
        parts.append((FILE, file))
    parts += [(f'form-data; name="{name}"', value) for name, value in behind]
    out = bytearray()
    for disposition, value in parts:
        data = value.encode() if isinstance(value, str) else value
        out += f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return bytes(out + f"--{BOUNDARY}--\r\n".encode())


TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def post(target, bucket: str, data: bytes, headers: dict[str, str] | None = None) -> Answer:
    return send(target, "POST", f"/{bucket}", TYPE | (headers or {}), data)


def presigned(s3, bucket: str, key: str, conditions=(), expires_s: int = 300, **fields) -> list[tuple[str, str]]:
    """The fields of a form that boto3 signs; those named are in it and have conditions of their own."""
    named = {name.replace("_", "-") if name.startswith(("x_", "Content")) else name: v for name, v in fields.items()}
    conditions = [*conditions, *({name: value} for name, value in named.items())]
    made = s3.generate_presigned_post(bucket, key, Fields=named, Conditions=conditions, ExpiresIn=expires_s)
    return list(made["fields"].items())


def missing(s3, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
        return False
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.beyond_seaweedfs("has no tags in forms")
def test_form_stores_the_file_with_what_its_fields_say(target, s3, bucket):
    tagging = "<Tagging><TagSet><Tag><Key>team</Key><Value>a&amp;b</Value></Tag></TagSet></Tagging>"
    fields = presigned(
        s3, bucket, "up/${filename}", Content_Type="image/jpeg", x_amz_meta_who="me", tagging=tagging, acl="private"
    )
    answer = post(target, bucket, encode(fields, b"data"))
    assert (answer.status, answer.body) == (204, b""), answer.body
    got = s3.get_object(Bucket=bucket, Key="up/photo.jpg")
    assert got["Body"].read() == b"data"
    assert (got["ContentType"], got["ETag"]) == ("image/jpeg", answer.headers["etag"])
    assert got["Metadata"] == {"who": "me"}
    assert s3.get_object_tagging(Bucket=bucket, Key="up/photo.jpg")["TagSet"] == [{"Key": "team", "Value": "a&b"}]
    assert answer.headers["location"] == f"{target.endpoint}/{bucket}/up/photo.jpg"


@pytest.mark.parametrize("size", (0, 1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 20 * MIB))
def test_form_of_any_length_reads_back(target, s3, bucket, size):
    data = body(size)
    answer = post(target, bucket, encode(presigned(s3, bucket, "object"), data, [("submit", b"Upload")]))
    assert answer.status == 204, answer.body
    got = s3.get_object(Bucket=bucket, Key="object")
    assert hashlib.sha256(got["Body"].read()).digest() == hashlib.sha256(data).digest()
    assert got["ETag"] == answer.headers["etag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.beyond_seaweedfs("names no Location")
@pytest.mark.parametrize(("asked", "status"), (("200", 200), ("201", 201), ("204", 204), ("404", 204)))
def test_form_is_answered_with_the_status_that_it_asks_for(target, s3, bucket, asked, status):
    answer = post(target, bucket, encode(presigned(s3, bucket, "a b", success_action_status=asked), b"x"))
    assert answer.status == status, answer.body
    if status == 201:
        said = {element.tag: element.text for element in ElementTree.fromstring(answer.body)}
        etag = s3.head_object(Bucket=bucket, Key="a b")["ETag"]
        assert said == {"Location": f"{target.endpoint}/{bucket}/a%20b", "Bucket": bucket, "Key": "a b", "ETag": etag}
    else:
        assert answer.body == b""


@pytest.mark.beyond_seaweedfs("drops the URL's query")
def test_form_redirects_where_its_policy_says(target, s3, bucket):
    answer = post(target, bucket, encode(presigned(s3, bucket, "k", success_action_redirect="https://a.test/?x=1"), b"x"))
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"].strip('"')
    assert answer.status == 303
    assert answer.headers["location"] == f"https://a.test/?x=1&bucket={bucket}&key=k&etag=%22{etag}%22"


def test_form_whose_policy_expired_is_refused(target, s3, bucket):
    fields = presigned(s3, bucket, "object", expires_s=1)
    time.sleep(2)
    answer = post(target, bucket, encode(fields, b"x"))
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")
    assert missing(s3, bucket, "object")


def changed(fields, name: str, value: str | None) -> list[tuple[str, str]]:
    kept = [(n, v) for n, v in fields if n != name]
    return kept if value is None else [*kept, (name, value)]


ATTACKS = {
    "another key": ("key", "other", 403, "AccessDenied"),
    "another acl": ("acl", "public-read", 403, "AccessDenied"),
    "metadata": ("x-amz-meta-a", "b", 403, "AccessDenied"),
    "storage class": ("x-amz-storage-class", "STANDARD", 403, "AccessDenied"),
    "redirect": ("success_action_redirect", "https://evil.test/", 403, "AccessDenied"),
    "signature": ("x-amz-signature", "0" * 64, 403, "SignatureDoesNotMatch"),
    "policy": ("policy", base64.b64encode(b'{"expiration": "2100-01-01T00:00:00Z", "conditions": []}').decode(),
               403, "SignatureDoesNotMatch"),
    "no policy": ("policy", None, 400, "InvalidArgument"),
    "no signature": ("x-amz-signature", None, 400, "InvalidArgument"),
    "no key": ("key", None, 400, "InvalidArgument"),
}  # fmt: skip


@pytest.mark.beyond_seaweedfs("takes some")
@pytest.mark.parametrize("attack", ATTACKS)
def test_form_that_is_not_what_was_signed_is_refused(target, s3, bucket, attack):
    name, value, status, expected = ATTACKS[attack]
    fields = presigned(s3, bucket, "object", acl="private")
    answer = post(target, bucket, encode(changed(fields, name, value), b"x"))
    assert (answer.status, answer.error()[0]) == (status, expected), answer.body
    assert missing(s3, bucket, "object") and missing(s3, bucket, "other")


@pytest.mark.lethe_only("tenants")
def test_form_of_one_bucket_or_tenant_is_refused_for_another(target, s3, bucket, make_bucket):
    other = make_bucket()
    data = encode(presigned(s3, bucket, "object"), b"x")
    assert post(target, other, data).error()[0] == "AccessDenied"
    theirs = make_bucket("globex")
    answer = post(target, theirs, encode(presigned(s3, theirs, "object"), b"x"))
    assert (answer.status, answer.error()[0]) == (404, "NoSuchBucket")
    nowhere = unique_name("missing")
    answer = post(target, nowhere, encode(presigned(s3, nowhere, "object"), b"x"))
    assert (answer.status, answer.error()[0]) == (404, "NoSuchBucket")
    assert missing(s3, other, "object") and missing(target.client("globex"), theirs, "object")


@pytest.mark.beyond_seaweedfs("answers otherwise")
@pytest.mark.parametrize(("size", "expected"), ((9, "EntityTooSmall"), (21, "EntityTooLarge"), (MIB // 2, "EntityTooLarge")))
def test_form_whose_file_has_another_length_than_allowed_is_refused(target, s3, bucket, size, expected):
    fields = presigned(s3, bucket, "object", conditions=[["content-length-range", 10, 20]])
    answer = post(target, bucket, encode(fields, body(size)))
    assert (answer.status, answer.error()[0]) == (400, expected), answer.body
    assert missing(s3, bucket, "object")
    assert post(target, bucket, encode(fields, body(20))).status == 204


@pytest.mark.beyond_seaweedfs("takes some")
def test_form_with_its_file_first_without_one_or_with_two_is_refused(target, s3, bucket):
    fields = presigned(s3, bucket, "object")
    behind = [(name, value.encode()) for name, value in fields]
    for data, status, expected in (
        (encode([], b"x", behind), 403, "AccessDenied"),
        (encode(fields, None), 400, "IncorrectNumberOfFilesInPostRequest"),
        (encode(fields, b"x", [("file", b"y")]), 400, "IncorrectNumberOfFilesInPostRequest"),
        (encode(fields, body(9 * MIB), [("file", b"y")]), 400, "IncorrectNumberOfFilesInPostRequest"),
        (encode(fields, b"x")[:-20], 400, "MalformedPOSTRequest"),
        (encode([*fields, ("x-ignore-a", "a" * 30_000)], b"x"), 400, "MaxPostPreDataLengthExceededError"),
    ):
        answer = post(target, bucket, data)
        assert (answer.status, answer.error()[0]) == (status, expected), answer.body
    assert missing(s3, bucket, "object")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def wait(condition, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"no sign of {what}"
        time.sleep(0.1)


@pytest.mark.lethe_only("other stores need no upload for it")
@pytest.mark.parametrize("sent", (2 * MIB, 12 * MIB, 20 * MIB + 100))
def test_form_whose_client_goes_leaves_nothing(target, s3, bucket, sent):
    s3.put_object(Bucket=bucket, Key="object", Body=b"old")
    data = encode(presigned(s3, bucket, "object"), body(20 * MIB))
    connection = connect(target)
    connection.putrequest("POST", f"/{bucket}")
    for name, value in (TYPE | {"Content-Length": str(len(data))}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data[:sent])
    if sent > 9 * MIB:
        wait(lambda: "Uploads" in s3.list_multipart_uploads(Bucket=bucket), "the gateway's own upload")
    connection.close()
    wait(lambda: "Uploads" not in s3.list_multipart_uploads(Bucket=bucket), "the end of it")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"old"


@pytest.mark.beyond_seaweedfs("does not verify it")
@pytest.mark.parametrize("size", (100, 9 * MIB))
def test_form_with_a_checksum_is_verified_and_keeps_it(target, s3, bucket, size):
    data = body(size)
    crc32 = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    right = presigned(s3, bucket, "object", x_amz_checksum_crc32=crc32)
    wrong = presigned(s3, bucket, "object", x_amz_checksum_crc32="AAAAAA==")
    answer = post(target, bucket, encode(wrong, data))
    assert (answer.status, answer.error()[0]) == (400, "BadDigest")
    assert missing(s3, bucket, "object")
    assert post(target, bucket, encode(right, data)).status == 204
    assert s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")["ChecksumCRC32"] == crc32


@pytest.mark.lethe_only("SeaweedFS takes some")
def test_form_that_asks_for_what_lethe_has_not_is_refused(target, s3, bucket):
    for field, value, expected in (
        ("acl", "public-read", "AccessControlListNotSupported"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
        ("x-amz-website-redirect-location", "/", "NotImplemented"),
        ("x-amz-object-lock-mode", "COMPLIANCE", "InvalidArgument"),
        ("x-amz-object-lock-legal-hold", "MAYBE", "InvalidArgument"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "InvalidArgument"),
        ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256", "NotImplemented"),
        ("tagging", "a=b", "MalformedXML"),
    ):
        made = s3.generate_presigned_post(bucket, "object", Fields={field: value}, Conditions=[{field: value}])
        answer = post(target, bucket, encode(list(made["fields"].items()), b"x"))
        assert answer.error()[0] == expected, field
    assert missing(s3, bucket, "object")


@pytest.mark.lethe_only("SeaweedFS takes Signature Version 2")
def test_form_signed_by_version_2_or_not_at_all_is_refused(target, s3, bucket):
    policy = base64.b64encode(json.dumps({"expiration": "2100-01-01T00:00:00Z", "conditions": []}).encode()).decode()
    who = target.tenants["acme"]
    old = [("key", "object"), ("AWSAccessKeyId", who.access_key_id), ("policy", policy), ("signature", "c2lnbmF0dXJl")]
    answer = post(target, bucket, encode(old, b"x"))
    assert (answer.status, answer.error()[0]) == (400, "InvalidRequest")
    answer = post(target, bucket, encode([("key", "object")], b"x"))
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")
    assert missing(s3, bucket, "object")


def test_form_answer_tells_its_origin_what_the_rules_say(target, s3, bucket):
    rule = {"AllowedOrigins": ["https://a.test"], "AllowedMethods": ["POST"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    answer = post(target, bucket, encode(presigned(s3, bucket, "object"), b"x"), {"Origin": "https://a.test"})
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://a.test"
    assert answer.headers["access-control-expose-headers"] == "ETag"
    answer = post(target, bucket, encode(presigned(s3, bucket, "object"), b"x"), {"Origin": "https://b.test"})
    assert (answer.status, "access-control-allow-origin" in answer.headers) == (204, False)
