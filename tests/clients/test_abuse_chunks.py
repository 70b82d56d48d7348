"""aws-chunked bodies that are not what they say: sizes, signatures, lengths, ends and trailers.

s3s 0.14.1 reads a chunk of any size into memory, takes an end between two chunks for the body's, and compares no sums; the guard
closes that. Nothing may be stored: `attack` finds the victim's bucket as it was.
"""

import base64
import zlib

import pytest

from testbed.abuse import raw
from testbed.sigv4 import signature_of

pytestmark = pytest.mark.lethe_only("the gateway's own reader of aws-chunked")

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DATA = (b"first chunk ", b"second chunk")
WHOLE = b"".join(DATA)
CRC32 = base64.b64encode(zlib.crc32(WHOLE).to_bytes(4, "big"))
TRAILER = b"x-amz-checksum-crc32:" + CRC32
UNSIGNED_BODY = b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(WHOLE), WHOLE, TRAILER)

MALFORMED = (400, "InvalidRequest")
INCOMPLETE = (400, "IncompleteBody")
FORGED = (403, "SignatureDoesNotMatch")


class Upload:
    """A signed head and the chunks under it; `put` sends them together."""

    def __init__(self, attack, form: str, decoded: str | None = str(len(WHOLE)), trailer="x-amz-checksum-crc32", extra=()):
        self.attack, self.form, self.path = attack, form, f"/{attack.bucket}/chunked"
        self.date = attack.signer.date
        headers = [("x-amz-decoded-content-length", decoded)] if decoded is not None else []
        if form != SIGNED:
            headers.append(("x-amz-trailer", trailer))
        self.headers = attack.signer.headers("PUT", self.path, "", [*headers, *extra], form, self.date)
        self.seed = signature_of(self.headers)

    def signed_chunks(self, *pieces: bytes) -> list[bytes]:
        """Each piece and then the last, empty one, chained from the seed."""
        previous, chunks = self.seed, []
        for piece in (*pieces, b""):
            previous = self.attack.signer.chunk_signature(self.date, previous, piece)
            chunks.append(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), previous.encode(), piece))
        self.last_signature = previous
        return chunks

    def signed_trailer(self, line: bytes) -> bytes:
        signature = self.attack.signer.trailer_signature(self.date, self.last_signature, line + b"\n")
        return line + b"\r\nx-amz-trailer-signature:" + signature.encode() + b"\r\n\r\n"

    def request(self, body: bytes, length: int | None = None) -> bytes:
        return raw("PUT", self.path, [*self.headers, ("Content-Length", str(len(body) if length is None else length))], body)

    def refused(self, body: bytes, status: int, code: str, length: int | None = None) -> None:
        # Where no body comes at all the connection has nothing to get rid of.
        self.attack.refused(self.request(body, length), status, code, closes=bool(body))

    def is_stored(self, body: bytes) -> bool:
        """The control: whether an upload without a fault is there afterwards. It is deleted again."""
        assert self.attack.reply(self.request(body)).status == 200
        s3, bucket = self.attack.target.client(), self.attack.bucket
        found = s3.get_object(Bucket=bucket, Key="chunked")["Body"].read()
        s3.delete_object(Bucket=bucket, Key="chunked")
        return found == WHOLE


@pytest.fixture
def uploads(attack):
    """Makes uploads to the victim's bucket."""
    return lambda *args, **kwargs: Upload(attack, *args, **kwargs)


def test_upload_without_a_fault_is_stored_in_every_form(uploads):
    upload = uploads(SIGNED)
    assert upload.is_stored(b"".join(upload.signed_chunks(*DATA)))
    upload = uploads(SIGNED_TRAILER)
    *chunks, last = upload.signed_chunks(*DATA)
    assert upload.is_stored(b"".join(chunks) + last[:-2] + upload.signed_trailer(TRAILER))
    upload = uploads(UNSIGNED_TRAILER)
    assert upload.is_stored(UNSIGNED_BODY)


