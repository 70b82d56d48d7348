"""Other people's tools agree about good receipts, and refuse what was changed: openssl, securesystemslib, pymerkle, cryptography."""

import base64
import copy
import hashlib
import json
import subprocess

import forge
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from merkle_rfc9162 import grown, included, leaf_hash
from pymerkle import InmemoryTree, InvalidProof, verify_inclusion
from pymerkle.proof import InclusionProof
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

SIGNERS = ("issuers", "validators")


def flipped(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def openssl_verifies(folder, public_key, signature, message):
    paths = {name: folder / name for name in ("key.pem", "sig", "pae")}
    pem = Ed25519PublicKey.from_public_bytes(public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in (("key.pem", pem), ("sig", signature), ("pae", message)):
        paths[name].write_bytes(content)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", paths["key.pem"]]
    run = subprocess.run([*command, "-sigfile", paths["sig"], "-in", paths["pae"]], capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    return run.returncode == 0


def test_openssl_verifies_every_known_signature_of_good_receipts(good, tmp_path):
    keys = good.public_keys(*SIGNERS)
    for envelope in good.envelopes():
        payload = base64.b64decode(envelope["payload"])
        kind = envelope["payloadType"].encode()
        message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        known = [(keys[one["keyid"]], base64.b64decode(one["sig"])) for one in envelope["signatures"] if one["keyid"] in keys]
        assert known
        for key, signature in known:
            assert openssl_verifies(tmp_path, key, signature, message)
            assert not openssl_verifies(tmp_path, key, signature, flipped(message, 30))
            assert not openssl_verifies(tmp_path, key, signature, message + b"\n")


def sslib_keys(case, *roles):
    public = case.public_keys(*roles).items()
    return [SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw), keyid=keyid) for keyid, raw in public]


def test_securesystemslib_verifies_the_envelopes_of_good_receipts(good):
    for made in good.envelopes():
        envelope = Envelope.from_dict(copy.deepcopy(made))
        assert envelope.verify(sslib_keys(good, "issuers"), 1).keys() == {made["signatures"][0]["keyid"]}
        known = {one["keyid"] for one in made["signatures"]} & good.public_keys(*SIGNERS).keys()
        assert envelope.verify(sslib_keys(good, *SIGNERS), len(known)).keys() == known
        for changed in (
            Envelope(flipped(envelope.payload), envelope.payload_type, envelope.signatures),
            Envelope(envelope.payload, "application/json", envelope.signatures),
        ):
            with pytest.raises(VerificationError):
                changed.verify(sslib_keys(good, *SIGNERS), 1)


class Note:
    """A checkpoint taken apart: its three lines, its tree, its signature lines as (name, note id, rest)."""

    def __init__(self, text):
        self.body, _, rest = text.partition("\n\n")
        self.body += "\n"
        self.origin, size, root, _ = self.body.split("\n")
        self.size, self.root = int(size), base64.b64decode(root)
        split = [line.removeprefix("\u2014 ").split(" ") for line in rest.rstrip("\n").split("\n")]
        self.lines = [(name, *self._material(encoded)) for name, encoded in split]

    @staticmethod
    def _material(encoded):
        material = base64.b64decode(encoded)
        return material[:4], material[4:]

    def of(self, name, kind, public_key):
        """What the key's lines hold behind the note id."""
        short = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]
        return [rest for who, note_id, rest in self.lines if (who, note_id) == (name, short)]


def logged_receipts(case):
    return [receipt for receipt in case.receipts()["receipts"] if receipt["logged"] is not None]


def test_cryptography_verifies_the_log_and_its_witnesses_on_good_checkpoints(good):
    trust = good.trusted()
    for receipt in logged_receipts(good):
        note = Note(receipt["logged"]["checkpoint"])
        signed = []
        for keyid, raw in good.public_keys("log").items():
            signed += [(raw, rest, note.body.encode()) for rest in note.of(trust["origin"], 1, raw)]
        assert signed, "a log key signed"
        for witness in trust["witnesses"]:
            raw = base64.b64decode(witness["publicKey"])
            for rest in note.of(witness["name"], 4, raw):
                time = int.from_bytes(rest[:8], "big")
                signed.append((raw, rest[8:], f"cosignature/v1\ntime {time}\n{note.body}".encode()))
        if good.verdict == "verified":
            assert len(signed) > trust["witnessThreshold"]
        for raw, signature, message in signed:
            key = Ed25519PublicKey.from_public_bytes(raw)
            key.verify(signature, message)
            with pytest.raises(InvalidSignature):
                key.verify(signature, flipped(message, len(message) - 3))


