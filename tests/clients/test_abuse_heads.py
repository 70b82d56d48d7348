"""Heads and targets too long, too many and too odd: headers, URIs, queries, keys."""

import pytest

from testbed.abuse import raw

pytestmark = [pytest.mark.lethe_only("bounds of the gateway's own"), pytest.mark.one_variant("the edge answers")]

TOO_LARGE = (400, "RequestHeaderSectionTooLarge")


def padded(attack, unsigned) -> bytes:
    return attack.request("GET", f"/{attack.bucket}", "location", unsigned=unsigned)


HEADS = {
    "600 headers": (TOO_LARGE, [("x", "y")] * 600),
    "10,000 headers": ((431, None), [("x", "y")] * 10_000),
    "one of 70 KiB": (TOO_LARGE, [("x", "y" * 70 * 1024)]),
    "one of 1 MiB": ((431, None), [("x", "y" * (1 << 20))]),
    "a name of 70 KiB": ((431, None), [("x" * 70 * 1024, "y")]),
    "100 of 1 KiB": (TOO_LARGE, [(f"x-{n}", "y" * 1024) for n in range(100)]),
}


@pytest.mark.parametrize("shape", HEADS)
def test_head_over_its_bounds_is_refused(attack, shape):
    """Header bombs."""
    (status, code), headers = HEADS[shape]
    attack.refused(padded(attack, headers), status, code)


def test_head_within_its_bounds_is_served(attack):
    """The control: 480 headers and 60 KiB."""
    assert attack.reply(padded(attack, [(f"x-{n}", "y" * 100) for n in range(480)])).status == 200


def test_header_names_with_odd_bytes_are_a_bare_400(attack):
    """No name is mended into another."""
    for name in ("x y", "x\ty", "x(y)", "x@y", "x[y]", "x\x7fy", "x\xffy", "", 'x"y"', "x\\y", "x{y}"):
        request = padded(attack, [("x-marker", "y")]).replace(b"x-marker", name.encode("latin-1"))
        attack.refused(request, 400, None, closes=True)


def test_amz_header_in_another_spelling_is_the_same_header(attack):
    """`X_AMZ_ACL` is another header and means nothing; `X-AMZ-ACL` is `x-amz-acl`, and must be signed."""
    path = f"/{attack.bucket}/new"
    attack.refused(attack.request("PUT", path, body=b"", unsigned=[("X-AMZ-ACL", "public-read")]), 403, "AccessDenied")
    for name in ("x_amz_acl", "x-amz_acl", "xamz-acl"):
        assert attack.reply(padded(attack, [(name, "public-read")])).status == 200


def test_metadata_over_2_kb_is_refused_and_not_stored(attack):
    headers = [("x-amz-meta-a", "b" * 2048)]
    attack.refused(attack.request("PUT", f"/{attack.bucket}/new", headers=headers, body=b""), 400, "MetadataTooLarge")


@pytest.mark.parametrize("length", (64 * 1024, 120 * 1024))
def test_target_over_64_kib_is_refused(attack, length):
    """A request line without an end."""
    attack.refused(raw("GET", "/" + "a" * length, [("Host", attack.signer.host)]), 414, None, closes=True)


QUERIES = {
    "100 KB of one value": ((414, None), "prefix=" + "a" * 100_000),
    "60 KB of one value": ((400, "InvalidURI"), "a&" * 30_000),
    "10,000 parameters": ((400, "InvalidURI"), "&".join(f"a{n}" for n in range(10_000))),
    "201 parameters": ((400, "InvalidURI"), "&".join(f"a{n}=1" for n in range(201))),
    "twice the upload": ((400, "InvalidArgument"), "uploadId=a&uploadId=b"),
    "twice the version, once encoded": ((400, "InvalidArgument"), "versionId=a&version%49d=b"),
    "twice a prefix": ((400, "InvalidArgument"), "prefix=a&prefix=b"),
    "two subresources": ((400, "InvalidArgument"), "acl&tagging"),
    "two subresources, one encoded": ((400, "InvalidArgument"), "acl&t%61gging"),
    "upload and version": ((400, "InvalidArgument"), "uploadId=a&versionId=b"),
    "not UTF-8": ((400, "InvalidURI"), "prefix=%ff"),
    "overlong UTF-8": ((400, "InvalidURI"), "prefix=%c0%af"),
    "surrogate": ((400, "InvalidURI"), "prefix=%ed%a0%80"),
    "unknown subresource": ((501, "NotImplemented"), "evil"),
    "subresource in capitals": ((501, "NotImplemented"), "ACL"),
    "NUL in a name": ((501, "NotImplemented"), "acl%00"),
}


