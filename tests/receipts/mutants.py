"""Random changes to good receipts, by a fixed seed: what any two verifiers must agree on."""

import base64
import copy
import datetime
import json
import random
import re

import boundaries
import forge
import strict_json
from strict_json import canonical

SEED = 800_88
FINISHED = 1_775_001_600  # About when the first stage of the good receipts was finished.
TIME = re.compile(r"[0-9-]{10}T[0-9:]{8}Z")
RAW = ("erased.receipt.json", "purged.receipt.json", "purged-after-a-rotation.receipt.json")
SHIFTS_SECONDS = (-86400, -301, -300, -299, -1, 1, 299, 300, 301, 86400, 864000)
STRANGE_TEXTS = ("", "x" * 1024, "x" * 1025, "é" * 512, "é" * 513, "a\u202eb", "a\u0085b", "\U0001f512", "unknown", "file")


def places(value, found=None):
    """Every (container, name or index) inside a JSON value."""
    found = [] if found is None else found
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for where, inner in items:
        found.append((value, where))
        places(inner, found)
    return found


def shifted(moment, seconds):
    parsed = datetime.datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ") + datetime.timedelta(seconds=seconds)
    return parsed.strftime("%Y-%m-%dT%H:%M:%SZ")


def other_value(value, chance):
    """A value near `value`: of its kind, mostly."""
    if chance.random() < 0.08:
        return chance.choice([None, [], {}, True, 0, "", "0" * 64, [value]])
    if isinstance(value, bool) or value is None:
        return chance.choice(["2026-04-01T00:00:00Z", "unknown", "clear", {"sha256": "0" * 64}, 0])
    if isinstance(value, int):
        return chance.choice([value + 1, max(value - 1, 0), 0, 1, 3600, 3601, 1000, 2**53 - 1, 2**53, 2**64])
    if isinstance(value, str):
        return other_text(value, chance)
    if isinstance(value, list):
        copied = copy.deepcopy(value)
        if copied and chance.random() < 0.5:
            del copied[chance.randrange(len(copied))]
        elif copied:
            copied.insert(chance.randrange(len(copied) + 1), copy.deepcopy(chance.choice(copied)))
        return copied if chance.random() < 0.8 else copied[::-1]
    copied = dict(value)
    if chance.random() < 0.5 and copied:
        del copied[chance.choice(sorted(copied))]
    else:
        copied["further"] = 1
    return copied


def other_text(value, chance):
    if TIME.fullmatch(value):
        shifts = [shifted(value, seconds) for seconds in SHIFTS_SECONDS]
        return chance.choice(shifts + [value[:-1] + "+00:00", value[:17] + "60Z", "2026-02-29T00:00:00Z", "1969-12-31T23:59:59Z"])
    words = {
        "opened": "refused", "refused": "opened", "software": "service", "service": "hardware", "hardware": "service",
        "logical": "bounded", "bounded": "hardware", "clear": "purge", "purge": "clear", "complete": "held",
        "production": "dev", "tenant": "nodes", "nodes": "tenant", "passed": "failed", "acknowledged": "expired",
        "openbao": "file", "revoked": "erased", "erased": "purged", "purged": "erased",
    }  # fmt: skip
    if value in words and chance.random() < 0.8:
        return words[value]
    if value and chance.random() < 0.6:
        at = chance.randrange(len(value))
        return value[:at] + chance.choice("0aAZ=+/ \n-é\u2014") + value[at + 1 :]
    return chance.choice([*STRANGE_TEXTS, value + "A", value[:-1], value.upper(), value + "\n"])


def change_json(document, chance):
    """One place of a JSON document replaced, dropped, or given another place's value; in place."""
    container, where = chance.choice(places(document))
    deed = chance.random()
    if deed < 0.12:
        del container[where]
    elif deed < 0.2:
        other, there = chance.choice(places(document))
        container[where] = copy.deepcopy(other[there])
    else:
        container[where] = other_value(container[where], chance)


def flip_bits(data, chance):
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def raw_mutants(fixtures, count):
    """(name, receipt, trust): good fixtures with flipped bits, cut ends, changed fields; signatures are left as they are."""
    chance = random.Random(SEED)
    for number in range(count):
        name = chance.choice(RAW)
        trust_name = "trust-rotated.json" if "rotation" in name else "trust.json"
        files = {"receipt": (fixtures / name).read_bytes(), "trust": (fixtures / trust_name).read_bytes()}
        which = chance.choice(("receipt", "receipt", "receipt", "trust"))
        deed = chance.random()
        if deed < 0.35:
            files[which] = flip_bits(files[which], chance)
        elif deed < 0.4:
            files[which] = files[which][: chance.randrange(len(files[which]))]
        else:
            document = json.loads(files[which])
            for _ in range(chance.choice((1, 1, 2))):
                change_json(document, chance)
            files[which] = forge.encoded(document)
        yield f"raw-{number:03}", files["receipt"], files["trust"]


