"""Odd object keys: kept exactly, or refused with a reason; never stored under another name."""

import pytest

from testbed.signed import call

KEYS = {
    "space": "a b", "leading space": " a", "trailing space": "a ", "plus": "a+b", "percent": "100%", "percent-2F": "a%2Fb",
    "percent-20": "a%20b", "double percent": "a%252Fb", "double slash": "a//b", "triple slash": "a///b",
    "leading slash": "/a", "two leading slashes": "//a", "trailing slash": "a/", "two trailing slashes": "a//",
    "only a slash": "/", "dot": ".", "dot dot": "..", "dot segment": "a/./b", "dot dot segment": "a/../b",
    "leading dot dot": "../a", "trailing dot": "a/.", "trailing dot dot": "a/..", "dotted name": ".a", "name dot": "a.",
    "three dots": "...", "tab": "a\tb", "newline": "a\nb", "carriage return": "a\rb", "control": "a\x01b", "escape": "a\x1bb",
    "delete": "a\x7fb", "NUL": "a\x00b", "markup": "<a>&amp;'\"", "question": "a?b", "hash": "a#b", "semicolon": "a;b=c",
    "colon": "a:b", "at": "a@b", "star": "a*b", "backslash": "a\\b", "pipe": "a|b", "caret": "a^`{}[]", "dollar": "$(a)",
    "tilde": "~a", "comma": "a,b!", "quote": "a'b", "latin": "ä", "composed": "\u00e9", "decomposed": "e\u0301",
    "emoji": "😀/🎉", "line separator": "a\u2028b", "right to left": "\u202eabc", "noncharacter": "\uffff",
    "byte order mark": "\ufeffa", "upper": "CASE", "lower": "case", "255-byte segment": "s" * 255,
    "256-byte segment": "t" * 256, "1023 bytes": "u/" * 511 + "u", "1024 bytes": "vv/" * 341 + "v",
    "1024 bytes in one segment": "w" * 1024, "1024 bytes of emoji": "😀" * 256, "versions folder": "a/.versions/b",
    "uploads folder": ".uploads/a", "query": "?uploads", "like a bucket": "bucket/object",
}  # fmt: skip


@pytest.mark.beyond_seaweedfs("stores a//b and a\\\\b as a/b")
def test_every_odd_key_is_kept_as_it_is_or_refused_and_never_aliased(target, s3, bucket):
    kept, refused = {}, {}
    for label, key in KEYS.items():
        content = f"content of {label}".encode()
        answer = call(target, "PUT", bucket, key, body=content)
        if answer.status == 200:
            kept[key] = content
        else:
            assert 400 <= answer.status < 500, (label, answer.status, answer.body)
            code, message = answer.error()
            assert code and message, (label, answer.body)
            refused[label] = (key, answer.status, code)
    print("refused:", {label: (status, code) for label, (_, status, code) in refused.items()})
    for label, key in KEYS.items():
        got = call(target, "GET", bucket, key)
        if key in kept:
            assert (got.status, got.body) == (200, kept[key]), label
        else:
            assert 400 <= got.status < 500, (label, got.status)
    listed, token = [], {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=10, **token)
        listed += [o["Key"] for o in page.get("Contents", [])]
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    if target.kind == "direct":
        print("aliased:", set(listed) ^ set(kept))
        return
    assert sorted(listed) == sorted(kept), "the listing names exactly what was kept"
    if target.kind == "embedded":
        assert not refused, "the embedded region keeps every key that S3 allows"
    else:
        assert len(kept) > len(KEYS) // 2, f"refused too much: {refused}"
    for key in kept:
        assert call(target, "DELETE", bucket, key).status == 204, key
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.lethe_only("plain SeaweedFS stores such keys under other names")
@pytest.mark.parametrize(("odd", "plain"), (("a//b", "a/b"), ("/a", "a"), ("a/./b", "a/b"), ("a/../b", "b"), ("a/", "a")))
def test_key_that_a_store_would_change_never_shows_under_the_other_name(target, s3, bucket, odd, plain):
    assert call(target, "PUT", bucket, plain, body=b"plain").status == 200
    answer = call(target, "PUT", bucket, odd, body=b"odd")
    assert call(target, "GET", bucket, plain).body == b"plain"
    got = call(target, "GET", bucket, odd)
    if answer.status == 200:
        assert got.body == b"odd"
    else:
        assert (got.status, got.error()[0]) == (404, "NoSuchKey")
        assert call(target, "HEAD", bucket, odd).status == 404
        assert call(target, "DELETE", bucket, odd).status == 204
        assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": odd}]})
        assert call(target, "GET", bucket, plain).body == b"plain", "a refused key's delete must not reach its alias"


@pytest.mark.beyond_seaweedfs("answers 404")
@pytest.mark.parametrize("operation", ("GET", "HEAD", "PUT", "DELETE"))
def test_key_over_1024_bytes_is_key_too_long(target, bucket, operation):
    answer = call(target, operation, bucket, "k" * 1025, body=b"x" if operation == "PUT" else b"")
    assert answer.status == 400 if operation != "DELETE" else answer.status in (204, 400)
    if operation in ("GET", "PUT"):
        assert answer.error()[0] == "KeyTooLongError"


@pytest.mark.lethe_only("plain SeaweedFS has files and folders")
def test_key_and_keys_below_it_are_both_kept_or_refused(target, s3, bucket):
    answers = {key: call(target, "PUT", bucket, key, body=key.encode()) for key in ("a", "a/b", "a/b/c")}
    for key, answer in answers.items():
        got = call(target, "GET", bucket, key)
        if answer.status == 200:
            assert (got.status, got.body) == (200, key.encode())
        else:
            assert target.kind == "seaweedfs" and 400 <= answer.status < 500, (key, answer.body)
            assert got.status in (400, 404)


def test_key_of_a_space_is_stored_and_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key=" ", Body=b"x")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [" "]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": " "}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
