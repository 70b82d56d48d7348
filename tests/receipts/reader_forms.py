"""The forms of trust file, receipt file and statement: docs/receipts.md §2, §4, §7, §8."""

import hashlib
import re

from ed25519_strict import is_sound_point
from strict_json import (
    Malformed,
    base64_bytes,
    fields,
    hexadecimal,
    integer,
    list_of,
    maybe,
    one_of,
    string,
    text,
    time,
)

HEX16 = hexadecimal(16)
HEX32 = hexadecimal(32)
PROOF = list_of(base64_bytes(32))
DIGEST = fields(sha256=HEX32)


def log_name(value):
    """A name of §3: 1 to 255 printable ASCII characters but space and plus."""
    if not re.fullmatch(r"[!-*,-~]{1,255}", string(value)):
        raise Malformed("not a name")
    return value


def _exactly(expected):
    return one_of(expected)


_WINDOWED = {"keyid": HEX32, "publicKey": base64_bytes(32), "notBefore": time, "notAfter": maybe(time)}
_TRUST = fields(
    format=_exactly("lethe-trust/v1"),
    domain=text,
    mode=one_of("production", "dev"),
    origin=log_name,
    issuers=list_of(fields(**_WINDOWED), 1),
    validators=list_of(fields(name=text, **_WINDOWED)),
    validatorThreshold=integer,
    log=list_of(fields(**_WINDOWED), 1),
    witnesses=list_of(fields(name=log_name, keyid=HEX32, publicKey=base64_bytes(32))),
    witnessThreshold=integer,
)


def trust_file(value):
    """§8 but the rule that no key stands twice."""
    trust = _TRUST(value)
    for key in all_keys(trust):
        if not is_sound_point(key["publicKey"]) or hashlib.sha256(key["publicKey"]).digest() != key["keyid"]:
            raise Malformed("not a sound key under its id")
        if key.get("notAfter") is not None and key["notAfter"] < key["notBefore"]:
            raise Malformed("window backwards")
    if trust["validatorThreshold"] > len(trust["validators"]) or trust["witnessThreshold"] > len(trust["witnesses"]):
        raise Malformed("threshold too high")
    return trust


def all_keys(trust):
    return [*trust["issuers"], *trust["validators"], *trust["log"], *trust["witnesses"]]


_RECEIPT = fields(
    format=_exactly("lethe-receipt/v1"),
    receipts=list_of(
        fields(
            envelope=fields(
                payload=base64_bytes(),
                payloadType=string,
                signatures=list_of(fields(keyid=HEX32, sig=base64_bytes(64))),
            ),
            logged=maybe(fields(index=integer, proof=PROOF, checkpoint=string, consistency=PROOF)),
        ),
        1,
        3,
    ),
    keys=list_of(fields(index=integer, proof=PROOF)),
)


def receipt_file(value):
    """§7, with what it says about null, `keys` and the first `consistency`."""
    receipt = _RECEIPT(value)
    logged = [entry["logged"] for entry in receipt["receipts"]]
    if any(before is None and after is not None for before, after in zip(logged, logged[1:])):
        raise Malformed("logged after one that is not")
    if logged[0] is None and receipt["keys"]:
        raise Malformed("key proofs without a checkpoint")
    if logged[0] is not None and logged[0]["consistency"]:
        raise Malformed("consistency proof from nothing")
    return receipt


def _horizon(value):
    return value if value == "unknown" else time(value)


_CANARY = one_of("opened", "refused")
_FENCE = fields(
    number=integer,
    scope=one_of("tenant", "nodes"),
    raisedAt=time,
    leaseSeconds=integer,
    gateways=list_of(fields(gateway=HEX16, outcome=one_of("acknowledged", "expired"))),
)
_INVENTORY = fields(
    status=one_of("complete", "partial"), objects=integer, bytes=integer, root=maybe(HEX32), uncounted=list_of(text)
)
_ROOT = fields(
    provider=text,
    assurance=one_of("software", "service", "hardware"),
    epochDestroyed=integer,
    epochCurrent=integer,
    canaryDestroyed=fields(before=_CANARY, after=_CANARY),
    canaryCurrent=_CANARY,
    destroyedAt=time,
    evidence=text,
)
_BACKUP = fields(
    sha256=HEX32, at=time, nodes=integer, keks=integer, restoreTest=one_of("passed", "failed"), victimsFound=integer
)
_PURGE = fields(
    status=one_of("complete", "held"),
    objects=integer,
    versions=integer,
    deleteMarkers=integer,
    uploads=integer,
    spooled=integer,
    bytes=integer,
    heldObjects=integer,
    held=list_of(fields(bucket=HEX32, key=HEX32, versionId=text, until=maybe(time))),
)
_SANITIZATION = fields(
    organization=text,
    location=text,
    mediaType=text,
    mediaDescription=text,
    method=maybe(one_of("clear", "purge")),
    technique=_exactly("cryptographic erase"),
    tool=text,
    toolVersion=text,
    verificationMethod=text,
    personnel=text,
)
_PREDICATE = fields(
    stage=one_of("revoked", "erased", "purged"),
    receiptId=HEX16,
    previous=maybe(DIGEST),
    domain=fields(name=text, jurisdiction=text),
    tenant=fields(id=HEX16, label=text, region=text, pair=maybe(text)),
    sanitization=_SANITIZATION,
    termination=fields(
        mode=one_of("production", "dev"),
        requestedAt=time,
        requestedBy=text,
        approvals=list_of(fields(principal=text, at=time)),
        graceEnded=time,
    ),
    times=fields(started=time, finished=time),
    keys=list_of(
        fields(version=integer, kekId=HEX16, commitment=HEX32, nonce=HEX32, previous=HEX32, entry=HEX32)
    ),
    fences=list_of(_FENCE),
    inventory=maybe(_INVENTORY),
    root=maybe(_ROOT),
    backup=maybe(_BACKUP),
    rootBackupHorizon=maybe(_horizon),
    assurance=maybe(one_of("logical", "bounded", "hardware")),
    purge=maybe(_PURGE),
    notCovered=list_of(text),
    residualRisks=list_of(text),
)
statement = fields(
    _type=_exactly("https://in-toto.io/Statement/v1"),
    predicateType=_exactly("https://lethe.dev/crypto-erase/v1"),
    subject=list_of(fields(name=string, digest=DIGEST)),
    predicate=_PREDICATE,
)
