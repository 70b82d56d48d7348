"""Bodies that are the same in every run, and their checksums."""

import base64
import hashlib
import random
import zlib

from awscrt import checksums

MIB = 1024 * 1024
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def body(size: int, seed: int | str = 0) -> bytes:
    """`size` bytes that depend on the seed alone."""
    return random.Random(f"{seed}:{size}").randbytes(size)


def checksum(algorithm: str, data: bytes) -> str:
    """A checksum as S3 writes it."""
    if algorithm == "CRC32":
        raw = zlib.crc32(data).to_bytes(4, "big")
    elif algorithm == "CRC32C":
        raw = checksums.crc32c(data).to_bytes(4, "big")
    elif algorithm == "CRC64NVME":
        raw = checksums.crc64nvme(data).to_bytes(8, "big")
    else:
        raw = hashlib.new(algorithm.lower(), data).digest()
    return base64.b64encode(raw).decode()


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()