@pytest.mark.parametrize("shape", QUERIES)
def test_query_that_can_be_read_in_two_ways_is_refused(attack, shape):
    """Parameter pollution, parameter bombs, encodings."""
    (status, code), query = QUERIES[shape]
    attack.refused(attack.request("GET", f"/{attack.bucket}/victim", query), status, code)
    if status != 414:
        destroying = attack.reply(attack.request("DELETE", f"/{attack.bucket}/victim", query))
        assert destroying.status in (400, 405, 501), destroying


PATHS = {
    "traversal": "/{b}/../{g}/victim",
    "encoded traversal": "/{b}/%2e%2e/{g}/victim",
    "half-encoded traversal": "/{b}/.%2e/{g}/victim",
    "encoded slash traversal": "/{b}%2f..%2f{g}%2fvictim",
    "double-encoded traversal": "/{b}/%252e%252e/{g}/victim",
    "backslash traversal": "/{b}/..%5c{g}%5cvictim",
    "NUL behind the key": "/{b}/victim%00",
    "NUL and an extension": "/{b}/victim%00.txt",
    "current folder": "/{b}/./victim",
    "empty folder": "/{b}//victim",
    "overlong slash": "/{b}%c0%afvictim",
    "overlong dot": "/{b}/%c0%ae%c0%ae/{g}/victim",
    "space behind": "/{b}/victim%20",
    "plus": "/{b}/vic+tim",
    "double-encoded": "/{b}/%76%69ctim%2520",
    "fullwidth": "/{b}/%ef%bd%96ictim",
    "decomposed": "/{b}/v%C4%B1ctim",
    "other case": "/{b}/VICTIM",
    "matrix parameter": "/{b}/victim;a=b",
}


@pytest.mark.parametrize("shape", PATHS)
def test_path_that_is_only_written_like_the_victims_names_another_object(attack, shape):
    """Traversal and encodings: nothing is normalised into another tenant's bucket or another key."""
    path = PATHS[shape].format(b=attack.bucket, g=attack.victim.buckets["globex"])
    for method in ("GET", "DELETE"):
        reply = attack.reply(attack.request(method, path))
        assert reply.status in (204, 400, 404) if method == "DELETE" else reply.status in (400, 404), (method, reply)
        assert reply.code in (None, "NoSuchKey", "InvalidURI", "InvalidArgument", "NoSuchBucket", "KeyTooLongError"), reply


def test_path_in_percent_encoding_is_the_same_object(attack, victim):
    """`%76` is `v`: the control for the test above. Its bytes are the victim's, so they are read here by their length alone."""
    reply = attack.reply(attack.request("HEAD", f"/{attack.bucket}/%76ictim"), is_head=True)
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(victim.secret)))


def test_plus_and_space_are_two_keys(attack, make_bucket, s3):
    bucket = make_bucket()
    for path, key in (("a+b", "a+b"), ("a%20b", "a b"), ("a%2Bc", "a+c")):
        assert attack.reply(attack.request("PUT", f"/{bucket}/{path}", body=b"")).status == 200
        assert s3.head_object(Bucket=bucket, Key=key)
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b", "a+b", "a+c"]


def test_key_of_1024_bytes_is_taken_and_of_1025_refused(kind, attack, make_bucket, s3):
    """In bytes, not characters, and after decoding."""
    if kind == "seaweedfs":
        pytest.skip("keys of 1,024 bytes are refused there: docs/semantics.md")
    bucket = make_bucket()
    for key in ("k" * 1024, "%C3%BC" * 512):
        assert attack.reply(attack.request("PUT", f"/{bucket}/{key}", body=b"")).status == 200
    for key in ("k" * 1025, "%C3%BC" * 512 + "k", "%6b" * 1025):
        attack.refused(attack.request("PUT", f"/{bucket}/{key}", body=b""), 400, "KeyTooLongError")
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 2


RANGES = ("bytes=0-18446744073709551616", "bytes=18446744073709551615-", "bytes=-18446744073709551616", "bytes=" + "0-0," * 5000)


def test_ranges_without_bounds_are_bounded(attack, make_bucket, s3):
    """Overflow, and the many ranges that once took servers down."""
    bucket = make_bucket()
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for text, status in zip(RANGES, (206, 416, 206, 200), strict=True):
        reply = attack.reply(attack.request("GET", f"/{bucket}/k", unsigned=[("Range", text)]))
        assert reply.status == status, (text[:40], reply)
        assert reply.body == b"0123456789" or status == 416


def test_conditions_without_bounds_are_bounded(attack):
    """An ETag list of 40 KB, and quotes that never close."""
    for text in ('"a",' * 10_000, '"' * 40_000, "W/" * 20_000, ", " * 20_000):
        reply = attack.reply(attack.request("GET", f"/{attack.bucket}/none", unsigned=[("If-None-Match", text)]))
        assert (reply.status, reply.code) == (404, "NoSuchKey")