def statements_of(fixture):
    receipts = json.loads(fixture.read_bytes())["receipts"]
    return [json.loads(base64.b64decode(receipt["envelope"]["payload"])) for receipt in receipts]


def cosigned_at(statements, chance):
    """Cosignatures of some witnesses soon after each stage."""
    times = []
    for statement in statements:
        try:
            finished = strict_json.time(statement["predicate"]["times"]["finished"])
        except (strict_json.Malformed, KeyError, TypeError):
            finished = FINISHED
        count = chance.choice((2, 2, 3, 3, 3, 1, 0)) if chance.random() < 0.2 else 3
        late = [finished + chance.choice((-301, -300, 0, 60, 3600)) if chance.random() < 0.15 else finished + 60 for _ in range(count)]
        times.append({name: max(moment, 0) for name, moment in zip(forge.WITNESSES, late)})
    return times


def signed_mutants(fixtures, count):
    """(name, receipt, trust): changed statements, signed and logged again by keys that the trust file names."""
    chance = random.Random(SEED + 1)
    for number in range(count):
        statements = statements_of(fixtures / chance.choice(RAW[:2]))
        try:
            for _ in range(chance.choice((1, 1, 1, 2))):
                spread_change(statements, chance)
            if chance.random() < 0.85:
                forge.relink(statements)
            for statement in statements:
                canonical(statement)
            signers = (forge.ISSUER, forge.VALIDATOR) if chance.random() < 0.95 else (forge.OLD_ISSUER,)
            file = forge.receipt_file(statements, cosigned_at(statements, chance), signers)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            continue  # The change left nothing that can be linked or logged; raw mutants cover such files.
        trust = forge.trust()
        if chance.random() < 0.2:
            change_json(trust, chance)
        yield f"signed-{number:03}", forge.encoded(file), forge.encoded(trust)


def spread_change(statements, chance):
    """A change in one statement, or the same one in all: the latter passes the comparison between stages."""
    if chance.random() < 0.5:
        return change_json(chance.choice(statements), chance)
    state = chance.getstate()
    for statement in statements:
        chance.setstate(state)
        predicate = statement["predicate"]
        common = {name: predicate[name] for name in ("domain", "tenant", "termination", "keys", "times")}
        change_json(common, chance)
        predicate.update(common)
    return None


def checkpoint_mutants(count, fixtures):
    """(name, receipt, trust): the first checkpoint changed as a text, signed again by the log and by witnesses."""
    chance = random.Random(SEED + 2)
    statements = statements_of(fixtures / "purged.receipt.json")
    forge.relink(statements)
    file = forge.receipt_file(statements, cosigned_at(statements, random.Random(1)))
    for number in range(count):
        changed = copy.deepcopy(file)
        logged = changed["receipts"][chance.randrange(3)]["logged"]
        body = logged["checkpoint"].split("\n\n")[0] + "\n"
        lines = body.split("\n")
        deed = chance.randrange(8)
        if deed < 4:
            at = chance.randrange(3)
            sizes = ["0", "1", "007", "+9", " 9", "9.0", str(2**53 - 1), str(2**53), str(2**63), str(2**64), "1" * 400, ""]
            lines[at] = chance.choice(sizes) if at == 1 else other_text(lines[at], chance)
        elif deed == 4:
            lines.insert(chance.randrange(4), chance.choice(["", "extension", " "]))
        moments = [1_775_100_000, 2**53 - 1, 2**53, 2**64 - 1, 253402300799, 253402300800, 0, 1_775_800_000]
        times = {name: chance.choice(moments) if chance.random() < 0.4 else 1_775_900_000 for name in forge.WITNESSES}
        text = forge.note("\n".join(lines), times)
        if deed == 5:
            text = other_text(text, chance)
        elif deed == 6:
            signed = text.split("\n")
            extra = chance.choice(signed[4:-1] + ["\u2014 stranger AAAAAAA=", "\u2014 a+b AAAAAAA=", "\u2014 stranger AAAA"])
            signed[4:-1] = [*signed[4:-1], *[extra] * chance.choice((1, 1, 95, 96, 97))]
            text = "\n".join(signed)
        logged["checkpoint"] = text
        yield f"checkpoint-{number:03}", forge.encoded(changed), forge.encoded(forge.trust())


def all_mutants(fixtures):
    yield from raw_mutants(fixtures, 350)
    yield from signed_mutants(fixtures, 400)
    yield from checkpoint_mutants(150, fixtures)
    for name, receipt, trust in boundaries.all_boundaries(statements_of(fixtures / "erased.receipt.json")):
        yield f"at the edge, {name}", receipt, trust
