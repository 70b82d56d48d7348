"""One tenant's ids, tokens, names and URLs in another tenant's hands."""

import base64

import pytest

from testbed.abuse import raw
from testbed.sigv4 import Signer, encoded

pytestmark = pytest.mark.lethe_only("two tenants of one gateway")

NO_UPLOAD = (404, "NoSuchUpload")
NO_BUCKET = (404, "NoSuchBucket")


@pytest.fixture
def globex(attack) -> Signer:
    return Signer.of(attack.target, "globex")


def complete_list(etag: str) -> bytes:
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()


def test_upload_id_of_another_tenant_is_no_upload(target, attack, globex, make_bucket):
    """acme's upload, named by globex in acme's bucket, in a bucket of the same name and in any other of its own."""
    bucket = make_bucket()
    s3 = target.client()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"acme")["ETag"]
    make_bucket("globex", bucket)
    for name, expected in ((bucket, NO_UPLOAD), (attack.victim.buckets["globex"], NO_UPLOAD), (attack.bucket, NO_BUCKET)):
        for method, query, body in (
            ("GET", f"uploadId={upload}", None),
            ("PUT", f"partNumber=1&uploadId={upload}", b"globex"),
            ("POST", f"uploadId={upload}", complete_list(etag)),
            ("DELETE", f"uploadId={upload}", None),
        ):
            reply = attack.reply(attack.request(method, f"/{name}/k", query, signer=globex, body=body))
            assert (reply.status, reply.code) == expected, (name, method, reply)
            assert upload.encode() not in reply.body.replace(f"<UploadId>{upload}</UploadId>".encode(), b"")
        listed = attack.reply(attack.request("GET", f"/{name}", "uploads", signer=globex))
        assert upload.encode() not in listed.body
    body = complete_list(etag)
    assert attack.reply(attack.request("POST", f"/{bucket}/k", f"uploadId={upload}", body=body)).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"acme"


def test_version_id_of_another_tenant_is_no_version(kind, target, attack, globex, make_bucket):
    bucket = make_bucket()
    s3 = target.client()
    if kind == "embedded":
        version = "null"
    else:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version = s3.put_object(Bucket=bucket, Key="k", Body=b"acme")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"acme")
    make_bucket("globex", bucket)
    for method, query in (("GET", "versionId="), ("GET", "tagging&versionId="), ("DELETE", "versionId=")):
        reply = attack.reply(attack.request(method, f"/{bucket}/k", query + encoded(version), signer=globex))
        assert reply.status in (404, 204) and b"acme" not in reply.body, reply
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"acme"


def test_continuation_token_of_another_tenant_lists_ones_own_keys(target, attack, globex, make_bucket):
    """And a token that somebody made up lists them, too, or is refused."""
    bucket = make_bucket()
    s3 = target.client()
    for n in range(4):
        s3.put_object(Bucket=bucket, Key=f"acme-secret-{n}", Body=b"")
    token = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["NextContinuationToken"]
    made_up = [base64.b64encode(text).decode() for text in (b"../", b"\0" * 64, b"acme-secret-0")]
    own = make_bucket("globex")
    for name in (own, bucket):
        for each in [token, *made_up, token[:-2], "x" * 3000]:
            query = f"continuation-token={encoded(each)}&list-type=2"
            reply = attack.reply(attack.request("GET", f"/{name}", query, signer=globex))
            assert reply.status in ((200, 400) if name == own else (400, 404)), reply
            assert b"<Key>acme-secret" not in reply.body


SPELLINGS = (
    "/{b}/victim", "{b}/victim", "/{b}/%76ictim", "//{b}/victim", "/{own}/../{b}/victim", "{b}%2Fvictim",
    "/{b}/victim?versionId=null", "arn:aws:s3:::{b}/victim", "https://s3/{b}/victim",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_copy_of_another_tenants_object_is_refused_in_every_spelling(attack, spelling):
    """acme copies what is globex's: as an object, and as a part."""
    source = spelling.format(b=attack.victim.buckets["globex"], own=attack.bucket)
    copy = attack.request("PUT", f"/{attack.bucket}/new", headers=[("x-amz-copy-source", source)])
    reply = attack.reply(copy)
    assert reply.status in (400, 404) and reply.code in ("NoSuchBucket", "NoSuchKey", "InvalidArgument", "InvalidRequest"), reply
    query = "partNumber=1&uploadId=" + "0" * 32
    part = attack.request("PUT", f"/{attack.bucket}/new", query, headers=[("x-amz-copy-source", source)])
    assert attack.reply(part).status in (400, 404)


def test_url_with_anothers_key_id_in_it_is_no_url(attack, globex):
    """acme's signature under globex's key id, and the other way round."""
    path = f"/{attack.victim.buckets['globex']}/victim"
    acmes, globexs = attack.signer.access_key_id, globex.access_key_id
    for signer in (attack.signer.but(access_key_id=globexs, region=globex.region), globex.but(access_key_id=acmes)):
        request = raw("GET", f"{path}?{signer.presigned('GET', path)}", [("Host", signer.host)])
        attack.refused(request, 403, "SignatureDoesNotMatch")
        attack.refused(attack.request("GET", path, signer=signer), 403, "SignatureDoesNotMatch")


def test_url_of_ones_own_for_anothers_object_finds_no_bucket(attack):
    """Signing a URL for what one may not read gives no more than asking for it."""
    path = f"/{attack.victim.buckets['globex']}/victim"
    for method in ("GET", "PUT", "DELETE"):
        length = [("Content-Length", "0")] if method == "PUT" else []
        query = attack.signer.presigned(method, path)
        attack.refused(raw(method, f"{path}?{query}", [("Host", attack.signer.host), *length]), *NO_BUCKET)


def test_answers_for_anothers_bucket_and_for_none_are_alike(attack):
    """Byte for byte, but for the name that was asked for and the request's own ids."""
    there, none = attack.victim.buckets["globex"], "victim-" + "0" * 12
    for method, path, query in (
        ("GET", "", ""), ("GET", "/victim", ""), ("DELETE", "", ""), ("GET", "", "cors"), ("PUT", "/victim", "tagging"),
    ):  # fmt: skip
        seen = []
        for bucket in (there, none):
            reply = attack.reply(attack.request(method, f"/{bucket}{path}", query, body=b"" if method == "PUT" else None))
            ids = [reply.headers.pop(name) for name in ("x-amz-request-id", "x-amz-id-2")]
            told = reply.body.replace(bucket.encode(), b"BUCKET")
            for each in ids:
                told = told.replace(each.encode(), b"ID")
            del reply.headers["date"]
            seen.append((reply.status, reply.headers, told))
        assert seen[0] == seen[1], (method, path, query)
