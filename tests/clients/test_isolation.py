"""globex, with its own valid credential, tries every operation on what is acme's.

Each answer must be the one that a name gets which nobody has: same status, headers, code and message.
"""

import re

import pytest

from conftest import unique_name
from test_multipart import upload
from testbed.payload import MIB, body
from testbed.signed import call, path_of, presign, send

pytestmark = pytest.mark.lethe_only("plain SeaweedFS shares its buckets")

VOLATILE = {"date", "x-amz-request-id", "x-amz-id-2", "connection"}
PART = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
TAGGING = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
VERSIONING = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
DELETE = "<Delete><Object><Key>object</Key></Object></Delete>"
ACP = "<AccessControlPolicy/>"

# name: (method, on an object?, query, headers, body)
OPERATIONS = {
    "HeadBucket": ("HEAD", False, {}, {}, ""),
    "ListObjects": ("GET", False, {}, {}, ""),
    "ListObjectsV2": ("GET", False, {"list-type": "2"}, {}, ""),
    "ListObjectVersions": ("GET", False, {"versions": ""}, {}, ""),
    "ListMultipartUploads": ("GET", False, {"uploads": ""}, {}, ""),
    "GetBucketLocation": ("GET", False, {"location": ""}, {}, ""),
    "GetBucketVersioning": ("GET", False, {"versioning": ""}, {}, ""),
    "PutBucketVersioning": ("PUT", False, {"versioning": ""}, {}, VERSIONING),
    "GetBucketAcl": ("GET", False, {"acl": ""}, {}, ""),
    "PutBucketAcl": ("PUT", False, {"acl": ""}, {"x-amz-acl": "private"}, ""),
    "DeleteObjects": ("POST", False, {"delete": ""}, {}, DELETE),
    "DeleteBucket": ("DELETE", False, {}, {}, ""),
    "GetObject": ("GET", True, {}, {}, ""),
    "GetObjectRange": ("GET", True, {}, {"Range": "bytes=0-3"}, ""),
    "GetObjectPart": ("GET", True, {"partNumber": "1"}, {}, ""),
    "GetObjectVersion": ("GET", True, {"versionId": "null"}, {}, ""),
    "GetObjectIfMatch": ("GET", True, {}, {"If-Match": "ETAG"}, ""),
    "GetObjectIfNoneMatch": ("GET", True, {}, {"If-None-Match": "ETAG"}, ""),
    "HeadObject": ("HEAD", True, {}, {}, ""),
    "GetObjectAttributes": ("GET", True, {"attributes": ""}, {"x-amz-object-attributes": "ObjectSize,ETag"}, ""),
    "GetObjectTagging": ("GET", True, {"tagging": ""}, {}, ""),
    "PutObjectTagging": ("PUT", True, {"tagging": ""}, {}, TAGGING),
    "DeleteObjectTagging": ("DELETE", True, {"tagging": ""}, {}, ""),
    "GetObjectAcl": ("GET", True, {"acl": ""}, {}, ""),
    "PutObjectAcl": ("PUT", True, {"acl": ""}, {"x-amz-acl": "private"}, ""),
    "PutObject": ("PUT", True, {}, {}, "taken over"),
    "PutObjectIfAbsent": ("PUT", True, {}, {"If-None-Match": "*"}, "taken over"),
    "PutObjectIfMatch": ("PUT", True, {}, {"If-Match": "ETAG"}, "taken over"),
    "DeleteObject": ("DELETE", True, {}, {}, ""),
    "DeleteObjectVersion": ("DELETE", True, {"versionId": "null"}, {}, ""),
    "CreateMultipartUpload": ("POST", True, {"uploads": ""}, {}, ""),
    "UploadPart": ("PUT", True, {"partNumber": "1", "uploadId": "UPLOAD"}, {}, "part"),
    "ListParts": ("GET", True, {"uploadId": "UPLOAD"}, {}, ""),
    "CompleteMultipartUpload": ("POST", True, {"uploadId": "UPLOAD"}, {}, PART),
    "AbortMultipartUpload": ("DELETE", True, {"uploadId": "UPLOAD"}, {}, ""),
}
OBJECT_READS = [
    name for name in OPERATIONS
    if OPERATIONS[name][1] and not name.startswith(("PutObjectIf", "CreateMultipart", "Delete")) and name != "PutObject"
]  # fmt: skip


