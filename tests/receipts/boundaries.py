"""Files at both sides of every limit in time, and signatures at the edges of Ed25519: where verifiers differ if they differ."""

import copy
import datetime
import hashlib

import ed25519_strict
import forge

MOMENT = 1_775_001_600
EVENTS = {
    "requested": lambda statements: [(one["predicate"]["termination"], "requestedAt") for one in statements],
    "approved": lambda statements: [(one["predicate"]["termination"]["approvals"][1], "at") for one in statements],
    "grace": lambda statements: [(one["predicate"]["termination"], "graceEnded") for one in statements],
    "tenant fence": lambda statements: [(one["predicate"]["fences"][0], "raisedAt") for one in statements],
    "nodes fence": lambda statements: [(statements[1]["predicate"]["fences"][1], "raisedAt")],
    "backup": lambda statements: [(statements[1]["predicate"]["backup"], "at")],
    "destroyed": lambda statements: [(statements[1]["predicate"]["root"], "destroyedAt")],
    "revoked from": lambda statements: [(statements[0]["predicate"]["times"], "started")],
    "revoked": lambda statements: [(statements[0]["predicate"]["times"], "finished")],
    "erased from": lambda statements: [(statements[1]["predicate"]["times"], "started")],
    "erased": lambda statements: [(statements[1]["predicate"]["times"], "finished")],
}
WITNESSED = "witnessed"


def written(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_at(erased, shifts):
    """The statements revoked and erased with every event at one moment, but for those that `shifts` names."""
    statements = copy.deepcopy(erased)
    for event, places in EVENTS.items():
        for container, name in places(statements):
            container[name] = written(MOMENT + shifts.get(event, 0))
    # Neither before the destruction nor after the end of the stage.
    past = min(shifts.get("destroyed", 0), shifts.get("erased", 0))
    for approval in (one["predicate"]["termination"]["approvals"][0] for one in statements):
        approval["at"] = written(MOMENT)
    statements[1]["predicate"]["rootBackupHorizon"] = written(MOMENT + shifts.get("horizon", past))
    forge.relink(statements)
    return forge.receipt_file(statements, [dict.fromkeys(forge.WITNESSES, MOMENT + shifts.get(WITNESSED, 0))] * 2)


def pairs_of_events(erased):
    """Each two events 300 and 301 seconds apart, all others within the tolerance of both."""
    trust = forge.encoded(forge.trust())
    names = [*EVENTS, WITNESSED]
    for late in names:
        for early in names:
            for apart in (300, 301) if late != early else ():
                file = file_at(erased, {late: apart - 150, early: -150})
                yield f"{late} {apart} after {early}", forge.encoded(file), trust


def ends_of_windows(erased):
    """Windows that end or begin around the moment, with the cosignatures at it and 300 seconds off it."""
    for witnessed in (-300, 0, 86400):
        file = forge.encoded(file_at(erased, {WITNESSED: witnessed}))
        for role in ("issuers", "validators", "log"):
            for end in ("notBefore", "notAfter"):
                for offset in (-301, -300, -299, -1, 0, 1, 299, 300, 301, 86399, 86400, 86401):
                    trust = forge.trust()
                    trust[role][0][end] = written(MOMENT + offset)
                    yield f"{role} {end} {offset} witnessed {witnessed}", file, forge.encoded(trust)


def horizons(erased):
    for offset in (-301, -300, -1, 0, 1):
        yield f"horizon {offset}", forge.encoded(file_at(erased, {"horizon": offset})), forge.encoded(forge.trust())


class SmallCommitment(forge.MixedOrderSigner):
    """An honest key (the part added is neutral) that signs with an R of small order, as whoever holds the key could."""

    ORDER_EIGHT = (1).to_bytes(32, "little")

    def __init__(self, commitment):
        super().__init__("issuer")
        self.commitment = commitment

    def sign(self, message):
        hashed = hashlib.sha512(self.commitment + self.public + message).digest()
        answer = int.from_bytes(hashed, "little") * self.scalar % ed25519_strict.GROUP_ORDER
        return self.commitment + answer.to_bytes(32, "little")


def small_commitments(erased):
    """R of each small order, canonically encoded and not."""
    point, eighth = (0, 1), ed25519_strict.decode(forge.MixedOrderSigner.ORDER_EIGHT)
    for number in range(8):
        encoded = ed25519_strict.encode(point)
        forms = {"": encoded, " with the sign of zero": (int.from_bytes(encoded, "little") ^ 1 << 255).to_bytes(32, "little")}
        if point[1] < 19:
            forms[" past the field"] = (int.from_bytes(encoded, "little") + ed25519_strict.P).to_bytes(32, "little")
        for form, commitment in forms.items():
            signers = (SmallCommitment(commitment), forge.VALIDATOR)
            times = [dict.fromkeys(forge.WITNESSES, MOMENT + 60)]
            file = forge.receipt_file(erased[:1], times, signers)
            yield f"R of small order {number}{form}", forge.encoded(file), forge.encoded(forge.trust())
        point = ed25519_strict.add(point, eighth)


def mixed_order_issuers(erased):
    """An issuer's key of mixed order, which docs/receipts.md §1 allows: about every eighth signature holds."""
    issuer = forge.MixedOrderSigner("issuer of mixed order")
    trust = forge.trust()
    trust["issuers"] = [issuer.trusted(notBefore="2026-01-01T00:00:00Z", notAfter=None)]
    for number in range(48):
        statements = copy.deepcopy(erased[:1])
        statements[0]["predicate"]["sanitization"]["personnel"] = f"person {number}"
        file = forge.receipt_file(statements, [dict.fromkeys(forge.WITNESSES, MOMENT + 60)], (issuer, forge.VALIDATOR))
        yield f"mixed order {number:03}", forge.encoded(file), forge.encoded(trust)


def all_boundaries(erased):
    """(name, receipt, trust) of all of them, from the good statements `revoked` and `erased`."""
    forge.relink(erased)
    for kind in (pairs_of_events, ends_of_windows, horizons, small_commitments, mixed_order_issuers):
        yield from kind(erased)
