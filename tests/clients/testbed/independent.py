"""What an attacker with copies reads: keys and objects opened from files alone, by the second implementation of the format.

No gateway takes part. Keys come from a key store's SQLite file and a directory of root keys, objects from an embedded
region's directory; opening is `envelope/tests/python/lethe_format.py`'s, on PyPI's `cryptography`.
"""

import base64
import hashlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .target import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "envelope/tests/python"))
import lethe_format  # noqa: E402

# Opens a node's wrap in its context.
Opener = Callable[[bytes, bytes], bytes]
ROOT_LABEL = b"lethe/v1/root\0\0\0"
STORED = re.compile(rb'"lethe-h":"([A-Za-z0-9+/=]{228,316})","lethe-m":"([A-Za-z0-9+/=]+)"')


class NotOpened(Exception):
    """A key or an object that what there is does not open."""


def root_key(directory: Path, epoch: int) -> bytes:
    """A `file` provider's root key of an epoch: label, key store's identity, epoch, key, SHA-256 of all that."""
    file = directory / f"epoch-{epoch}.key"
    if not file.is_file():
        raise NotOpened(f"there is no root key of epoch {epoch}")
    raw = file.read_bytes()
    if len(raw) != 104 or raw[:16] != ROOT_LABEL or hashlib.sha256(raw[:72]).digest() != raw[72:]:
        raise NotOpened(f"the root key of epoch {epoch} is damaged")
    assert int.from_bytes(raw[32:40], "big") == epoch
    return raw[40:72]


def root_keys(directory: Path) -> dict[int, bytes]:
    """All root keys of a directory, by epoch."""
    epochs = sorted(int(file.stem.removeprefix("epoch-")) for file in directory.glob("epoch-*.key"))
    return {epoch: root_key(directory, epoch) for epoch in epochs}


@dataclass(frozen=True)
class Keys:
    """One tenant's newest KEK and everything that it is wrapped under."""

    root: bytes
    node: bytes
    kek: bytes
    kek_id: bytes


def opened(key: bytes, context: bytes, sealed: bytes, what: str) -> bytes:
    try:
        return lethe_format.open_message(key, context, sealed)
    except Exception as error:
        raise NotOpened(f"{what} does not open") from error


def keys(key_store: Path, roots: dict[int, bytes | Opener], domain: str, tenant: bytes) -> Keys:
    """A tenant's keys by a key store's file and root keys, whichever of those opens them; the KEK is checked by its commitment.

    A root that a provider does not give out is a function that opens with it.
    """
    with sqlite3.connect(f"file:{key_store}?mode=ro", uri=True) as store:
        row = store.execute(
            "SELECT k.kek_id, k.wrapped, k.commitment, k.place, k.generation, n.wrapped FROM keks k JOIN nodes n"
            " ON n.place = k.place AND n.generation = k.generation WHERE k.tenant = ? ORDER BY k.version DESC", (tenant,)
        ).fetchone()  # fmt: skip
    if row is None:
        raise NotOpened("the key store has no key of the tenant")
    kek_id, wrapped_kek, commitment, place, generation, wrapped_node = row
    node_context = lethe_format.context("lethe/v1/node", domain, place, generation)
    kek_context = lethe_format.context("lethe/v1/kek", domain, place, tenant, kek_id, generation)
    refused = NotOpened("there is no root key")
    # What epoch the store names is not believed: every root key is tried.
    for root in roots.values():
        try:
            node = root(node_context, wrapped_node) if callable(root) else opened(root, node_context, wrapped_node, "the node")
        except NotOpened as error:
            refused = error
            continue
        kek = opened(node, kek_context, wrapped_kek, "the KEK")
        assert lethe_format.kek_commitment(kek, tenant, kek_id) == commitment
        return Keys(b"" if callable(root) else root, node, kek, kek_id)
    raise refused


