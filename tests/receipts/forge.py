"""Signs and logs statements with keys of its own, so that a mutated statement reaches the checks behind the signatures.

Keys come from a seed: the same mutants every time.
"""

import base64
import hashlib
import json

import ed25519_strict
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from merkle_rfc9162 import leaf_hash, node_hash
from strict_json import canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ORIGIN = "lethe/eu/0123456789abcdef"


def b64(data):
    return base64.b64encode(data).decode()


class Signer:
    def __init__(self, role):
        self.secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a test's key: " + role.encode()).digest())
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.keyid = hashlib.sha256(self.public).hexdigest()

    def sign(self, message):
        return self.secret.sign(message)

    def trusted(self, **more):
        return {"keyid": self.keyid, "publicKey": b64(self.public), **more}

    def note_id(self, name, kind):
        return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + self.public).digest()[:4]


class MixedOrderSigner(Signer):
    """A key with a part of small order: its signatures hold with a cofactor, and without one only where the hash is a multiple of 8."""

    ORDER_EIGHT = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")

    def __init__(self, role):
        super().__init__(role)
        self.scalar = self._scalar(self.secret)
        self.public = ed25519_strict.encode(
            ed25519_strict.add(ed25519_strict.decode(self.public), ed25519_strict.decode(self.ORDER_EIGHT))
        )
        self.keyid = hashlib.sha256(self.public).hexdigest()

    @staticmethod
    def _scalar(secret):
        """RFC 8032 §5.1.5."""
        seed = secret.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        clamped = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
        return clamped & ~7 & ((1 << 254) - 1) | 1 << 254

    def sign(self, message):
        once = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a test's nonce" + message).digest())
        commitment = once.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        challenge = int.from_bytes(hashlib.sha512(commitment + self.public + message).digest(), "little")
        answer = (self._scalar(once) + challenge * self.scalar) % ed25519_strict.GROUP_ORDER
        return commitment + answer.to_bytes(32, "little")


ISSUER, OLD_ISSUER, VALIDATOR, LOG = Signer("issuer"), Signer("old issuer"), Signer("validator"), Signer("log")
WITNESSES = {f"witness-{number}.example": Signer(f"witness {number}") for number in (1, 2, 3)}


def trust():
    window = {"notBefore": "2026-01-01T00:00:00Z", "notAfter": None}
    return {
        "format": "lethe-trust/v1",
        "domain": "eu",
        "mode": "production",
        "origin": ORIGIN,
        "issuers": [
            ISSUER.trusted(**window),
            OLD_ISSUER.trusted(notBefore="2025-01-01T00:00:00Z", notAfter="2026-01-01T00:00:00Z"),
        ],
        "validators": [VALIDATOR.trusted(name="Prüf AG", **window)],
        "validatorThreshold": 1,
        "log": [LOG.trusted(**window)],
        "witnesses": [signer.trusted(name=name) for name, signer in WITNESSES.items()],
        "witnessThreshold": 2,
    }


def pae(payload):
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def envelope(statement, signers=(ISSUER, VALIDATOR)):
    payload = canonical(statement)
    signatures = [{"keyid": one.keyid, "sig": b64(one.sign(pae(payload)))} for one in signers]
    return {"payload": b64(payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}


def relink(statements):
    """Sets what follows from the rest: KEK entries and their chain, subjects, the digests of the stages before."""
    digest = None
    for statement in statements:
        predicate, previous = statement["predicate"], "0" * 64
        for key in predicate["keys"]:
            key["previous"] = previous
            material = b"".join(bytes.fromhex(key[name]) for name in ("nonce", "kekId", "commitment", "previous"))
            previous = key["entry"] = hashlib.sha256(b"lethe/v1/kek-leaf" + material).hexdigest()
        for subject in statement["subject"]:
            subject["digest"]["sha256"] = previous
        if predicate["previous"] is not None:
            predicate["previous"]["sha256"] = digest
        digest = hashlib.sha256(pae(canonical(statement))).hexdigest()


def root_of(leaves):
    """RFC 6962 §2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def inclusion(index, leaves):
    """RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*inclusion(index, leaves[:split]), root_of(leaves[split:])]
    return [*inclusion(index - split, leaves[split:]), root_of(leaves[:split])]


def consistency(first, leaves, whole=True):
    """RFC 6962 §2.1.2."""
    if first == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if first <= split:
        return [*consistency(first, leaves[:split], whole), root_of(leaves[split:])]
    return [*consistency(first - split, leaves[split:], False), root_of(leaves[:split])]


def note(body, cosigned_at, signers=(LOG,), name=ORIGIN):
    """A checkpoint; `cosigned_at` maps witnesses' names to POSIX seconds."""
    lines = [(name, signer.note_id(name, 1), signer.sign(body.encode())) for signer in signers]
    for witness, seconds in cosigned_at.items():
        signer = WITNESSES[witness]
        signature = signer.sign(b"cosignature/v1\ntime %d\n" % seconds + body.encode())
        lines.append((witness, signer.note_id(witness, 4), (seconds % 2**64).to_bytes(8, "big") + signature))
    return body + "\n" + "".join(f"\u2014 {who} {b64(short + signature)}\n" for who, short, signature in lines)


def receipt_file(statements, cosigned_at, signers=(ISSUER, VALIDATOR)):
    """A receipt file of statements in a log that holds other entries too; one map of cosignatures for each stage."""
    others = (leaf_hash(hashlib.sha256(b"another's entry %d" % number).digest()) for number in range(1000))
    keys = [bytes.fromhex(key["entry"]) for key in statements[0]["predicate"]["keys"]]
    leaves, key_indexes, receipts = [next(others)], [], []
    for entry in keys:
        leaves += [next(others), next(others)]
        key_indexes.append(len(leaves))
        leaves.append(leaf_hash(entry))
    before = 0
    for stage, (statement, times) in enumerate(zip(statements, cosigned_at)):
        made = envelope(statement, signers)
        entry = hashlib.sha256(b"lethe/v1/statement-leaf" + pae(base64.b64decode(made["payload"]))).digest()
        index = len(leaves)
        leaves += [leaf_hash(entry), *(next(others) for _ in range(2 * stage + 1))]
        logged = {
            "index": index,
            "proof": [b64(step) for step in inclusion(index, leaves)],
            "checkpoint": note(f"{ORIGIN}\n{len(leaves)}\n{b64(root_of(leaves))}\n", times),
            "consistency": [b64(step) for step in consistency(before, leaves)] if stage else [],
        }
        if not stage:
            proofs = [{"index": at, "proof": [b64(step) for step in inclusion(at, leaves)]} for at in key_indexes]
        before = len(leaves)
        receipts.append({"envelope": made, "logged": logged})
    return {"format": "lethe-receipt/v1", "receipts": receipts, "keys": proofs}


def encoded(value):
    return json.dumps(value, ensure_ascii=False).encode()
