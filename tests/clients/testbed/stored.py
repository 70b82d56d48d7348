"""The bytes that a variant keeps, found and changed behind the gateway's back."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

from .target import Target

BLOCK = 8 * 1024 * 1024


def files_under(*roots: Path) -> Iterator[Path]:
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def encodings(marker: bytes) -> set[bytes]:
    """A marker as it may lie in a file: raw, hexadecimal, UTF-16, and base64 at each of its three alignments."""
    found = {marker, marker.hex().encode(), marker.hex().upper().encode()}
    if marker.isascii():
        found.add(marker.decode().encode("utf-16-le"))
    for alphabet in (None, b"-_"):
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + marker, altchars=alphabet)
            # Characters that also hold bits of the neighbours are left off at both ends.
            found.add(text[4 if shift else 0 : len(text) // 4 * 4 - 4])
    return found


def files_with(marker: bytes, *roots: Path) -> list[Path]:
    """The files that hold a marker in any encoding, in their bytes or in their name."""
    assert len(marker) >= 12, "shorter ones turn up by chance"
    needles = encodings(marker)
    longest = max(map(len, needles))
    hits = []
    for path in files_under(*roots):
        if marker in os.fsencode(str(path)):
            hits.append(path)
            continue
        try:
            with path.open("rb") as file:
                tail = b""
                while block := file.read(BLOCK):
                    if any(needle in tail + block for needle in needles):
                        hits.append(path)
                        break
                    tail = (tail + block)[-longest:]
        except FileNotFoundError:
            continue  # A store's own compaction took it away.
    return hits


def flip_at(path: Path, offset: int) -> None:
    """Flips one bit of one byte of a file, in place."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x01]))
        file.flush()
        os.fsync(file.fileno())


class Upstream:
    """The store behind the gateway, seen with its own administrator: for SeaweedFS only."""

    def __init__(self, target: Target):
        self.client = target.store.client()

    def buckets(self) -> set[str]:
        return {b["Name"] for b in self.client.list_buckets()["Buckets"]}

    def read(self, bucket: str, key: str) -> tuple[bytes, dict]:
        """A stored object's bytes and everything kept beside them."""
        got = self.client.get_object(Bucket=bucket, Key=key)
        kept = {name: got[name] for name in ("Metadata", "ContentDisposition", "ContentType") if got.get(name)}
        return got["Body"].read(), kept

    def write(self, bucket: str, key: str, data: bytes, kept: dict) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data, **kept)
