"""A second implementation of docs/format.md, sharing no code with the first.

Reading goes through the `cryptography` package's own Cobblestone-256; only writing with a chosen salt, which that
package rightly does not offer, is spelled out here for the frozen vectors.
"""

import base64
import hashlib
import hmac
import struct

SEGMENT = 16384
OVERHEAD = 72
PART_MIN = 5 << 20
CHECKSUM_BYTES = {1: 4, 2: 4, 3: 8, 4: 20, 5: 32, 6: 16, 7: 64, 8: 8, 9: 8, 10: 16}
TEXT_FIELDS = {
    1: "content_type",
    2: "content_disposition",
    3: "content_encoding",
    4: "content_language",
    5: "cache_control",
    6: "expires",
}


class FormatError(Exception):
    """The stored bytes are not what their place calls for."""


def require(condition, what):
    if not condition:
        raise FormatError(what)


# Lengths (docs/format.md, section 5)


def sealed_len(p):
    return p + OVERHEAD + 16 * (p // SEGMENT)


def parts_max(p):
    return min(p // PART_MIN, 9999) + 1


def parts_area_len(p):
    return p + 16 * (p // SEGMENT) + OVERHEAD * parts_max(p)


def trailer_len(p):
    return sealed_len(160 + 128 * parts_max(p))


def stored_len(p):
    return parts_area_len(p) + trailer_len(p)


def plaintext_len_of_stored(c):
    low, high = 0, 5 << 40
    while low < high:
        middle = (low + high) // 2
        if stored_len(middle) < c:
            low = middle + 1
        else:
            high = middle
    require(stored_len(low) == c, "stored length")
    return low


# Contexts (section 3)


def context(label, *fields):
    out = label.encode()
    for field in fields:
        if isinstance(field, int):
            field = struct.pack(">Q", field)
        elif isinstance(field, str):
            field = field.encode()
        out += struct.pack(">I", len(field)) + field
    return out


def expand(key, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha512).digest()
        out += block
        counter += 1
    return out[:length]


def kek_commitment(kek, tenant, kek_id):
    return expand(kek, context("lethe/v1/kek-commit", tenant, kek_id), 32)


def bindings_sha256(bound_header, sealed_metadata):
    return hashlib.sha256(context("lethe/v1/bindings", bound_header, sealed_metadata)).digest()


def dek_context(place, header, sealed_metadata):
    return context(
        "lethe/v1/dek",
        header["suite"],
        place["tenant"],
        place["domain"],
        place["bucket"],
        place["object_key"],
        header["object_id"],
        header["kek_id"],
        b"",
        header["kind"],
        header["plaintext_bytes"] if header["kind"] == 1 else b"",
        bindings_sha256(header["bound"], sealed_metadata),
    )


# Messages (section 2)


def open_message(key, message_context, sealed):
    from cryptography.cobblestone import Cobblestone256Decryptor

    decryptor = Cobblestone256Decryptor(key, message_context)
    return bytes(decryptor.update(sealed)) + bytes(decryptor.finalize())


def seal_message(key, message_context, salt, plaintext):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + message_context
    derived = expand(key, info, 76)
    aead, base_nonce, commitment = AESGCM(derived[:32]), derived[32:44], derived[44:]
    out = salt + commitment
    for segment in range(len(plaintext) // SEGMENT + 1):
        counter = int.from_bytes(base_nonce, "big") ^ segment
        piece = plaintext[segment * SEGMENT : (segment + 1) * SEGMENT]
        out += aead.encrypt(counter.to_bytes(12, "big"), piece, None)
    return out


# Customer keys (section 6.1)


def customer_keys(kek, tenant, kek_id, object_id, customer_key):
    """The key that wraps the DEK, and the header's check."""
    from cryptography.hazmat.primitives.hashes import SHA512
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    input_key = context("lethe/v1/customer-key", tenant, kek_id, customer_key)
    wrap, check = b"lethe/v1/customer-wrap", context("lethe/v1/customer-check", object_id)
    return (
        HKDF(SHA512(), 32, salt=kek, info=wrap).derive(input_key),
        HKDF(SHA512(), 16, salt=kek, info=check).derive(input_key),
    )


# Records of an upload (section 8.1)


def checksum_plaintext(algorithm, checksum_type, value):
    return bytes([algorithm, checksum_type]) + value + bytes(64 - len(value))


def part_list_digest(dek, tenant, object_id, parts):
    """`parts` are (number, plaintext length, checksum value)."""
    listed = b"".join(struct.pack(">HQB", n, p, len(value)) + value for n, p, value in parts)
    info = context("lethe/v1/part-list", tenant, object_id) + struct.pack(">Q", len(listed)) + listed
    return expand(dek, info, 32)


# Header (section 6)


def decode_header(text):
    raw = base64.b64decode(text, validate=True)
    require(base64.b64encode(raw).decode() == text, "header base64")
    require(raw[0] == 1 and raw[1] in (1, 2) and raw[2] in (1, 2), "header version, suite or kind")
    bound = raw[:-104]
    before_check = 131 if raw[2] == 1 else 67
    require(len(bound) == before_check + (16 if raw[1] == 2 else 0), "header length")
    header = {
        "bound": bound,
        "suite": bound[1],
        "kind": bound[2],
        "customer_check": bound[before_check:],
        "kek_id": bound[3:19],
        "kek_commitment": bound[19:51],
        "object_id": bound[51:67],
        "wrapped_dek": raw[-104:],
    }
    if header["kind"] == 1:
        header["pins"] = bound[67:123]
        header["plaintext_bytes"] = int.from_bytes(bound[123:131], "big")
    return header


def bound_header(kek_id, commitment, object_id, single=None, customer_check=b""):
    head = bytes([1, 2 if customer_check else 1, 1 if single else 2]) + kek_id + commitment + object_id
    if single:
        pins, plaintext_bytes = single
        head += pins + struct.pack(">Q", plaintext_bytes)
    return head + customer_check


# Metadata (section 7)


def put_length(n):
    return bytes([n]) if n < 128 else struct.pack(">H", n | 0x8000)


def encode_metadata(metadata):
    out = b""
    for tag, name in TEXT_FIELDS.items():
        if metadata.get(name) is not None:
            value = metadata[name].encode()
            out += bytes([tag]) + put_length(len(value)) + value
    if metadata.get("checksum"):
        algorithm, kind, value = metadata["checksum"]
        out += bytes([7, algorithm, kind]) + bytes.fromhex(value)
    if metadata.get("user"):
        user = sorted((k.encode(), v.encode()) for k, v in metadata["user"].items())
        out += b"\x08" + put_length(len(user))
        for name, value in user:
            out += put_length(len(name)) + name + put_length(len(value)) + value
    return out + bytes(-len(out) % 64 if out else 64)


def decode_metadata(padded):
    at, metadata = 0, {"user": {}}

    def take(n):
        nonlocal at
        require(at + n <= len(padded), "metadata length")
        at += n
        return padded[at - n : at]

    def get_length():
        first = take(1)[0]
        return first if first < 128 else (first & 0x7F) << 8 | take(1)[0]

    while at < len(padded) and padded[at]:
        tag = take(1)[0]
        if tag in TEXT_FIELDS:
            metadata[TEXT_FIELDS[tag]] = take(get_length()).decode()
        elif tag == 7:
            algorithm, kind = take(2)
            metadata["checksum"] = [algorithm, kind, take(CHECKSUM_BYTES[algorithm]).hex()]
        elif tag == 8:
            for _ in range(get_length()):
                name = take(get_length()).decode()
                metadata["user"][name] = take(get_length()).decode()
        else:
            raise FormatError("metadata field")
    require(encode_metadata(metadata) == padded, "metadata is not in its one form")
    return metadata


# Trailer (section 8)


def encode_trailer(object_id, checksum, parts):
    p = sum(part["plaintext_bytes"] for part in parts)
    algorithm, kind, value = checksum or (0, 0, "")
    out = struct.pack(">QHBB4x", p, len(parts), algorithm, kind) + object_id
    out += bytes.fromhex(value).ljust(64, b"\0") + bytes(64)
    for part in parts:
        algorithm, value = part.get("checksum") or (0, "")
        out += struct.pack(">HB", part["number"], algorithm)
        out += part["plaintext_bytes"].to_bytes(5, "big") + part["pins"]
        out += bytes.fromhex(value).ljust(64, b"\0")
    return out.ljust(160 + 128 * parts_max(p), b"\0")


def decode_trailer(raw):
    p, count, algorithm, kind = struct.unpack_from(">QHBB", raw)
    checksum = [algorithm, kind, raw[32 : 32 + CHECKSUM_BYTES[algorithm]].hex()] if algorithm else None
    parts = []
    for index in range(count):
        record = raw[160 + 128 * index : 288 + 128 * index]
        number, part_algorithm = struct.unpack_from(">HB", record)
        part = {
            "number": number,
            "plaintext_bytes": int.from_bytes(record[3:8], "big"),
            "pins": record[8:64],
        }
        if part_algorithm:
            part["checksum"] = (part_algorithm, record[64 : 64 + CHECKSUM_BYTES[part_algorithm]].hex())
        parts.append(part)
    require(encode_trailer(raw[16:32], checksum, parts) == raw, "trailer is not in its one form")
    return p, raw[16:32], checksum, parts


# A whole object (section 11)


def read_object(place, header_text, sealed_metadata, body):
    header = decode_header(header_text)
    tenant, object_id = place["tenant"], header["object_id"]
    require(header["kek_id"] == place["kek_id"], "KEK id")
    commitment = kek_commitment(place["kek"], tenant, place["kek_id"])
    require(header["kek_commitment"] == commitment, "KEK commitment")
    wrapping_key, check = place["kek"], b""
    if customer_key := place.get("customer_key"):
        wrapping_key, check = customer_keys(place["kek"], tenant, place["kek_id"], object_id, customer_key)
    require(header["customer_check"] == check, "customer key")
    dek = open_message(wrapping_key, dek_context(place, header, sealed_metadata), header["wrapped_dek"])
    metadata = decode_metadata(
        open_message(dek, context("lethe/v1/meta", tenant, object_id), sealed_metadata)
    )
    p = plaintext_len_of_stored(len(body))
    trailer_context = context("lethe/v1/trailer", tenant, object_id, p)
    trailer = open_message(dek, trailer_context, body[parts_area_len(p) :])
    trailer_p, trailer_id, checksum, parts = decode_trailer(trailer)
    require((trailer_p, trailer_id) == (p, object_id), "trailer of another object")
    if header["kind"] == 1:
        require(header["plaintext_bytes"] == p and len(parts) == 1, "single")
        require(parts[0]["pins"] == header["pins"], "pins")
    at, plaintext = 0, b""
    for part in parts:
        sealed = body[at : at + sealed_len(part["plaintext_bytes"])]
        at += len(sealed)
        require(sealed[:56] == part["pins"], "another attempt at a part")
        part_context = context("lethe/v1/part", tenant, object_id, part["number"])
        plaintext += open_message(dek, part_context, sealed)
    return {"metadata": metadata, "checksum": checksum, "plaintext": plaintext}