@pytest.fixture(scope="module")
def acmes(target):
    """What acme has: a bucket, an object, and an open upload with a part."""
    s3 = target.client("acme")
    bucket = unique_name("acme")
    s3.create_bucket(Bucket=bucket)
    etag = s3.put_object(Bucket=bucket, Key="object", Body=b"acme's own", Tagging="a=b")["ETag"]
    _, upload_id, _ = upload(s3, bucket, "object", [5 * MIB])
    return {"bucket": bucket, "etag": etag, "upload": upload_id}


def attempt(target, operation: str, bucket: str, key: str, etag: str, upload_id: str, tenant: str = "globex"):
    """One operation's answer, with the asked-for names, lengths of them and volatile headers taken out."""
    method, on_object, query, headers, text = OPERATIONS[operation]
    query = {name: upload_id if value == "UPLOAD" else value for name, value in query.items()}
    headers = {name: etag if value == "ETAG" else value for name, value in headers.items()}
    answer = call(target, method, bucket, key if on_object else None, query, headers, text.encode(), tenant)
    return normalised(answer, bucket, key, upload_id)


def normalised(answer, bucket: str, key: str, upload_id: str = "\0"):
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE}
    text = answer.body.decode()
    if request_id := answer.headers.get("x-amz-request-id"):
        text = text.replace(request_id, "REQUEST")
    text = re.sub(r"<(RequestId|HostId)>[^<]*</", r"<\1></", text)
    for name, stand_in in ((bucket, "BUCKET"), (upload_id, "UPLOAD"), (key, "KEY")):
        text = text.replace(name, stand_in)
    if "content-length" in headers:
        headers["content-length"] = "…"
    return answer.status, headers, text


