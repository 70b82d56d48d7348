"""Plaintext planted through S3 and searched for in the raw bytes of every file behind it."""

import base64
import hashlib
import secrets

import pytest

from test_multipart import complete
from testbed.payload import MIB, body
from testbed.signed import call
from testbed.stored import files_under, files_with


def marker(label: str) -> str:
    return f"mark{label}{secrets.token_hex(10)}"


def roots(target):
    if target.kind == "direct":
        return [target.store.data]
    return [target.dir] + ([target.store.data] if target.store else [])


def is_store(target, path) -> bool:
    """Whether a file is a region's."""
    if target.store:
        return path.is_relative_to(target.store.data)
    return "regions" in path.relative_to(target.dir).parts


def is_catalog(target, path) -> bool:
    return path.name.startswith("catalog") and not is_store(target, path)


@pytest.fixture
def planted(target, s3, make_bucket):
    """One of everything, each with a marker of its own."""
    marks = {
        name: marker(name)
        for name in ("bucket", "key", "body", "partbody", "lastpart", "metaname", "metavalue", "partmeta", "ctype",
                     "disposition", "cache", "language", "tagvalue", "openmeta", "copymeta")
    }  # fmt: skip
    bucket = make_bucket(name=marks["bucket"])
    filler = body(3 * MIB)
    s3.put_object(
        Bucket=bucket, Key=marks["key"], Body=filler + marks["body"].encode() + filler,
        Metadata={marks["metaname"]: marks["metavalue"]}, ContentType=f"text/{marks['ctype']}",
        ContentDisposition=f"attachment; filename={marks['disposition']}", CacheControl=marks["cache"],
        ContentLanguage=marks["language"], Tagging=f"t={marks['tagvalue']}",
    )  # fmt: skip
    s3.put_object(Bucket=bucket, Key=marks["key"] + "small", Body=marks["body"].encode())
    where = {"Bucket": bucket, "Key": marks["key"] + "parts"}
    upload_id = s3.create_multipart_upload(Metadata={"m": marks["partmeta"]}, **where)["UploadId"]
    parts = []
    for number, data in enumerate((body(5 * MIB) + marks["partbody"].encode(), marks["lastpart"].encode()), 1):
        etag = s3.upload_part(UploadId=upload_id, PartNumber=number, Body=data, **where)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    complete(s3, bucket, where["Key"], upload_id, parts)
    # An upload left open: its parts, and the short one in the spool.
    where = {"Bucket": bucket, "Key": marks["key"] + "open"}
    upload_id = s3.create_multipart_upload(Metadata={"m": marks["openmeta"]}, **where)["UploadId"]
    s3.upload_part(UploadId=upload_id, PartNumber=1, Body=body(5 * MIB) + marks["partbody"].encode(), **where)
    s3.upload_part(UploadId=upload_id, PartNumber=2, Body=marks["lastpart"].encode(), **where)
    s3.copy_object(
        Bucket=bucket, Key=marks["key"] + "copy", CopySource={"Bucket": bucket, "Key": marks["key"]},
        MetadataDirective="REPLACE", Metadata={"m": marks["copymeta"]},
    )  # fmt: skip
    # Refused requests leave nothing behind either.
    call(target, "PUT", bucket, "refused", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, body=marks["body"].encode())
    return marks


# Stores write the first letter of a header's name in upper case: searches leave each marker's first letter off.
SEALED = ("body", "partbody", "lastpart", "metaname", "metavalue", "partmeta", "ctype", "disposition", "cache",
          "language", "openmeta", "copymeta")  # fmt: skip


@pytest.mark.lethe_only("plain SeaweedFS keeps plaintext: the next test shows that the search finds it there")
def test_stored_bytes_hold_no_plaintext_beyond_what_is_documented(target, planted):
    assert sum(1 for _ in files_under(*roots(target))) > 3
    for name in SEALED:
        assert files_with(planted[name][1:].encode(), *roots(target)) == [], name
    in_bucket_name = files_with(planted["bucket"].encode(), *roots(target))
    assert in_bucket_name and all(is_catalog(target, path) for path in in_bucket_name), in_bucket_name
    with_key = files_with(planted["key"].encode(), *roots(target))
    assert any(is_store(target, path) for path in with_key), "object keys are the store's: the search works"
    assert all(is_store(target, path) or is_catalog(target, path) for path in with_key), with_key
    with_tag = files_with(planted["tagvalue"].encode(), *roots(target))
    assert with_tag and all(is_store(target, path) for path in with_tag), with_tag


@pytest.mark.lethe_only("plain SeaweedFS keeps plaintext")
def test_records_of_uploads_confirm_no_guess_at_a_part(target, s3, make_bucket):
    """Short parts are guessable: what is kept of them while keys exist, and in copies afterwards, must not tell a right guess."""
    where, digests = {"Bucket": make_bucket(), "Key": "record"}, []
    for number, then_complete in enumerate((False, True)):
        upload = s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **where)
        part = marker(f"diagnosis{number}").encode()
        digests.append(hashlib.sha256(part).digest())
        answer = s3.upload_part(
            UploadId=upload["UploadId"], PartNumber=1, Body=part, ChecksumAlgorithm="SHA256", **where
        )
        assert base64.b64decode(answer["ChecksumSHA256"]) == digests[-1]
        listed = s3.list_parts(UploadId=upload["UploadId"], **where)["Parts"]
        assert [base64.b64decode(part["ChecksumSHA256"]) for part in listed] == digests[-1:]
        if then_complete:
            parts = [{"PartNumber": 1, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]}]
            complete(s3, where["Bucket"], where["Key"], upload["UploadId"], parts)
    for digest in digests:
        assert files_with(digest, *roots(target)) == []


@pytest.mark.lethe_only("the gateway's own secrets")
def test_secrets_lie_in_no_file_but_dev_json(target, planted):
    for name, tenant in target.tenants.items():
        holders = files_with(tenant.secret_access_key.encode(), *roots(target))
        # Credentials that tests have issued since are in none.
        assert [path.name for path in holders] == (["dev.json"] if name in ("acme", "globex") else []), name
    holders = files_with(target.admin_token.encode(), *roots(target))
    assert [path.name for path in holders] == ["dev.json"]


@pytest.mark.lethe_only("the gateway's own log")
def test_log_names_no_plaintext_and_no_object_key(target, planted):
    log = target.log()
    for name in (*SEALED, "key", "tagvalue"):
        assert planted[name].encode() not in log, name
    for tenant in target.tenants.values():
        assert tenant.secret_access_key.encode() not in target.child.stderr.read_bytes()


@pytest.mark.lethe_only("the gateway's own directories")
def test_region_and_key_store_files_are_not_readable_by_others(target):
    described = (target.dir / "dev.json").stat().st_mode
    assert described & 0o077 == 0, "dev.json holds secrets"


def test_search_finds_what_plain_seaweedfs_keeps(target, planted):
    """The search itself can fail: without the gateway, every marker is there to be found."""
    if target.kind != "direct":
        assert files_with(planted["key"].encode(), *roots(target))
        return
    for name in ("body", "partbody", "lastpart", "metaname", "metavalue", "key", "bucket"):
        assert files_with(planted[name][1:].encode(), *roots(target)), name
