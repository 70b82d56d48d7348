"""Request smuggling and other shapes of HTTP/1: where a request ends, whom it is for, and what it may not become.

Behind each malformed request lies a DELETE of the victim, rightly signed, that a lenient reader would find there. `attack` looks
after it afterwards.
"""

import ssl

import pytest

from testbed.abuse import Attack, raw
from testbed.wire import Wire

pytestmark = [pytest.mark.lethe_only("SeaweedFS has its own ideas of HTTP"), pytest.mark.one_variant("the edge answers")]


def hidden(attack: Attack) -> bytes:
    """The request that nobody may see."""
    return attack.request("DELETE", f"/{attack.bucket}/victim")


def with_lines(request: bytes, *lines: str) -> bytes:
    """A signed request with lines put at the end of its head, as they are."""
    end = b"\r\n\r\n"
    return request.replace(end, b"\r\n" + b"\r\n".join(line.encode("latin-1") for line in lines) + end, 1)


# hyper's own refusals have no document; the guard's have S3's.
BARE = (400, None)
LENGTH_MISSING = (411, "MissingContentLength")
OTHER_CODING = (501, "NotImplemented")

FRAMINGS = {
    "CL.TE": (LENGTH_MISSING, "Content-Length: 5", "Transfer-Encoding: chunked"),
    "TE.CL": (LENGTH_MISSING, "Transfer-Encoding: chunked", "Content-Length: 5"),
    "chunked without a length": (LENGTH_MISSING, "Transfer-Encoding: chunked"),
    "chunked in capitals": (LENGTH_MISSING, "Transfer-Encoding: CHUNKED"),
    "chunked behind a tab": (LENGTH_MISSING, "Transfer-Encoding:\tchunked"),
    "chunked, then identity": (BARE, "Transfer-Encoding: chunked, identity"),
    "identity, then chunked": (OTHER_CODING, "Transfer-Encoding: identity, chunked"),
    "gzip, then chunked": (OTHER_CODING, "Transfer-Encoding: gzip, chunked"),
    "chunked twice in one line": (OTHER_CODING, "Transfer-Encoding: chunked, chunked"),
    "chunked and identity in two lines": (BARE, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "chunked in two lines": ((400, "InvalidArgument"), "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "xchunked": (BARE, "Transfer-Encoding: xchunked"),
    "chunked in quotes": (BARE, 'Transfer-Encoding: "chunked"'),
    "chunked with a parameter": (BARE, "Transfer-Encoding: chunked;a=b"),
    "chunked behind a vertical tab": (BARE, "Transfer-Encoding: \x0bchunked"),
    "chunked before a NUL": (BARE, "Transfer-Encoding: chunked\0"),
    "a space before the colon": (BARE, "Transfer-Encoding : chunked"),
    "a space before the name": (BARE, " Transfer-Encoding: chunked"),
    "folded value": (BARE, "Transfer-Encoding:", "\tchunked"),
    "folded into another header": (BARE, "x: a", "\tTransfer-Encoding: chunked", "Content-Length: 5"),
    "two lengths": (BARE, "Content-Length: 5", "Content-Length: 0"),
    "a list of equal lengths": (BARE, "Content-Length: 5, 5"),
    "a list of lengths": (BARE, "Content-Length: 5, 0"),
    "length with a plus": (BARE, "Content-Length: +5"),
    "length with a minus": (BARE, "Content-Length: -5"),
    "length in hexadecimal": (BARE, "Content-Length: 0x5"),
    "length with a fraction": (BARE, "Content-Length: 5.0"),
    "length with a gap": (BARE, "Content-Length: 5 5"),
    "length without digits": (BARE, "Content-Length:"),
    "length of 2^64": (BARE, "Content-Length: 18446744073709551616"),
    "length of 23 digits": (BARE, "Content-Length: 99999999999999999999999"),
}


@pytest.mark.parametrize("shape", FRAMINGS)
def test_request_whose_end_is_unclear_is_refused_and_hides_no_other(attack, shape):
    """Request smuggling (CL.TE, TE.TE, CL.CL): one answer, then the connection ends."""
    (status, code), *lines = FRAMINGS[shape]
    put = with_lines(attack.request("PUT", f"/{attack.bucket}/new"), *lines)
    attack.refused(put + b"0\r\n\r\n" + hidden(attack), status, code, closes=True)


@pytest.mark.parametrize("length", ("{}", "   {}", "{}   ", "000{}"))
def test_length_that_can_be_read_in_one_way_covers_what_lies_in_the_body(attack, make_bucket, s3, length):
    """A request hidden in a body is the object's bytes, however the length is spelled."""
    bucket, body = make_bucket(), hidden(attack)
    put = with_lines(attack.request("PUT", f"/{bucket}/new"), "Content-Length: " + length.format(len(body)))
    assert attack.reply(put + body).status == 200
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == body


@pytest.mark.parametrize("method", ("GET", "DELETE", "HEAD"))
def test_body_of_a_request_that_needs_none_is_not_the_next_request(attack, method):
    """A GET with a body, the next request in it."""
    body = hidden(attack)
    with attack.connect() as wire:
        wire.send(attack.request(method, f"/{attack.bucket}/none", body=body) + attack.probe())
        first = wire.reply(is_head=method == "HEAD")
        assert first.status == (204 if method == "DELETE" else 404)
        following = None if first.closes else wire.reply()
        assert following is None or b"LocationConstraint" in following.body
        assert following or wire.ended()


def test_chunk_sizes_of_http_that_lie_hide_no_request(attack):
    """HTTP chunks with an overflowing size, none, a sign, or bytes past their end."""
    for size in ("fffffffffffffffff", "", "-5", "+5", "0x5", "5 5", "5\n", "g"):
        put = attack.request(
            "PUT", f"/{attack.bucket}/new", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            headers=[("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")],
            unsigned=[("Transfer-Encoding", "chunked")],
        )  # fmt: skip
        reply = attack.refused(put + f"{size}\r\nhello\r\n0\r\n\r\n".encode() + hidden(attack), 400, "IncompleteBody", closes=True)
        assert reply.closes, size


def test_requests_in_a_pipeline_are_answered_each_and_in_order(attack):
    """Pipelining itself is no attack, and what one request does wrong is not the next one's."""
    unknown = attack.signer.but(access_key_id="AKIDUNKNOWNUNKNOWN00")
    refused = attack.request("GET", f"/{attack.bucket}", signer=unknown)
    with attack.connect() as wire:
        wire.send(attack.probe() + refused + attack.probe())
        assert [wire.reply().status for _ in range(3)] == [200, 403, 200]


LINES = {
    "carriage return alone": lambda request: request.replace(b"\r\nx-amz-date", b"\rx-amz-date"),
    "carriage return in a value": lambda request: with_lines(request, "x: a\rb"),
    "NUL in a value": lambda request: with_lines(request, "x: a\0b"),
    "NUL in a name": lambda request: with_lines(request, "x\0: a"),
    "NUL in the target": lambda request: request.replace(b"location", b"loc\0ation"),
    "byte that is not UTF-8 in the target": lambda request: request.replace(b"location", b"loc\xffation"),
    "space in the target": lambda request: request.replace(b"location", b"loc ation"),
    "tab in the request line": lambda request: request.replace(b" HTTP/1.1", b"\tHTTP/1.1"),
    "two spaces in the request line": lambda request: request.replace(b"GET ", b"GET  "),
    "space before the method": lambda request: b" " + request,
    "name with a space before its colon": lambda request: request.replace(b"Host:", b"Host :"),
    "HTTP/0.9": lambda _: b"GET /\r\n",
    "HTTP/1.2": lambda request: request.replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/2.0": lambda request: request.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "TLS in TLS": lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
}  # fmt: skip


@pytest.mark.parametrize("shape", LINES)
def test_head_that_is_not_http_is_a_bare_400(attack, shape):
    """Bytes that no parser may mend."""
    attack.refused(LINES[shape](attack.probe()) + hidden(attack), 400, None, closes=True)


def test_line_end_without_its_carriage_return_adds_no_header(attack):
    """RFC 9112 §2.2 lets a server take a line feed alone. What a proxy took for one value is then two headers, so the second one
    must be signed or mean nothing."""
    assert attack.reply(attack.probe().replace(b"\r\n", b"\n")).status == 200
    path = f"/{attack.bucket}/new"
    for smuggled in ("x-amz-copy-source: /{b}/victim", "x-amz-acl: private", "x-amz-meta-a: b"):
        put = attack.request("PUT", path, body=b"", unsigned=[("x", "a\n" + smuggled.format(b=attack.bucket))])
        attack.refused(put, 403, "AccessDenied")


HOSTS = {
    "missing": lambda request, host: request.replace(b"Host:", b"X-Host:"),
    "twice": lambda request, host: request.replace(b"Host:", b"Host: evil.example\r\nHost:"),
    "twice the same": lambda request, host: request.replace(b"Host:", b"Host: " + host + b"\r\nHost:"),
    "another in the request line": lambda request, host: request.replace(b"GET /", b"GET https://evil.example/"),
    "a user in the request line": lambda request, host: request.replace(b"GET /", b"GET https://user@" + host + b"/"),
    "another port in the request line": lambda request, host: request.replace(b"GET /", b"GET https://127.0.0.1:1/"),
}


@pytest.mark.parametrize("shape", HOSTS)
def test_request_for_two_hosts_or_none_is_refused(attack, shape):
    """Host confusion: what is signed and routed must be one host."""
    attack.refused(HOSTS[shape](attack.probe(), attack.signer.host.encode()), 400, "BadRequest", closes=False)


@pytest.mark.parametrize("host", ("", "evil.example", "127.0.0.1", "localhost", "victim.localhost", "127.0.0.1:443@evil.example"))
def test_request_signed_for_another_host_is_refused(attack, host):
    """A signature that was made for one gateway, sent to another."""
    request = attack.request("GET", f"/{attack.bucket}/victim")
    request = request.replace(b"Host: " + attack.signer.host.encode(), b"Host: " + host.encode())
    attack.refused(request, 403, "SignatureDoesNotMatch", closes=False)


def test_absolute_form_of_the_same_host_is_the_same_request(attack):
    request = attack.probe().replace(b"GET /", f"GET https://{attack.signer.host}/".encode())
    assert attack.reply(request).status == 200


@pytest.mark.parametrize("method", ("CONNECT", "TRACE", "PATCH", "PROPFIND", "get", "DELETE\x2dALL"))
def test_method_that_s3_has_not_is_not_allowed(attack, method):
    """TRACE would echo the signature, CONNECT make a proxy."""
    reply = attack.refused(attack.request(method, f"/{attack.bucket}/victim"), 405, "MethodNotAllowed", closes=False)
    assert reply.headers["allow"] == "GET, HEAD, PUT, POST, DELETE"
    assert b"authorization" not in reply.body.lower()


def test_connect_makes_no_proxy(attack):
    request = raw("CONNECT", "127.0.0.1:22", [("Host", "127.0.0.1:22")])
    attack.refused(request, 405, "MethodNotAllowed", closes=False)


def test_asterisk_names_nothing(attack):
    host = [("Host", attack.signer.host)]
    attack.refused(raw("OPTIONS", "*", host), 400, "BadRequest", closes=False)
    attack.refused(raw("GET", "*", host), 403, "AccessDenied", closes=False)


def test_http_1_0_is_answered_and_its_connection_ends(attack):
    request = attack.probe().replace(b"HTTP/1.1", b"HTTP/1.0")
    with attack.connect() as wire:
        wire.send(request + hidden(attack))
        assert wire.reply().status == 200
        assert wire.ended(), "a request behind one of HTTP/1.0 is none"
    put = with_lines(attack.request("PUT", f"/{attack.bucket}/new"), "Transfer-Encoding: chunked")
    attack.refused(put.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n" + hidden(attack), 400, None, closes=True)


@pytest.mark.parametrize("protocol", ("h2c", "websocket", "TLS/1.0"))
def test_upgrade_is_not_made(attack, protocol):
    """h2c smuggling: the connection stays HTTP/1.1, and what follows is read as that."""
    wanted = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    with attack.connect() as wire:
        wire.send(with_lines(attack.probe(), *wanted) + attack.probe())
        for _ in range(2):
            assert b"LocationConstraint" in wire.reply().body


@pytest.mark.parametrize("offered", (("h2",), ("h2", "http/1.1"), ("h2c",)))
def test_http_2_is_not_negotiated(target, attack, offered):
    """No HTTP/2, and so no rapid reset, no CONTINUATION flood and no HPACK bomb."""
    try:
        wire = Wire(target, protocols=offered)
    except ssl.SSLError as refused:
        assert "NO_APPLICATION_PROTOCOL" in str(refused).upper().replace(" ", "_") and "http/1.1" not in offered
        return
    with wire:
        assert wire.tls.selected_alpn_protocol() in (None, "http/1.1")
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + hidden(attack))
        assert wire.reply() is None, "no frame, no answer"
