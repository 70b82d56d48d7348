"""Signatures that are nearly right, and claims about who signed what, when and for whom."""

import hashlib

import pytest

from testbed.abuse import raw
from testbed.sigv4 import NOTHING, UNSIGNED, encoded

pytestmark = [pytest.mark.lethe_only("SeaweedFS takes some of these"), pytest.mark.one_variant("the edge answers")]

MISMATCH = (403, "SignatureDoesNotMatch")
MALFORMED = (400, "AuthorizationHeaderMalformed")
QUERY_MALFORMED = (400, "AuthorizationQueryParametersError")
DENIED = (403, "AccessDenied")
MINUTE = 60


@pytest.fixture
def path(attack) -> str:
    return f"/{attack.bucket}/victim"


def test_signature_without_a_fault_is_taken(attack, path):
    """The control for everything below: HEAD, so that the victim is not read."""
    assert attack.reply(attack.request("HEAD", path), is_head=True).status == 200
    query = attack.signer.presigned("HEAD", path)
    reply = attack.reply(raw("HEAD", f"{path}?{query}", [("Host", attack.signer.host)]), is_head=True)
    assert reply.status == 200


@pytest.mark.parametrize("late_s", (14 * MINUTE + 50, -14 * MINUTE - 50))
def test_clock_within_15_minutes_is_taken(attack, path, late_s):
    request = attack.request("HEAD", path, signer=attack.signer.but(late_s=late_s))
    assert attack.reply(request, is_head=True).status == 200


@pytest.mark.parametrize("late_s", (15 * MINUTE + 10, -15 * MINUTE - 10, 3 * 24 * 3600, -3 * 24 * 3600))
def test_clock_more_than_15_minutes_off_is_refused(attack, path, late_s):
    """Replay of an old request, and one made ahead of time."""
    attack.refused(attack.request("GET", path, signer=attack.signer.but(late_s=late_s)), 403, "RequestTimeTooSkewed")


DATES = {
    "another day in the scope": (MALFORMED, {"scope_date": "20200101"}, None),
    "no date in the scope": (MALFORMED, {"scope_date": "2026"}, None),
    "letters in the scope": (MALFORMED, {"scope_date": "2026abcd"}, None),
    "RFC 1123": (DENIED, {}, "Thu, 01 Jan 2026 00:00:00 GMT"),
    "extended format": (DENIED, {}, "2026-01-01T00:00:00Z"),
    "no such day": (DENIED, {}, "20260230T000000Z"),
    "leap second of no minute": (DENIED, {}, "20260101T000099Z"),
    "year 0": ((403, "RequestTimeTooSkewed"), {}, "00000101T000000Z"),
    "year 9998": ((403, "RequestTimeTooSkewed"), {}, "99981231T235959Z"),
    "last second that there is": (DENIED, {}, "99991231T235959Z"),
}


@pytest.mark.parametrize("case", DATES)
def test_date_that_is_none_or_of_another_day_is_refused(attack, path, case):
    (status, code), changes, date = DATES[case]
    if date and not date[:8].isdigit():
        changes = {"scope_date": "20260101"}
    attack.refused(attack.request("GET", path, signer=attack.signer.but(**changes), date=date), status, code)


def test_date_header_beside_x_amz_date_says_nothing(attack, path):
    """S3 goes by x-amz-date; a Date alone, or one that is signed, does not stand in for it."""
    old = [("Date", "Thu, 01 Jan 1970 00:00:00 GMT")]
    assert attack.reply(attack.request("HEAD", path, unsigned=old), is_head=True).status == 200
    request = attack.request("GET", path, unsigned=[("Date", "Thu, 01 Jan 2026 00:00:00 GMT")])
    dated = next(line for line in request.split(b"\r\n") if line.startswith(b"x-amz-date"))
    attack.refused(request.replace(dated + b"\r\n", b""), *DENIED)


SCOPES = {
    "another region": (MALFORMED, {"region": "ap-southeast-2"}),
    "region in capitals": (MALFORMED, {"region": "EU-CENTRAL-1"}),
    "no region": (MALFORMED, {"region": ""}),
    "region with a slash": (MALFORMED, {"region": "eu/central"}),
    "service sts": (MALFORMED, {"service": "sts"}),
    "service in capitals": (MALFORMED, {"service": "S3"}),
    "service s3-object-lambda": (MALFORMED, {"service": "s3-object-lambda"}),
    "wrong secret": (MISMATCH, {"secret": "x" * 40}),
    "empty secret": (MISMATCH, {"secret": ""}),
    "unknown key": ((403, "InvalidAccessKeyId"), {"access_key_id": "AKIDUNKNOWNUNKNOWN00"}),
    "key with a line end": (MALFORMED, {"access_key_id": "AK\tID"}),
    "SQL in the key": (MALFORMED, {"access_key_id": "x' OR '1'='1"}),
}


