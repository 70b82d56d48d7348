"""Ed25519 as docs/receipts.md §1 wants it: RFC 8032 without a cofactor, small-order and non-canonical values refused.

PyPI `cryptography` verifies; what it does not refuse is decided here, by RFC 8032 §5.1.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

P = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1)


def decode(encoded):
    """The affine point of a canonical encoding, or None (RFC 8032 §5.1.3)."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * SQRT_MINUS_1 % P
    elif v * x * x % P != u:
        return None
    if x == 0 and sign:
        return None
    return (P - x if x % 2 != sign else x, y)


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    cross = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + cross, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - cross, P - 2, P)
    return (x % P, y % P)


def is_sound_point(encoded):
    """Whether 32 bytes are the canonical encoding of a curve point that is not of small order."""
    point = decode(encoded) if len(encoded) == 32 else None
    if point is None:
        return False
    for _ in range(3):
        point = add(point, point)
    return point != NEUTRAL


def holds(public_key, signature, message):
    """Whether `signature` over `message` holds under a key that `is_sound_point` accepted."""
    if len(signature) != 64 or not is_sound_point(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
