"""A second verifier of receipts, written from docs/receipts.md alone: it shares no line and no author's eye with the first.

Usage: second_reader.py RECEIPT TRUST. Prints the verdict as JSON; exit codes are those of §9.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import reader_forms
import reader_rules
from ed25519_strict import holds
from merkle_rfc9162 import grown, included
from strict_json import MAX_INTEGER, Malformed, base64_bytes, canonical, parse

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STAGES = ["revoked", "erased", "purged"]
NOTE_BYTES_MAX = 64 * 1024
YEAR_10000 = 253402300800


class Report:
    """The checks that were made, in order."""

    def __init__(self):
        self.checks = []

    def add(self, check, outcome):
        self.checks.append((check, {True: "ok", False: "failed", None: "missing"}[outcome]))
        return outcome

    def result(self):
        """(verdict, deciding check or None)."""
        for outcome, verdict in (("failed", "invalid"), ("missing", "incomplete")):
            for check, found in self.checks:
                if found == outcome:
                    return verdict, check
        return "verified", None


def pae(envelope):
    kind, payload = envelope["payloadType"].encode(), envelope["payload"]
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def formed(form, value):
    try:
        return form(value)
    except Malformed:
        return None


def verify(receipt_bytes, trust_bytes):
    """The Report of §9."""
    report = Report()
    trust = formed(lambda data: reader_forms.trust_file(parse(data)), trust_bytes)
    if not report.add("trust-file", trust is not None):
        return report
    public_keys = [key["publicKey"] for key in reader_forms.all_keys(trust)]
    report.add("trust-roles", len(set(public_keys)) == len(public_keys))
    file = formed(lambda data: reader_forms.receipt_file(parse(data)), receipt_bytes)
    if not report.add("receipt-file", file is not None):
        return report
    statements, held = [], []
    for receipt in file["receipts"]:
        held.append(check_signatures(report, receipt["envelope"], trust))
        statements.append(check_statement(report, receipt["envelope"], trust))
    if any(statement is None for statement in statements):
        return report
    check_stages(report, file["receipts"], statements)
    check_log(report, file, statements, held, trust)
    report.add("erasure", None if statements[-1]["predicate"]["stage"] == "revoked" else True)
    return report


def check_signatures(report, envelope, trust):
    """The trusted issuers' and validators' keys whose signatures hold: (issuer or None, [validators])."""
    report.add("payload-type", envelope["payloadType"] == PAYLOAD_TYPE)
    signed, signatures = pae(envelope), envelope["signatures"]
    issuers = {key["keyid"]: key for key in trust["issuers"]}
    validators = {key["keyid"]: key for key in trust["validators"]}
    issuer = issuers.get(signatures[0]["keyid"]) if signatures else None
    report.add("issuer-signature", issuer is not None and holds(issuer["publicKey"], signatures[0]["sig"], signed))
    known = [(validators[one["keyid"]], one["sig"]) for one in signatures[1:] if one["keyid"] in validators]
    holding = [key for key, signature in known if holds(key["publicKey"], signature, signed)]
    ids = [one["keyid"] for one in signatures]
    report.add(
        "validator-signatures",
        len(ids) <= 64
        and len(set(ids)) == len(ids)
        and not any(one in issuers for one in ids[1:])
        and len(holding) == len(known),
    )
    return issuer, holding


def check_statement(report, envelope, trust):
    """The statement, or None if it could not be read."""
    payload = envelope["payload"]
    value = formed(lambda data: [parse(data)], payload)
    if not report.add("payload-canonical", value is not None and canonical(value[0]) == payload):
        return None
    statement = formed(reader_forms.statement, value[0])
    if not report.add("statement-format", statement is not None):
        return None
    predicate = statement["predicate"]
    accepted = trust["mode"] == "dev" or predicate["termination"]["mode"] == "production"
    report.add("domain", predicate["domain"]["name"] == trust["domain"] and accepted)
    for check, outcome in reader_rules.for_each_statement(statement):
        report.add(check, outcome)
    return statement


def check_stages(report, receipts, statements):
    stages = [statement["predicate"]["stage"] for statement in statements]
    report.add("stages", stages == STAGES[: len(stages)])
    for before, receipt, earlier, later in zip(receipts, receipts[1:], statements, statements[1:]):
        digest = hashlib.sha256(pae(before["envelope"])).digest()
        report.add("previous", later["predicate"]["previous"] == {"sha256": digest})
        report.add("same-facts", reader_rules.same_facts(earlier, later))


class Checkpoint:
    """A checkpoint that is ok: size, root, the trusted log keys that signed it, the times of trusted cosignatures."""

    LINE = re.compile(r"\u2014 ([!-*,-~]{1,255}) (\S+)")

    def __init__(self, note, trust):
        if len(note.encode("utf-8", "surrogatepass")) > NOTE_BYTES_MAX or not note.endswith("\n"):
            raise Malformed("not a note")
        text, separator, rest = note.partition("\n\n")
        lines, signatures = text.split("\n"), rest[:-1].split("\n")
        if not separator or len(lines) != 3 or not 1 <= len(signatures) <= 100:
            raise Malformed("not a checkpoint")
        if lines[0] != trust["origin"] or not re.fullmatch("0|[1-9][0-9]*", lines[1], re.ASCII):
            raise Malformed("not a checkpoint of this log")
        if len(lines[1]) > 16 or int(lines[1]) > MAX_INTEGER:
            raise Malformed("tree too large")
        self.size, self.root = int(lines[1]), base64_bytes(32)(lines[2])
        if self.size == 0 and self.root != hashlib.sha256().digest():
            raise Malformed("not the root of the empty tree")
        self.log_keys, self.times, self.signed_by = [], [], set()
        self.body = (text + "\n").encode()
        known = self.known_keys(trust)
        for line in signatures:
            self.read_signature(line, known)
        if not self.log_keys:
            raise Malformed("no log key of the trust file signed it")

    @staticmethod
    def known_keys(trust):
        roles = [(trust["origin"], 1, key) for key in trust["log"]]
        roles += [(key["name"], 4, key) for key in trust["witnesses"]]
        return {
            (name, hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key["publicKey"]).digest()[:4]): (kind, key)
            for name, kind, key in roles
        }

    def read_signature(self, line, known):
        match = self.LINE.fullmatch(line)
        blob = base64_bytes()(match[2]) if match else b""
        if len(blob) < 5:
            raise Malformed("not a signature line")
        signer = (match[1], blob[:4])
        kind, key = known.get(signer, (None, None))
        if key is not None and signer in self.signed_by:
            raise Malformed("two lines of one key")
        self.signed_by.add(signer)
        if kind == 1:
            if not holds(key["publicKey"], blob[4:], self.body):
                raise Malformed("wrong log signature")
            self.log_keys.append(key)
        elif kind == 4:
            stamp = int.from_bytes(blob[4:12], "big")
            message = b"cosignature/v1\ntime %d\n" % stamp + self.body
            if stamp > MAX_INTEGER or not holds(key["publicKey"], blob[12:], message):
                raise Malformed("wrong cosignature")
            self.times.append(stamp)


def check_log(report, file, statements, held, trust):
    before, index_before = None, -1
    for number, (receipt, statement) in enumerate(zip(file["receipts"], statements)):
        logged, checkpoint, witnessed = receipt["logged"], None, None
        if logged is None:
            report.add("checkpoint", None)
        else:
            checkpoint = formed(lambda note: Checkpoint(note, trust), logged["checkpoint"])
            report.add("checkpoint", checkpoint is not None)
        if checkpoint is not None:
            witnessed = check_cosignatures(report, checkpoint, trust["witnessThreshold"])
            entry = hashlib.sha256(b"lethe/v1/statement-leaf" + pae(receipt["envelope"])).digest()
            report.add(
                "statement-logged",
                logged["index"] > index_before
                and included(entry, logged["index"], checkpoint.size, logged["proof"], checkpoint.root),
            )
            if before is not None:
                proof = logged["consistency"]
                report.add(
                    "log-consistency", grown(before.size, before.root, checkpoint.size, checkpoint.root, proof)
                )
            if number == 0:
                report.add("keys-logged", keys_logged(file["keys"], statement, logged["index"], checkpoint))
        finished = statement["predicate"]["times"]["finished"]
        if witnessed is not None:
            report.add("witnessed-time", reader_rules.by(finished, witnessed))
        report.add("key-windows", windows_open(held[number], checkpoint, witnessed, finished))
        report.add("validator-threshold", len(held[number][1]) >= trust["validatorThreshold"] or None)
        before, index_before = checkpoint, logged["index"] if logged else index_before


def check_cosignatures(report, checkpoint, threshold):
    """The witnessed time, if there is one."""
    if len(checkpoint.times) < threshold:
        report.add("cosignatures", None)
        return None
    witnessed = sorted(checkpoint.times)[threshold - 1] if threshold else None
    in_range = witnessed is None or witnessed < YEAR_10000
    report.add("cosignatures", in_range)
    return witnessed if in_range else None


def keys_logged(proofs, statement, statement_index, checkpoint):
    keys = statement["predicate"]["keys"]
    if not proofs:
        return None
    indexes = [one["index"] for one in proofs]
    return (
        len(proofs) == len(keys)
        and all(earlier < later for earlier, later in zip(indexes, indexes[1:] + [statement_index]))
        and all(
            included(key["entry"], one["index"], checkpoint.size, one["proof"], checkpoint.root)
            for key, one in zip(keys, proofs)
        )
    )


def windows_open(holding, checkpoint, witnessed, finished):
    issuer, validators = holding
    at = finished if witnessed is None else witnessed
    return (
        issuer is not None
        and is_open(issuer, at)
        and is_open(issuer, finished, reader_rules.SKEW_SECONDS)
        and all(is_open(key, at) for key in validators)
        and (checkpoint is None or any(is_open(key, at) for key in checkpoint.log_keys))
    )


def is_open(key, at, skew=0):
    return key["notBefore"] <= at + skew and (key["notAfter"] is None or at - skew <= key["notAfter"])


def main(arguments):
    if len(arguments) != 2:
        print("usage: second_reader.py RECEIPT TRUST", file=sys.stderr)
        return 1
    try:
        receipt, trust = (Path(name).read_bytes() for name in arguments)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    report = verify(receipt, trust)
    verdict, check = report.result()
    print(json.dumps({"verdict": verdict, "check": check, "checks": report.checks}))
    return {"verified": 0, "invalid": 3, "incomplete": 4}[verdict]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