def assert_untouched(target, acmes):
    s3 = target.client("acme")
    got = s3.get_object(Bucket=acmes["bucket"], Key="object")
    assert (got["Body"].read(), got["ETag"]) == (b"acme's own", acmes["etag"])
    tags = s3.get_object_tagging(Bucket=acmes["bucket"], Key="object")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]
    where = {"Bucket": acmes["bucket"], "Key": "object", "UploadId": acmes["upload"]}
    assert [p["Size"] for p in s3.list_parts(**where)["Parts"]] == [5 * MIB]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=acmes["bucket"])["Contents"]] == ["object"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_on_anothers_bucket_answers_as_for_no_bucket(target, acmes, operation):
    theirs = attempt(target, operation, acmes["bucket"], "object", acmes["etag"], acmes["upload"])
    nobodys = attempt(target, operation, unique_name("acme"), "object", acmes["etag"], acmes["upload"])
    assert theirs == nobodys
    assert theirs[0] == 404, theirs
    assert_untouched(target, acmes)


@pytest.mark.parametrize("operation", OBJECT_READS)
def test_operation_in_ones_own_bucket_of_the_same_name_sees_nothing_of_the_other(target, acmes, operation):
    """globex has a bucket of acme's bucket's name: acme's object, ETag and upload id mean nothing in it."""
    globex = target.client("globex")
    if acmes["bucket"] not in [b["Name"] for b in globex.list_buckets()["Buckets"]]:
        globex.create_bucket(Bucket=acmes["bucket"])
    theirs = attempt(target, operation, acmes["bucket"], "object", acmes["etag"], acmes["upload"])
    random_id = "0123456789abcdef" * 2
    nobodys = attempt(target, operation, acmes["bucket"], "nobodys", '"0123456789abcdef0123456789abcdef-1"', random_id)
    assert theirs == nobodys
    assert theirs[0] in (400, 404, 412), theirs
    assert "Contents" not in globex.list_objects_v2(Bucket=acmes["bucket"])
    assert_untouched(target, acmes)
    globex.delete_bucket(Bucket=acmes["bucket"])


def test_writes_in_ones_own_bucket_of_the_same_name_stay_ones_own(target, acmes):
    globex = target.client("globex")
    globex.create_bucket(Bucket=acmes["bucket"])
    globex.put_object(Bucket=acmes["bucket"], Key="object", Body=b"globex's own", IfNoneMatch="*")
    assert globex.get_object(Bucket=acmes["bucket"], Key="object")["Body"].read() == b"globex's own"
    assert_untouched(target, acmes)
    globex.delete_object(Bucket=acmes["bucket"], Key="object")
    globex.delete_bucket(Bucket=acmes["bucket"])
    assert_untouched(target, acmes)


def test_list_buckets_names_only_ones_own(target, acmes):
    assert acmes["bucket"] not in [b["Name"] for b in target.client("globex").list_buckets()["Buckets"]]
    assert acmes["bucket"] in [b["Name"] for b in target.client("acme").list_buckets()["Buckets"]]


@pytest.mark.parametrize("operation", ("CopyObject", "UploadPartCopy"))
def test_copy_from_anothers_object_answers_as_for_no_bucket(target, acmes, make_bucket, operation):
    own = make_bucket("globex")
    query = {}
    if operation == "UploadPartCopy":
        upload_id = target.client("globex").create_multipart_upload(Bucket=own, Key="copy")["UploadId"]
        query = {"partNumber": "1", "uploadId": upload_id}
    answers = []
    for source in (acmes["bucket"], unique_name("acme")):
        headers = {"x-amz-copy-source": f"/{source}/object"}
        answer = call(target, "PUT", own, "copy", query, headers, tenant="globex")
        answers.append(normalised(answer, source, "copy"))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404 and "NoSuchBucket" in answers[0][2]
    assert call(target, "HEAD", own, "copy", tenant="globex").status == 404


def test_presigned_url_of_ones_own_credential_answers_as_for_no_bucket(target, acmes):
    answers = []
    for bucket in (acmes["bucket"], unique_name("acme")):
        url = presign(target, "GET", path_of(bucket, "object"), tenant="globex")
        answers.append(normalised(send(target, "GET", url), bucket, "object"))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def test_presigned_url_of_the_other_with_ones_own_key_id_is_refused(target, acmes):
    url = presign(target, "GET", path_of(acmes["bucket"], "object"), tenant="acme")
    acme, globex = target.tenants["acme"], target.tenants["globex"]
    assert send(target, "GET", url).body == b"acme's own", "the URL itself is good"
    answer = send(target, "GET", url.replace(acme.access_key_id, globex.access_key_id))
    assert answer.status in (400, 403) and b"acme's own" not in answer.body


def test_upload_ids_of_the_other_in_ones_own_bucket_are_no_such_upload(target, acmes, make_bucket):
    own = make_bucket("globex")
    for upload_id in (acmes["upload"], "0123456789abcdef" * 2):
        where = {"partNumber": "1", "uploadId": upload_id}
        answer = call(target, "PUT", own, "object", where, body=body(100), tenant="globex")
        assert (answer.status, answer.error()[0]) == (404, "NoSuchUpload")


def test_equal_bodies_of_two_tenants_share_no_etag(target, make_bucket):
    etags = set()
    for tenant in ("acme", "globex"):
        bucket = make_bucket(tenant)
        etags.add(target.client(tenant).put_object(Bucket=bucket, Key="same", Body=b"the same")["ETag"])
    assert len(etags) == 2


def test_create_bucket_of_anothers_name_succeeds_as_for_a_free_name(target, acmes):
    answers = []
    for name in (acmes["bucket"], unique_name("acme")):
        answer = call(target, "PUT", name, tenant="globex")
        status, headers, text = normalised(answer, name, "\0")
        headers["location"] = headers.get("location", "").replace(name, "BUCKET")
        answers.append((status, headers, text))
        assert call(target, "DELETE", name, tenant="globex").status == 204
    assert answers[0] == answers[1]
    assert answers[0][0] == 200
    assert_untouched(target, acmes)