def nodes(key_store: Path, roots: dict[int, bytes], domain: str) -> Iterator[bytes]:
    """Every node that a key store holds."""
    with sqlite3.connect(f"file:{key_store}?mode=ro", uri=True) as store:
        rows = store.execute("SELECT place, generation, epoch, wrapped FROM nodes").fetchall()
    for place, generation, epoch, wrapped in rows:
        yield opened(roots[epoch], lethe_format.context("lethe/v1/node", domain, place, generation), wrapped, "a node")


def wrapped_kek(key_store: Path, domain: str, tenant: bytes) -> tuple[bytes, bytes]:
    """The context and the wrap of a tenant's newest KEK."""
    with sqlite3.connect(f"file:{key_store}?mode=ro", uri=True) as store:
        kek_id, wrapped, place, generation = store.execute(
            "SELECT kek_id, wrapped, place, generation FROM keks WHERE tenant = ? ORDER BY version DESC", (tenant,)
        ).fetchone()  # fmt: skip
    return lethe_format.context("lethe/v1/kek", domain, place, tenant, kek_id, generation), wrapped


def opened_by_any(keys: list[bytes], context: bytes, sealed: bytes) -> bytes:
    """What the first of the keys that opens a KEK's wrap makes of it."""
    for key in keys:
        try:
            return opened(key, context, sealed, "the KEK")
        except NotOpened:
            continue
    raise NotOpened("the KEK does not open")


def dek(found: Keys, region: Path, place: dict) -> bytes:
    """The DEK of the object at a place: `tenant`, `domain`, `bucket`, `object_key`, and `object_id` as `object inspect` tells."""
    header, metadata, _ = stored(region, place)
    context = lethe_format.dek_context(place, header, metadata)
    return opened(found.kek, context, header["wrapped_dek"], "the DEK")


def stored(region: Path, place: dict) -> tuple[dict, bytes, str]:
    """An object's header, sealed metadata, and the header's text, out of an embedded region's index."""
    for match in STORED.finditer((region / "index.redb").read_bytes()):
        text, metadata = match[1].decode(), base64.b64decode(match[2])
        header = lethe_format.decode_header(text)
        if header["object_id"] == place["object_id"]:
            return header, metadata, text
    raise NotOpened("the region does not hold the object")


def read_object(found: Keys, region: Path, place: dict) -> bytes:
    """The plaintext of an object, out of an embedded region's directory."""
    header, metadata, text = stored(region, place)
    length = lethe_format.stored_len(header["plaintext_bytes"])
    whole = place | {"kek": found.kek, "kek_id": found.kek_id}
    refused = NotOpened("the region does not hold the object's body")
    for file in (region / "bodies").glob("*/*"):
        if file.stat().st_size != length:
            continue
        try:
            return lethe_format.read_object(whole, text, metadata, file.read_bytes())["plaintext"]
        except Exception as error:
            refused = NotOpened(f"{file.name} does not open: {error!r}")
    raise refused


def place_of(inspected: dict, tenant: str, domain: str, bucket: str, key: str) -> dict:
    """Where an object lies, from what `object inspect` printed of it."""
    return {
        "tenant": bytes.fromhex(tenant), "domain": domain, "bucket": bucket, "object_key": key,
        "object_id": bytes.fromhex(inspected["header"]["object_id"]),
    }  # fmt: skip


def opens_with_any(candidates: list[bytes], key_store: Path, region: Path, place: dict) -> bool:
    """Whether any of these keys opens a tenant's wrapped KEKs, as far as the key store has some, or the DEK of its object, as far as the region does."""
    wrapped = []
    try:
        header, metadata, _ = stored(region, place)
        wrapped.append((lethe_format.dek_context(place, header, metadata), header["wrapped_dek"]))
    except NotOpened:
        pass
    with sqlite3.connect(f"file:{key_store}?mode=ro", uri=True) as store:
        there = store.execute("SELECT count(*) FROM keks WHERE tenant = ?", (place["tenant"],)).fetchone() != (0,)
    if there:
        wrapped.append(wrapped_kek(key_store, place["domain"], place["tenant"]))
    for context, sealed in wrapped:
        try:
            opened_by_any(candidates, context, sealed)
        except NotOpened:
            continue
        return True
    return False
