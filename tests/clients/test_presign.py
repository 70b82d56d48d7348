"""Presigned URLs, and attacks on what a signature does not cover."""

import base64
import datetime
import hashlib
import re
import time
import zlib

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from testbed.payload import MIB, body
from testbed.signed import call, path_of, presign, send, sign


def relative(target, url: str) -> str:
    assert url.startswith(target.endpoint), url
    return url.removeprefix(target.endpoint)


def test_presigned_get_reads_the_object(target, s3, bucket):
    data = body(2 * MIB)
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=data, ContentType="text/plain")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b/ü"}, ExpiresIn=60)
    answer = send(target, "GET", relative(target, url))
    assert (answer.status, answer.body) == (200, data)
    ranged = send(target, "GET", relative(target, url), headers={"Range": "bytes=5-9"})
    assert (ranged.status, ranged.body) == (206, data[5:10])


def test_presigned_get_with_response_overrides(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    parameters = {"Bucket": bucket, "Key": "object", "ResponseContentDisposition": "attachment; filename=y"}
    url = s3.generate_presigned_url("get_object", Params=parameters)
    answer = send(target, "GET", relative(target, url))
    assert answer.headers["content-disposition"] == "attachment; filename=y"


def test_presigned_put_stores_the_object(target, s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "object"})
    assert send(target, "PUT", relative(target, url), body=body(70_000)).status == 200
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body(70_000)


def test_presigned_url_for_another_method_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"kept")
    url = relative(target, s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "object"}))
    for method in ("PUT", "DELETE"):
        answer = send(target, method, url, body=b"new" if method == "PUT" else b"")
        assert (answer.status, answer.error()[0]) == (403, "SignatureDoesNotMatch")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"kept"


def test_presigned_url_for_another_key_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = relative(target, s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "object"}))
    answer = send(target, "GET", url.replace("/object?", "/secret?"))
    assert (answer.status, answer.error()[0]) == (403, "SignatureDoesNotMatch")


def test_presigned_url_expired_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    url = presign(target, "GET", path_of(bucket, "object"), expires_s=1)
    time.sleep(2.5)
    answer = send(target, "GET", url)
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")


@pytest.mark.parametrize("expires_s", (604_801, 10**9, -1))
def test_presigned_url_with_an_expiry_out_of_bounds_is_refused(target, s3, bucket, expires_s):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    answer = send(target, "GET", presign(target, "GET", path_of(bucket, "object"), expires_s=expires_s))
    assert answer.status in (400, 403)
    assert answer.body != b"x"


def test_presigned_put_with_an_unsigned_copy_source_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign(target, "PUT", path_of(bucket, "object"))
    answer = send(target, "PUT", url, headers={"x-amz-copy-source": f"/{bucket}/secret"})
    assert answer.status == 403, answer.body
    assert call(target, "HEAD", bucket, "object").status == 404


@pytest.mark.parametrize("header", ("x-amz-meta-planted", "x-amz-tagging", "x-amz-acl", "x-amz-storage-class"))
def test_header_signed_put_with_another_unsigned_amz_header_is_refused(target, bucket, header):
    request_target, headers = sign(target, "PUT", path_of(bucket, "object"), body=b"x")
    answer = send(target, "PUT", request_target, headers | {header: "private"}, b"x")
    assert answer.status == 403, answer.body
    assert call(target, "HEAD", bucket, "object").status == 404


def test_signature_of_a_wrong_secret_is_refused(target, bucket):
    request_target, headers = sign(target, "GET", path_of(bucket))
    digit = "1" if headers["Authorization"][-1] != "1" else "2"
    headers["Authorization"] = headers["Authorization"][:-1] + digit
    answer = send(target, "GET", request_target, headers)
    assert (answer.status, answer.error()[0]) == (403, "SignatureDoesNotMatch")


def test_signature_of_an_unknown_key_is_refused(target, bucket):
    request_target, headers = sign(target, "GET", path_of(bucket))
    headers["Authorization"] = re.sub(r"Credential=[^/]+", "Credential=AKIDUNKNOWNUNKNOWN00", headers["Authorization"])
    answer = send(target, "GET", request_target, headers)
    assert (answer.status, answer.error()[0]) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize("path", ("bucket", "object", "service"))