ORDERS = {
    "reordered": lambda first, second, last: second + first + last,
    "replayed": lambda first, second, last: first + first + last,
    "one left out": lambda first, second, last: second + last,
    "last one early": lambda first, second, last: last + first + second,
    "changed byte": lambda first, second, last: first.replace(b"first", b"First") + second + last,
    "upper-case signature": lambda first, second, last: first[:20] + first[20:84].upper() + first[84:] + second + last,
    "last one unsigned": lambda first, second, last: first + second + b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_signed_chunks_out_of_their_chain_are_refused(uploads, order):
    """Chunk signatures chain: each covers the one before."""
    upload = uploads(SIGNED)
    expected = {"upper-case signature": MALFORMED, "one left out": INCOMPLETE, "last one early": INCOMPLETE}.get(order, FORGED)
    upload.refused(ORDERS[order](*upload.signed_chunks(*DATA)), *expected)


def test_signed_chunks_of_another_seed_date_or_key_are_refused(uploads):
    """STREAMING-* with a wrong seed."""
    upload = uploads(SIGNED)
    upload.seed = "0" * 64
    upload.refused(b"".join(upload.signed_chunks(*DATA)), *FORGED)
    upload = uploads(SIGNED)
    upload.date = upload.date[:-3] + "00Z" if not upload.date.endswith("00Z") else upload.date[:-3] + "01Z"
    upload.refused(b"".join(upload.signed_chunks(*DATA)), *FORGED)
    first = uploads(SIGNED)
    replayed = b"".join(first.signed_chunks(*DATA))
    uploads(SIGNED, extra=[("x-amz-meta-a", "b")]).refused(replayed, *FORGED)


SIZES = {
    "16 digits": b"ffffffffffffffff",
    "17 digits": b"0" * 16 + b"c",
    "9 digits": b"00000000c",
    "sign": b"+c",
    "prefix": b"0xc",
    "no digits": b"",
    "space": b"c ",
    "not a digit": b"g",
    "NUL": b"c\0",
    "too many": b"c" * 100_000,
    "above 1 MiB": b"100001",
}


@pytest.mark.parametrize("size", SIZES)
def test_size_of_a_signed_chunk_that_is_none_is_refused_at_its_line(uploads, size):
    """Unbounded chunk sizes: s3s would hold up to 4 GiB of one in memory."""
    upload = uploads(SIGNED, decoded=str(4 << 30))
    line = SIZES[size] + b";chunk-signature=" + b"0" * 64 + b"\r\n"
    upload.refused(line + b"x" * 12, *MALFORMED, length=4 << 30)


UNSIGNED_LINES = {
    "17 digits": (MALFORMED, b"0" * 16 + b"c\r\n"),
    "sign": (MALFORMED, b"-c\r\n"),
    "prefix": (MALFORMED, b"0xc\r\n"),
    "extension": (MALFORMED, b"c;name=value\r\n"),
    "signature": (MALFORMED, b"c;chunk-signature=" + b"0" * 64 + b"\r\n"),
    "no digits": (MALFORMED, b"\r\n"),
    "line feed alone": (MALFORMED, b"c\n"),
    "endless line": (MALFORMED, b"0" * 1000),
    "more than declared": (INCOMPLETE, b"19\r\n"),
    "2^64 - 1": (INCOMPLETE, b"ffffffffffffffff\r\n"),
}


@pytest.mark.parametrize("line", UNSIGNED_LINES)
def test_line_of_an_unsigned_chunk_that_is_none_is_refused(uploads, line):
    """Leading zeros, extensions, overflows: both readers must see one size, or there is none."""
    (status, code), text = UNSIGNED_LINES[line]
    uploads(UNSIGNED_TRAILER).refused(text + WHOLE + b"\r\n0\r\n" + TRAILER + b"\r\n\r\n", status, code)


@pytest.mark.parametrize("behind", (b"", b"\n", b"\r", b"XX", b"\r\r\n", b"X\r\n"))
def test_chunk_that_does_not_end_with_crlf_is_refused(uploads, behind):
    """A missing CRLF would shift every byte behind it."""
    body = b"%x\r\n%s%s0\r\n%s\r\n\r\n" % (len(WHOLE), WHOLE, behind, TRAILER)
    uploads(UNSIGNED_TRAILER).refused(body, *MALFORMED)


@pytest.mark.parametrize("form", (SIGNED, UNSIGNED_TRAILER))
@pytest.mark.parametrize("decoded", ("0", str(len(WHOLE) - 1), str(len(WHOLE) + 1), str(4 << 30)))
def test_decoded_length_that_is_not_the_chunks_sum_is_refused(uploads, form, decoded):
    """Both directions: more and less than was sent."""
    upload = uploads(form, decoded=decoded)
    unsigned = UNSIGNED_BODY
    upload.refused(b"".join(upload.signed_chunks(*DATA)) if form == SIGNED else unsigned, *INCOMPLETE)


DECODED = {
    "absent": ((411, "MissingContentLength"), None),
    "negative": ((400, "InvalidArgument"), "-1"),
    "signed": ((400, "InvalidArgument"), "+24"),
    "empty": ((400, "InvalidArgument"), ""),
    "hexadecimal": ((400, "InvalidArgument"), "0x18"),
    "2^64": ((400, "InvalidArgument"), "18446744073709551616"),
    "9,999,999,999,999,999,999": ((400, "EntityTooLarge"), "9999999999999999999"),
    "above 5 GiB": ((400, "EntityTooLarge"), str((5 << 30) + 1)),
}


@pytest.mark.parametrize("decoded", DECODED)
def test_decoded_length_that_is_none_is_refused(uploads, decoded):
    """Overflow, signs and absence."""
    (status, code), value = DECODED[decoded]
    upload = uploads(UNSIGNED_TRAILER, decoded=value)
    upload.refused(UNSIGNED_BODY, status, code)


def test_decoded_length_there_twice_is_refused(uploads):
    twice = [("x-amz-decoded-content-length", str(len(WHOLE)))]
    upload = uploads(UNSIGNED_TRAILER, extra=twice)
    upload.refused(UNSIGNED_BODY, 400, "InvalidArgument")


ENDS = {
    "between chunks": lambda chunks: chunks[0],
    "before the last chunk": lambda chunks: chunks[0] + chunks[1],
    "within a chunk": lambda chunks: chunks[0] + chunks[1][:-9],
    "within a line": lambda chunks: chunks[0] + chunks[1][:9],
    "at once": lambda chunks: b"",
}


@pytest.mark.parametrize("end", ENDS)
def test_signed_body_that_ends_early_is_incomplete(uploads, end):
    """A cut upload must not pass for a whole one: s3s takes the end between two chunks for the body's."""
    upload = uploads(SIGNED)
    upload.refused(ENDS[end](upload.signed_chunks(*DATA)), *INCOMPLETE)


def test_connection_that_breaks_in_mid_chunk_stores_nothing(uploads):
    upload = uploads(SIGNED)
    body = b"".join(upload.signed_chunks(*DATA))
    for cut in (1, len(body) // 2, len(body) - 1):
        with upload.attack.connect() as wire:
            wire.send(upload.request(body[:cut], length=len(body)))


TRAILERS = {
    "unknown": b"x-amz-meta-planted:1\r\n\r\n",
    "another algorithm": b"x-amz-checksum-sha1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=\r\n\r\n",
    "none": b"\r\n",
    "twice": TRAILER + b"\r\n" + TRAILER + b"\r\n\r\n",
    "two values": TRAILER + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
    "one more": TRAILER + b"\r\nx-amz-acl:public-read\r\n\r\n",
    "oversized": TRAILER + b"\r\n" + b"x-filler:" + b"f" * 8192 + b"\r\n\r\n",
    "no colon": b"x-amz-checksum-crc32\r\n\r\n",
    "not base64": b"x-amz-checksum-crc32:!!!!!!==\r\n\r\n",
    "too short": b"x-amz-checksum-crc32:AAA=\r\n\r\n",
    "bytes that are not UTF-8": b"x-amz-checksum-crc32:\xff\xfe\r\n\r\n",
    "signed where it is not": TRAILER + b"\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n",
}


@pytest.mark.parametrize("trailer", TRAILERS)
def test_trailer_that_was_not_announced_so_is_refused(uploads, trailer):
    """Unknown, duplicate, oversized, malformed and missing trailers."""
    body = b"%x\r\n%s\r\n0\r\n" % (len(WHOLE), WHOLE) + TRAILERS[trailer]
    uploads(UNSIGNED_TRAILER).refused(body, *MALFORMED)


def test_trailer_of_another_value_is_a_bad_digest(uploads):
    body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(WHOLE), WHOLE)
    uploads(UNSIGNED_TRAILER).refused(body, 400, "BadDigest")


def test_signed_trailer_without_its_signature_or_with_anothers_is_refused(uploads):
    """Unsigned where signed was promised."""
    for signature in (b"", b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n"):
        upload = uploads(SIGNED_TRAILER)
        *chunks, last = upload.signed_chunks(*DATA)
        body = b"".join(chunks) + last[:-2] + TRAILER + b"\r\n" + signature + b"\r\n"
        upload.refused(body, *(FORGED if signature else MALFORMED))
    upload = uploads(SIGNED_TRAILER)
    *chunks, last = upload.signed_chunks(*DATA)
    signed = upload.signed_trailer(TRAILER)
    upload.refused(b"".join(chunks) + last[:-2] + signed.replace(CRC32, b"AAAAAA=="), *FORGED)


@pytest.mark.parametrize(
    "announced", ("x-amz-meta-a", "x-amz-checksum-md4", "x-amz-checksum-crc32,x-amz-checksum-sha1", "authorization")
)
def test_trailer_that_is_announced_and_no_checksum_is_refused(uploads, announced):
    body = b"%x\r\n%s\r\n0\r\n%s:1\r\n\r\n" % (len(WHOLE), WHOLE, announced.encode())
    uploads(UNSIGNED_TRAILER, trailer=announced).refused(body, *MALFORMED)


def test_bytes_behind_the_end_are_no_request(uploads, attack):
    """A request hidden behind the last chunk, within the declared length."""
    hidden = attack.request("DELETE", f"/{attack.bucket}/victim")
    body = UNSIGNED_BODY
    uploads(UNSIGNED_TRAILER).refused(body + hidden, *MALFORMED)


def test_body_over_the_cap_is_refused_before_it_is_read(attack):
    """5 GiB and a byte; and 2^63 - 1."""
    for length in ((5 << 30) + 1, (1 << 63) - 1):
        put = attack.request("PUT", f"/{attack.bucket}/large", unsigned=[("Content-Length", str(length))])
        attack.refused(put, 400, "EntityTooLarge", closes=True)


def test_put_without_a_length_is_refused(attack):
    """An empty PUT without a length: nothing says that it is over."""
    put = attack.request("PUT", f"/{attack.bucket}/empty")
    attack.refused(put, 411, "MissingContentLength")


def test_chunks_of_a_document_are_not_implemented(attack):
    """A document in chunks would pass the check of its digest."""
    headers = [("x-amz-decoded-content-length", "24"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    post = attack.request("POST", f"/{attack.bucket}", "delete", headers, payload=UNSIGNED_TRAILER, body=b"18\r\n")
    attack.refused(post, 501, "NotImplemented", closes=True)
