"""Writes the frozen vectors of suite 1 or 2, or of uploads' records (`make_vectors.py 1|2|uploads FILE`), to the file named, which must
not exist yet.

Run once, by hand, for a new suite or a new kind of vector; no test runs it. The vectors of a suite never change:
a difference between them and the code is a broken reader of stored objects.
"""

import hashlib
import json
import sys

import lethe_format as fmt


def fixed(name, length):
    return hashlib.sha512(b"lethe vector: " + name.encode()).digest()[:length]


def pattern(length):
    return bytes((index * 7 + index // 256) % 256 for index in range(length))


TENANT, OBJECT, KEK_ID = (fixed(name, 16) for name in ("tenant", "object", "kek id"))
KEK, DEK = fixed("kek", 32), fixed("dek", 32)
PLACE = {
    "kek": KEK,
    "kek_id": KEK_ID,
    "tenant": TENANT,
    "domain": "eu",
    "bucket": "docs",
    "object_key": "a/b\u00e9 c",
}
METADATA = {
    "content_type": "text/plain; charset=utf-8",
    "content_encoding": "gzip",
    "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
    "checksum": [5, 1, hashlib.sha256(b"checksum").hexdigest()],
    "user": {"author": "Zo\u00eb", "empty": "", "long": "x" * 130},
}


def contexts():
    digest = fixed("bindings", 32)
    return {
        "part": fmt.context("lethe/v1/part", TENANT, OBJECT, 10000),
        "trailer": fmt.context("lethe/v1/trailer", TENANT, OBJECT, 5 << 40),
        "metadata": fmt.context("lethe/v1/meta", TENANT, OBJECT),
        "dek_single": fmt.context(
            "lethe/v1/dek", 1, TENANT, "eu", "docs", "a/b\u00e9 c", OBJECT, KEK_ID, "", 1, 26, digest
        ),
        "dek_multipart": fmt.context(
            "lethe/v1/dek", 1, TENANT, "eu", "docs", "a/b\u00e9 c", OBJECT, KEK_ID, "", 2, "", digest
        ),
        "kek": fmt.context("lethe/v1/kek", "eu", 1023, TENANT, KEK_ID, 7),
        "node": fmt.context("lethe/v1/node", "eu", 1024, 7),
    }


def messages():
    for length in (0, 1, 100, 16383, 16384, 16385, 32768, 50000, 257 * 16384 + 1):
        salt, message_context = fixed(f"salt {length}", 24), fixed(f"context {length}", 20)
        sealed = fmt.seal_message(DEK, message_context, salt, pattern(length))
        vector = {
            "context": message_context.hex(),
            "salt": salt.hex(),
            "plaintext_bytes": length,
            "sealed_sha256": hashlib.sha256(sealed).hexdigest(),
        }
        yield vector | ({"sealed": sealed.hex()} if length <= 100 else {})


def layouts():
    lengths = [0, 1, 16383, 16384, PART := 5 << 20, PART - 1, 2 * PART - 1, 100 << 20, 5 << 30]
    for p in lengths + [9999 * PART - 1, 9999 * PART, 5 << 40]:
        yield {
            "plaintext_bytes": p,
            "parts_max": fmt.parts_max(p),
            "parts_area_bytes": fmt.parts_area_len(p),
            "trailer_bytes": fmt.trailer_len(p),
            "stored_bytes": fmt.stored_len(p),
        }


def an_object(name, lengths, numbers, place=PLACE):
    plaintext, at, body, parts = pattern(sum(lengths)), 0, b"", []
    for length, number in zip(lengths, numbers):
        salt = fixed(f"{name} part {number}", 24)
        part_context = fmt.context("lethe/v1/part", TENANT, OBJECT, number)
        sealed = fmt.seal_message(DEK, part_context, salt, plaintext[at : at + length])
        parts.append({"number": number, "plaintext_bytes": length, "pins": sealed[:56]})
        if name == "multipart":
            parts[-1]["checksum"] = (1, fixed(f"crc {number}", 4).hex())
        at, body = at + length, body + sealed
    checksum = [3, 1, fixed("crc64", 8).hex()] if name == "single" else [5, 2, fixed("sha", 32).hex()]
    trailer_context = fmt.context("lethe/v1/trailer", TENANT, OBJECT, at)
    trailer_salt = fixed(f"{name} trailer", 24)
    trailer = fmt.seal_message(DEK, trailer_context, trailer_salt, fmt.encode_trailer(OBJECT, checksum, parts))
    body = body.ljust(fmt.parts_area_len(at), b"\0") + trailer
    assert len(body) == fmt.stored_len(at)

    metadata = fmt.seal_message(
        DEK,
        fmt.context("lethe/v1/meta", TENANT, OBJECT),
        fixed(f"{name} metadata", 24),
        fmt.encode_metadata(METADATA),
    )
    commitment = fmt.kek_commitment(KEK, TENANT, KEK_ID)
    single = (parts[0]["pins"], at) if name == "single" else None
    wrapping_key, check = KEK, b""
    if "customer_key" in place:
        wrapping_key, check = fmt.customer_keys(KEK, TENANT, KEK_ID, OBJECT, place["customer_key"])
    bound = fmt.bound_header(KEK_ID, commitment, OBJECT, single, check)
    header = {
        "bound": bound,
        "suite": bound[1],
        "kind": bound[2],
        "object_id": OBJECT,
        "kek_id": KEK_ID,
        "plaintext_bytes": at,
    }
    wrapped = fmt.seal_message(wrapping_key, fmt.dek_context(place, header, metadata), fixed(f"{name} wrap", 24), DEK)
    text = fmt.base64.b64encode(bound + wrapped).decode()
    assert fmt.read_object(place, text, metadata, body)["plaintext"] == plaintext
    return {
        "name": name,
        "part_numbers": numbers,
        "part_plaintext_bytes": lengths,
        "part_salts": [part["pins"][:24].hex() for part in parts],
        "header": text,
        "bindings_sha256": fmt.bindings_sha256(bound, metadata).hex(),
        "sealed_metadata": metadata.hex(),
        "sealed_trailer": trailer.hex(),
        "checksum": checksum,
        "body_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }


def hexed(place):
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in place.items()}


def suite_1():
    return {
        "about": "Frozen vectors of suite 0x01; see docs/format.md, section 12. They are never regenerated.",
        "plaintext": "byte i is (7 i + floor(i / 256)) mod 256",
        "place": hexed(PLACE),
        "dek": DEK.hex(),
        "object_id": OBJECT.hex(),
        "kek_commitment": fmt.kek_commitment(KEK, TENANT, KEK_ID).hex(),
        "bindings_field": fixed("bindings", 32).hex(),
        "contexts": {name: value.hex() for name, value in contexts().items()},
        "messages": list(messages()),
        "layouts": list(layouts()),
        "metadata": METADATA,
        "objects": [
            an_object("single", [26], [1]),
            an_object("multipart", [(5 << 20) + 5, 5 << 20, 77], [1, 2, 9]),
        ],
    }


def suite_2():
    """What differs from suite 1: the keys, the DEK wrap's context, the header."""
    place = PLACE | {"customer_key": fixed("customer key", 32)}
    wrapping_key, check = fmt.customer_keys(KEK, TENANT, KEK_ID, OBJECT, place["customer_key"])
    digest = fixed("bindings", 32)
    dek_single = fmt.context(
        "lethe/v1/dek", 2, TENANT, "eu", "docs", "a/b\u00e9 c", OBJECT, KEK_ID, "", 1, 26, digest
    )
    return {
        "about": "Frozen vectors of suite 0x02; see docs/format.md, section 12. They are never regenerated.",
        "plaintext": "byte i is (7 i + floor(i / 256)) mod 256",
        "place": hexed(place),
        "dek": DEK.hex(),
        "object_id": OBJECT.hex(),
        "kek_commitment": fmt.kek_commitment(KEK, TENANT, KEK_ID).hex(),
        "wrapping_key": wrapping_key.hex(),
        "customer_check": check.hex(),
        "bindings_field": digest.hex(),
        "contexts": {"dek_single": dek_single.hex()},
        "metadata": METADATA,
        "objects": [
            an_object("single", [26], [1], place),
            an_object("multipart", [(5 << 20) + 5, 77], [1, 9], place),
        ],
    }


def uploads():
    """The records of uploads."""
    sealed = []
    for number, (algorithm, kind, length) in enumerate([(3, 1, 8), (5, 2, 32), (7, 1, 64), (1, 1, 4)], 1):
        value, commitment = fixed(f"checksum {number}", length), fixed(f"commitment {number}", 32)
        message_context = fmt.context("lethe/v1/attempt", TENANT, OBJECT, number, commitment)
        plaintext = fmt.checksum_plaintext(algorithm, kind, value)
        message = fmt.seal_message(DEK, message_context, fixed(f"checksum salt {number}", 24), plaintext)
        sealed.append(
            {
                "part_number": number,
                "commitment": commitment.hex(),
                "context": message_context.hex(),
                "checksum": [algorithm, kind, value.hex()],
                "sealed": message.hex(),
            }
        )
    parts = [(1, 5 << 20, fixed("checksum 1", 8)), (2, 5 << 20, b""), (10000, 0, fixed("checksum 3", 64))]
    lists = [parts[:1], parts]
    return {
        "about": "Frozen vectors of uploads' records; see docs/format.md, section 8.1. They are never regenerated.",
        "dek": DEK.hex(),
        "tenant": TENANT.hex(),
        "object_id": OBJECT.hex(),
        "checksums": sealed,
        "part_lists": [
            {
                "parts": [[n, p, value.hex()] for n, p, value in listed],
                "digest": fmt.part_list_digest(DEK, TENANT, OBJECT, listed).hex(),
            }
            for listed in lists
        ],
    }


vectors = {"1": suite_1, "2": suite_2, "uploads": uploads}[sys.argv[1]]()
with open(sys.argv[2], "x") as out:
    json.dump(vectors, out, indent=1, ensure_ascii=True)
    out.write("\n")
