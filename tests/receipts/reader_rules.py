"""The rules for statements, docs/receipts.md §5 and §6: each function says whether its check is ok."""

import hashlib

SKEW_SECONDS = 300
ZEROS = bytes(32)
FROM_ERASED = ("inventory", "root", "backup", "rootBackupHorizon", "assurance", "previous")


def by(*moments):
    """Whether each pair of the moments that are not null is in order, up to the skew."""
    known = [moment for moment in moments if moment is not None]
    return all(
        earlier <= later + SKEW_SECONDS for place, earlier in enumerate(known) for later in known[place + 1 :]
    )


def kek_entry(key):
    return hashlib.sha256(
        b"lethe/v1/kek-leaf" + key["nonce"] + key["kekId"] + key["commitment"] + key["previous"]
    ).digest()


def key_chain(statement):
    keys = statement["predicate"]["keys"]
    before = [ZEROS, *(key["entry"] for key in keys)]
    return bool(keys) and all(
        key["version"] == number and key["previous"] == before[number - 1] and key["entry"] == kek_entry(key)
        for number, key in enumerate(keys, 1)
    )


def subject(statement):
    subjects, keys = statement["subject"], statement["predicate"]["keys"]
    return (
        len(subjects) == 1
        and bool(keys)
        and subjects[0]["name"] == "tenant:" + statement["predicate"]["tenant"]["id"].hex()
        and subjects[0]["digest"]["sha256"] == keys[-1]["entry"]
    )


def approvals(statement):
    termination = statement["predicate"]["termination"]
    principals = [approval["principal"] for approval in termination["approvals"]]
    wanted = 2 if termination["mode"] == "production" else 1
    own = termination["mode"] == "production" and termination["requestedBy"] in principals
    return len(set(principals)) == len(principals) >= wanted and not own


def stage_evidence(statement):
    predicate = statement["predicate"]
    revoked, purged = predicate["stage"] == "revoked", predicate["stage"] == "purged"
    evidence = [predicate[name] for name in FROM_ERASED] + [predicate["sanitization"]["method"]]
    return all((value is None) == revoked for value in evidence) and (predicate["purge"] is None) == (not purged)


def fences(statement):
    predicate = statement["predicate"]
    wanted = ["tenant"] if predicate["stage"] == "revoked" else ["tenant", "nodes"]
    raised = predicate["fences"]
    numbers = [fence["number"] for fence in raised]
    gateways = [[entry["gateway"] for entry in fence["gateways"]] for fence in raised]
    return (
        [fence["scope"] for fence in raised] == wanted
        and all(earlier < later for earlier, later in zip(numbers, numbers[1:]))
        and all(1 <= fence["leaseSeconds"] <= 3600 for fence in raised)
        and all(len(set(names)) == len(names) for names in gateways)
    )


def inventory(statement):
    counted = statement["predicate"]["inventory"]
    if counted["status"] == "complete":
        return not counted["uncounted"] and counted["root"] is not None
    return bool(counted["uncounted"])


def root_destruction(statement):
    root = statement["predicate"]["root"]
    highest = 1 if root["provider"] == "openbao" else 0
    return (
        root["epochCurrent"] > root["epochDestroyed"]
        and root["canaryDestroyed"] == {"before": "opened", "after": "refused"}
        and root["canaryCurrent"] == "opened"
        and ("software", "service", "hardware").index(root["assurance"]) <= highest
    )


def backup(statement):
    made = statement["predicate"]["backup"]
    return made["restoreTest"] == "passed" and made["victimsFound"] == 0


def assurance(statement):
    predicate = statement["predicate"]
    horizon, rank = predicate["rootBackupHorizon"], ("logical", "bounded", "hardware")
    if horizon == "unknown" or horizon > predicate["times"]["finished"]:
        highest = "logical"
    else:
        highest = "hardware" if predicate["root"]["assurance"] == "hardware" else "bounded"
    claimed = predicate["assurance"]
    return rank.index(claimed) <= rank.index(highest) and (
        predicate["sanitization"]["method"] != "purge" or claimed != "logical"
    )


def purge(statement):
    purged = statement["predicate"]["purge"]
    held = purged["heldObjects"]
    return len(purged["held"]) == min(held, 1000) and (held == 0) == (purged["status"] == "complete")


def disclosures(statement):
    return bool(statement["predicate"]["notCovered"]) and bool(statement["predicate"]["residualRisks"])


def claimed_times(statement):
    predicate = statement["predicate"]
    termination, times = predicate["termination"], predicate["times"]
    raised = {fence["scope"]: fence["raisedAt"] for fence in reversed(predicate["fences"])}
    made, root, horizon = predicate["backup"], predicate["root"], predicate["rootBackupHorizon"]
    return (
        all(
            by(termination["requestedAt"], approval["at"], raised.get("tenant"), times["finished"])
            for approval in termination["approvals"]
        )
        and by(root and root["destroyedAt"], None if horizon == "unknown" else horizon)
        and by(
            termination["requestedAt"],
            termination["graceEnded"],
            raised.get("tenant"),
            raised.get("nodes"),
            made and made["at"],
            root and root["destroyedAt"],
            times["finished"],
        )
        and by(termination["graceEnded"], times["started"], times["finished"])
    )


def for_each_statement(statement):
    """(check, ok) of the rules for one statement, in the order of the table."""
    stage = statement["predicate"]["stage"]
    yield "key-chain", key_chain(statement)
    yield "subject", subject(statement)
    yield "approvals", approvals(statement)
    complete = stage_evidence(statement)
    yield "stage-evidence", complete
    yield "fences", fences(statement)
    if complete and stage != "revoked":
        for name, rule in (
            ("inventory", inventory),
            ("root-destruction", root_destruction),
            ("backup", backup),
            ("assurance", assurance),
        ):
            yield name, rule(statement)
    if complete and stage == "purged":
        yield "purge", purge(statement)
    yield "disclosures", disclosures(statement)
    yield "claimed-times", claimed_times(statement)


def same_facts(before, after):
    earlier, later = before["predicate"], after["predicate"]
    methodless = [{**one["sanitization"], "method": None} for one in (earlier, later)]
    if (
        before["subject"] != after["subject"]
        or any(earlier[name] != later[name] for name in ("domain", "tenant", "termination", "keys"))
        or methodless[0] != methodless[1]
        or later["fences"][: len(earlier["fences"])] != earlier["fences"]
        or earlier["receiptId"] == later["receiptId"]
    ):
        return False
    kept = ("fences", "inventory", "root", "backup", "rootBackupHorizon")
    if earlier["stage"] != "revoked" and any(earlier[name] != later[name] for name in kept):
        return False
    return all(by(earlier["times"][name], later["times"][name]) for name in ("started", "finished"))