def test_anonymous_request_is_refused(target, s3, bucket, path):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    where = {"bucket": path_of(bucket), "object": path_of(bucket, "object"), "service": "/"}[path]
    answer = send(target, "GET", where)
    assert (answer.status, answer.error()[0]) == (403, "AccessDenied")


def test_signature_version_2_is_refused(target, bucket):
    who = target.tenants["acme"]
    headers = {"Authorization": f"AWS {who.access_key_id}:c2lnbmF0dXJl", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    answer = send(target, "GET", path_of(bucket), headers)
    assert answer.status in (400, 403) and answer.error()[0] in ("InvalidRequest", "AccessDenied", "SignatureDoesNotMatch")
    query = f"?AWSAccessKeyId={who.access_key_id}&Expires=4102444800&Signature=c2lnbmF0dXJl"
    answer = send(target, "GET", path_of(bucket) + query)
    assert answer.status in (400, 403)


@pytest.mark.beyond_seaweedfs("takes every scope")
def test_signature_of_another_region_names_the_right_one(target, bucket):
    request_target, headers = sign(target, "GET", path_of(bucket), region="ap-southeast-2")
    answer = send(target, "GET", request_target, headers)
    assert (answer.status, answer.error()[0]) == (400, "AuthorizationHeaderMalformed")
    assert f"<Region>{target.tenants['acme'].region}</Region>".encode() in answer.body


def test_signature_of_us_east_1_is_taken(target, bucket):
    request_target, headers = sign(target, "GET", path_of(bucket), region="us-east-1")
    assert send(target, "GET", request_target, headers).status == 200


def test_signature_from_an_hour_ago_is_too_skewed(target, bucket, monkeypatch):
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: past.replace(tzinfo=None))
    request_target, headers = sign(target, "GET", path_of(bucket))
    monkeypatch.undo()
    assert past.strftime("%Y%m%dT%H") in headers["X-Amz-Date"], "the clock was not turned"
    answer = send(target, "GET", request_target, headers)
    assert (answer.status, answer.error()[0]) == (403, "RequestTimeTooSkewed")


@pytest.mark.parametrize("place", ("header", "query"))
def test_presigned_put_that_names_its_bodys_hash_takes_that_body_only(target, s3, bucket, place):
    hashed = hashlib.sha256(b"hello").hexdigest()

    class Auth(botocore.auth.S3SigV4QueryAuth):
        def payload(self, request):
            return hashed

    who = target.tenants["acme"]
    url = target.endpoint + path_of(bucket, "object")
    headers = {"x-amz-content-sha256": hashed} if place == "header" else {}
    if place == "query":
        url += f"?X-Amz-Content-Sha256={hashed}"
    request = AWSRequest(method="PUT", url=url, headers=headers)
    Auth(Credentials(who.access_key_id, who.secret_access_key), "s3", who.region, expires=60).add_auth(request)
    presigned = relative(target, request.url)
    other = send(target, "PUT", presigned, headers, b"jello")
    assert (other.status, other.error()[0]) == (400, "XAmzContentSHA256Mismatch")
    assert call(target, "HEAD", bucket, "object").status == 404
    assert send(target, "PUT", presigned, headers, b"hello").status == 200
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"hello"


def test_presigned_put_with_the_checksum_of_no_body_takes_any_body(target, s3, bucket):
    """What SDKs put into a URL that they sign before there is a body; S3 takes no checksum from a query at all."""
    query = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32"}
    path = presign(target, "PUT", path_of(bucket, "k"), query=query)
    assert send(target, "PUT", path, body=b"some bytes").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"some bytes"


@pytest.mark.lethe_only("S3 stores it unchecked")
def test_presigned_put_with_another_checksum_takes_that_body_only(target, s3, bucket):
    query = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"right").to_bytes(4, "big")).decode()}
    path = presign(target, "PUT", path_of(bucket, "k"), query=query)
    assert send(target, "PUT", path, body=b"wrong").error()[0] == "BadDigest"
    assert send(target, "PUT", path, body=b"right").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"right"