@pytest.mark.parametrize("case", SCOPES)
def test_scope_that_is_not_this_tenants_is_refused(attack, path, case):
    (status, code), changes = SCOPES[case]
    attack.refused(attack.request("GET", path, signer=attack.signer.but(**changes)), status, code)


def test_wrong_secret_and_unknown_key_tell_nothing_more(attack, path):
    """S3 itself names them apart; nothing else differs: no secret, no string to sign, no other tenant's name."""
    replies = [attack.reply(attack.request("GET", path, signer=attack.signer.but(**changes)))
               for changes in ({"secret": "x" * 40}, {"access_key_id": "AKIDUNKNOWNUNKNOWN00"})]  # fmt: skip
    for reply in replies:
        assert set(reply.headers) == set(replies[0].headers)
        for told in (attack.signer.secret, "StringToSign", "SignatureProvided", "acme", "globex", "AWS4-HMAC"):
            assert told.encode() not in reply.body, told


TAMPERED = {
    "another method": lambda request: request.replace(b"GET ", b"DELETE "),
    "another key": lambda request: request.replace(b"/none", b"/victim"),
    "another case": lambda request: request.replace(b"/none", b"/NONE"),
    "one more parameter": lambda request: request.replace(b"?x-id=1", b"?versionId=null&x-id=1"),
    "one parameter less": lambda request: request.replace(b"?x-id=1", b""),
    "another value": lambda request: request.replace(b"?x-id=1", b"?x-id=2"),
    "another hash of the body": lambda request: request.replace(UNSIGNED.encode(), NOTHING.encode()),
    "another metadata": lambda request: request.replace(b"x-amz-meta-a: 1", b"x-amz-meta-a: 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_request_changed_after_it_was_signed_is_refused(attack, case):
    request = attack.request("GET", f"/{attack.bucket}/none", "x-id=1", headers=[("x-amz-meta-a", "1")])
    changed = TAMPERED[case](request)
    assert changed != request
    attack.refused(changed, *MISMATCH)


AUTHORIZATIONS = {
    "host not signed": (DENIED, lambda text: text.replace("SignedHeaders=host;", "SignedHeaders=")),
    "a header signed twice": (MALFORMED, lambda text: text.replace("=host;", "=host;host;")),
    "names in capitals": (MALFORMED, lambda text: text.replace("=host;", "=Host;")),
    "an empty name": (MALFORMED, lambda text: text.replace("=host;", "=host;;")),
    "a header that is not there": (MISMATCH, lambda text: text.replace("=host;", "=host;range;")),
    "signature in capitals": (MALFORMED, lambda text: text[:-64] + text[-64:].upper()),
    "signature cut": (MALFORMED, lambda text: text[:-1]),
    "signature longer": (MALFORMED, lambda text: text + "0"),
    "signature of zeros": (MISMATCH, lambda text: text[:-64] + "0" * 64),
    "signature there twice": (MALFORMED, lambda text: text + ", Signature=" + "0" * 64),
    "credential there twice": (MALFORMED, lambda text: text.replace("Credential=", "Credential=a/b/c/s3/aws4_request, Credential=")),
    "fields in another order": (MALFORMED, lambda text: "AWS4-HMAC-SHA256 " + ", ".join(reversed(text.split(" ", 1)[1].split(", ")))),
    "no fields": (MALFORMED, lambda text: "AWS4-HMAC-SHA256"),
    "another terminator": (MALFORMED, lambda text: text.replace("aws4_request", "aws5_request")),
    "another algorithm": ((400, "InvalidArgument"), lambda text: text.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")),
    "algorithm in lower case": ((400, "InvalidArgument"), lambda text: text.replace("AWS4-HMAC-SHA256", "aws4-hmac-sha256")),
    "SigV4A": ((501, "NotImplemented"), lambda text: text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
    "Basic": ((400, "InvalidArgument"), lambda text: "Basic YWNtZTphY21l"),
    "Bearer": ((400, "InvalidArgument"), lambda text: "Bearer " + "a" * 100),
    "Version 2": ((400, "InvalidRequest"), lambda text: "AWS AKID:c2lnbmF0dXJl"),
    "nothing": ((400, "InvalidArgument"), lambda text: ""),
    "9 KiB": (MALFORMED, lambda text: text.replace("=host;", "=host;" + "a" * 9000 + ";")),
}  # fmt: skip


@pytest.mark.parametrize("case", AUTHORIZATIONS)
def test_authorization_that_is_nearly_right_is_refused(attack, path, case):
    (status, code), change = AUTHORIZATIONS[case]
    headers = attack.signer.headers("GET", path)
    changed = change(headers[-1][1])
    assert changed != headers[-1][1]
    attack.refused(raw("GET", path, [*headers[:-1], ("Authorization", changed)]), status, code)


def test_order_of_the_signed_names_says_nothing(attack, path):
    """What is signed is the sorted list, so that another order is the same signature."""
    headers = attack.signer.headers("HEAD", path)
    other = headers[-1][1].replace("x-amz-content-sha256;x-amz-date", "x-amz-date;x-amz-content-sha256")
    assert other != headers[-1][1]
    assert attack.reply(raw("HEAD", path, [*headers[:-1], ("Authorization", other)]), is_head=True).status == 200


def test_signature_without_its_payloads_hash_is_refused(attack, path):
    request = attack.request("GET", path)
    attack.refused(request.replace(b"x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n", b""), *MISMATCH)
    names = ["host", "x-amz-date"]
    signed = attack.signer.headers("GET", path, names=names)
    attack.refused(raw("GET", path, [h for h in signed if h[0] != "x-amz-content-sha256"]), 400, "InvalidRequest")


def test_body_other_than_the_signed_one_is_refused(attack):
    signed = hashlib.sha256(b"signed").hexdigest()
    put = attack.request("PUT", f"/{attack.bucket}/new", payload=signed, body=b"forged")
    attack.refused(put, 400, "XAmzContentSHA256Mismatch", closes=True)
    for hashed in (signed.upper(), signed[:-1], signed + "0", "UNSIGNED", "unsigned-payload", ""):
        put = attack.request("PUT", f"/{attack.bucket}/new", payload=hashed, body=b"signed")
        attack.refused(put, 400, "InvalidArgument", closes=True)


def test_unsigned_payload_over_tls_is_taken(attack, make_bucket, s3):
    bucket = make_bucket()
    assert attack.reply(attack.request("PUT", f"/{bucket}/k", body=b"body")).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


def test_two_signatures_are_one_too_many(attack, path):
    """Header and query, and two headers: which one counted would be a matter of taste."""
    query = attack.signer.presigned("GET", path)
    headers = attack.signer.headers("GET", path, query)
    attack.refused(raw("GET", f"{path}?{query}", headers), 400, "InvalidArgument")
    headers = attack.signer.headers("GET", path)
    attack.refused(raw("GET", path, [*headers, headers[-1]]), 400, "InvalidArgument")
    version_2 = "AWSAccessKeyId=a&Expires=4102444800&Signature=b"
    for also in (version_2, version_2.lower(), "Signature=b"):
        request = raw("GET", f"{path}?{query}&{also}", [("Host", attack.signer.host)])
        attack.refused(request, 400, "InvalidRequest")


@pytest.mark.parametrize("where", ("header", "query"))
def test_session_token_beside_a_lasting_key_is_refused(attack, path, where):
    token = [("x-amz-security-token", "FwoGZXIvYXdzEBAaDE")]
    if where == "header":
        attack.refused(attack.request("GET", path, headers=token), 400, "InvalidToken")
        return
    query = attack.signer.presigned("GET", path, query="X-Amz-Security-Token=FwoGZXIvYXdzEBAaDE")
    attack.refused(raw("GET", f"{path}?{query}", [("Host", attack.signer.host)]), 400, "InvalidToken")


def presigned(attack, method: str, path: str, headers=(), body: bytes | None = None, **options) -> bytes:
    query = attack.signer.but(**options.pop("changes", {})).presigned(method, path, **options)
    length = [] if body is None else [("Content-Length", str(len(body)))]
    return raw(method, f"{path}?{query}", [("Host", attack.signer.host), *headers, *length], body or b"")


@pytest.mark.parametrize("expires", ("0", "-1", "604801", "4294967296", "9" * 30, "", "+60", "60.5", "1e3", "0x3c", " 60", "٦٠"))
def test_expiry_of_a_url_that_is_none_or_too_long_is_refused(attack, path, expires):
    """0, negative, above 7 days, overflows, and digits of another script."""
    attack.refused(presigned(attack, "GET", path, expires=expires), *QUERY_MALFORMED)


URLS = {
    "expired a second ago": (DENIED, {"changes": {"late_s": 61}, "expires": "60"}),
    "expired after 7 days": (DENIED, {"changes": {"late_s": 604_801}, "expires": "604800"}),
    "not yet valid": (DENIED, {"changes": {"late_s": -16 * MINUTE}}),
    "another region": (QUERY_MALFORMED, {"changes": {"region": "ap-southeast-2"}}),
    "another service": (QUERY_MALFORMED, {"changes": {"service": "sts"}}),
    "another day in the scope": (QUERY_MALFORMED, {"changes": {"scope_date": "20200101"}}),
    "a date that is none": (QUERY_MALFORMED, {"date": "yesterday", "changes": {"scope_date": "20200101"}}),
    "wrong secret": (MISMATCH, {"changes": {"secret": "x" * 40}}),
    "unknown key": ((403, "InvalidAccessKeyId"), {"changes": {"access_key_id": "AKIDUNKNOWNUNKNOWN00"}}),
}


@pytest.mark.parametrize("case", URLS)
def test_url_out_of_its_time_place_or_hand_is_refused(attack, path, case):
    (status, code), options = URLS[case]
    attack.refused(presigned(attack, "GET", path, **options), status, code)


def test_url_of_a_put_is_replayed_until_it_expires_and_not_after(attack, make_bucket, s3):
    """A presigned PUT is good for as many as ask in time: S3 says so, and so does the threat model."""
    bucket = make_bucket()
    fresh = presigned(attack, "PUT", f"/{bucket}/k", body=b"first", expires="300")
    assert [attack.reply(fresh).status for _ in range(2)] == [200, 200]
    late = presigned(attack, "PUT", f"/{bucket}/k", body=b"later", expires="300", changes={"late_s": 301})
    attack.refused(late, *DENIED, closes=True)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


UNSIGNED_HEADERS = {
    "copy source": ("x-amz-copy-source", "/{b}/victim"),
    "ACL": ("x-amz-acl", "public-read"),
    "metadata": ("x-amz-meta-planted", "1"),
    "tags": ("x-amz-tagging", "a=b"),
    "storage class": ("x-amz-storage-class", "STANDARD"),
    "bypass": ("x-amz-bypass-governance-retention", "true"),
    "lock": ("x-amz-object-lock-mode", "COMPLIANCE"),
    "owner": ("x-amz-expected-bucket-owner", "0"),
    "hash of the body": ("x-amz-content-sha256", NOTHING),
    "date": ("x-amz-date", "20200101T000000Z"),
}


@pytest.mark.parametrize("which", UNSIGNED_HEADERS)
def test_url_with_an_amz_header_that_it_does_not_cover_is_refused(attack, which):
    """A presigned PUT with an unsigned x-amz-copy-source would be a copy of the victim under a name that can be read."""
    name, value = UNSIGNED_HEADERS[which]
    header = (name, value.format(b=attack.bucket))
    attack.refused(presigned(attack, "PUT", f"/{attack.bucket}/new", [header], body=b""), *DENIED)


def test_url_changed_after_it_was_signed_is_refused(attack):
    """Host, path, query, method, expiry, headers."""
    request = presigned(attack, "GET", f"/{attack.bucket}/none", query="x-id=1")
    for old, new in (
        (b"GET ", b"DELETE "), (b"/none", b"/victim"), (b"x-id=1", b"x-id=2"), (b"x-id=1&", b""),
        (b"X-Amz-Expires=300", b"X-Amz-Expires=301"), (b"x-id=1", b"x-id=1&versionId=null"),
        (b"Host: ", b"Host: www."),
    ):  # fmt: skip
        assert old in request
        attack.refused(request.replace(old, new), *MISMATCH)
    twice = request.replace(b"X-Amz-Expires=300", b"X-Amz-Expires=300&X-Amz-Expires=600000")
    attack.refused(twice, *QUERY_MALFORMED)
    attack.refused(request.replace(b"X-Amz-SignedHeaders=host", b"X-Amz-SignedHeaders="), *QUERY_MALFORMED)