def pymerkle_included(entry, index, size, proof, root):
    """pymerkle counts leaves from one and carries the leaf and the turns in the proof; a tree of its own gives the turns."""
    tree = InmemoryTree(algorithm="sha256")
    leaf = tree.hash_buff(entry)
    tree.append_entries([b"any"] * size)
    rule = tree.prove_inclusion(index + 1, size).rule
    made = InclusionProof("sha256", True, size, index + 1, rule, [leaf, *proof])
    try:
        verify_inclusion(leaf, root, made, index=index + 1, size=size, algorithm="sha256")
    except InvalidProof:
        return False
    return True


MERKLE = pytest.mark.parametrize("holds", [included, pymerkle_included], ids=["rfc9162", "pymerkle"])


def decoded(steps):
    return [base64.b64decode(step) for step in steps]


@MERKLE
def test_independent_merkle_trees_include_statements_and_keys_of_good_receipts(good, holds):
    proofs = []
    file = good.receipts()
    for number, receipt in enumerate(logged_receipts(good)):
        logged, payload = receipt["logged"], base64.b64decode(receipt["envelope"]["payload"])
        note = Note(logged["checkpoint"])
        envelope = Envelope(payload, receipt["envelope"]["payloadType"], {})
        entry = hashlib.sha256(b"lethe/v1/statement-leaf" + envelope.pae()).digest()
        proofs.append((entry, logged["index"], note, decoded(logged["proof"])))
        if number == 0:
            keys = [bytes.fromhex(key["entry"]) for key in json.loads(payload)["predicate"]["keys"]]
            proofs += [(entry, key["index"], note, decoded(key["proof"])) for entry, key in zip(keys, file["keys"])]
    assert proofs or good.check == "checkpoint"
    for entry, index, note, proof in proofs:
        assert holds(entry, index, note.size, proof, note.root)
        assert not holds(flipped(entry), index, note.size, proof, note.root)
        assert not holds(entry, index, note.size, proof[:-1], note.root)
        assert not holds(entry, index, note.size, [*proof, bytes(32)], note.root)
        assert not holds(entry, index ^ 1, note.size, proof, note.root)
        assert not holds(entry, index, note.size, [flipped(proof[0]), *proof[1:]], note.root)


# pymerkle's consistency proofs have another shape than RFC 6962's (it takes the new part apart down to a leaf), so it cannot read
# ours; its trees are the same, and the verifier used here is held to them below.
def test_independent_merkle_verifier_sees_that_the_log_only_grew_between_good_checkpoints(good):
    logged = [receipt["logged"] for receipt in logged_receipts(good)]
    for before, after in zip(logged, logged[1:]):
        old, new, proof = Note(before["checkpoint"]), Note(after["checkpoint"]), decoded(after["consistency"])
        assert grown(old.size, old.root, new.size, new.root, proof)
        assert not grown(old.size, flipped(old.root), new.size, new.root, proof)
        assert not grown(old.size, old.root, new.size, flipped(new.root), proof)
        if proof:
            assert not grown(old.size, old.root, new.size, new.root, [flipped(proof[0]), *proof[1:]])
            assert not grown(old.size, old.root, new.size, new.root, proof[:-1])


def test_independent_merkle_verifier_agrees_with_pymerkles_trees():
    entries = [b"entry %d" % number for number in range(34)]
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(entries)
    leaves = [leaf_hash(entry) for entry in entries]
    roots = [None, *(tree.get_root(size) for size in range(1, 35))]
    for size in range(1, 35):
        for index in range(size):
            proof = tree.prove_inclusion(index + 1, size).path[1:]
            assert proof == forge.inclusion(index, leaves[:size])
            assert included(entries[index], index, size, proof, roots[size])
        for first in range(1, size + 1):
            proof = forge.consistency(first, leaves[:size])
            assert grown(first, roots[first], size, roots[size], proof)
            assert not grown(first, roots[first], size, roots[size - 1] or bytes(32), proof)
            assert not grown(first, flipped(roots[first]), size, roots[size], proof)
