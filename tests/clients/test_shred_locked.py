"""A shred of a tenant whose store holds on to versions: the receipt lists them with their dates, and they open nowhere."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from testbed import independent
from testbed.independent import NotOpened
from testbed.shredding import Operator, receipt_stages, statements, wait_until_purged
from testbed.target import Gateway

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(500)]

BUCKET = "victims-archive"
UNTIL = datetime(2040, 1, 1, tzinfo=UTC)
LATER = datetime(2041, 6, 30, 12, tzinfo=UTC)
RETAINED = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL}


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway(tmp_path, "seaweedfs")
    try:
        yield gateway
    finally:
        gateway.stop()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_shred_of_a_locked_bucket_lists_what_is_held_with_its_date(gateway, tmp_path):
    operator = Operator(gateway)
    victim = operator.tenant("victim", "victims-docs")
    s3, store = gateway.client("victim"), gateway.store.client()
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    versions = {
        "retained": s3.put_object(Bucket=BUCKET, Key="retained", Body=b"words " * 1000, **RETAINED)["VersionId"],
        "governed": s3.put_object(
            Bucket=BUCKET, Key="governed", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=LATER
        )["VersionId"],
        "on hold": s3.put_object(Bucket=BUCKET, Key="on hold", Body=b"x", ObjectLockLegalHoldStatus="ON", **RETAINED)[
            "VersionId"
        ],
    }
    s3.put_object(Bucket=BUCKET, Key="free", Body=b"free")
    s3.delete_object(Bucket=BUCKET, Key="free")
    upstream = next(
        b["Name"]
        for b in store.list_buckets()["Buckets"]
        if any(v["Key"] == "retained" for v in store.list_object_versions(Bucket=b["Name"]).get("Versions", []))
    )
    place = {"Bucket": upstream, "Key": "retained", "VersionId": versions["retained"]}
    ciphertext = store.get_object(**place)["Body"].read()

    operator.works("tenant", "terminate", "victim")
    operator.works("tenant", "approve", "victim")
    operator.works("shred", "run", "--now", "--tenant", "victim")
    wait_until_purged(lambda: operator.json("shred", "status"), victim, seconds=200)
    receipt, trust = tmp_path / "victim.receipt.json", tmp_path / "trust.json"
    operator.works("receipt", "get", "victim", "--to", str(receipt))
    operator.works("receipt", "trust", "eu", "--to", str(trust))

    assert receipt_stages(receipt) == ["revoked", "erased", "purged"]
    purge = statements(receipt)[-1]["predicate"]["purge"]
    held = {(one["bucket"], one["key"], one["versionId"]): one["until"] for one in purge["held"]}
    assert held == {
        (digest(upstream), digest("retained"), versions["retained"]): "2040-01-01T00:00:00Z",
        (digest(upstream), digest("governed"), versions["governed"]): "2041-06-30T12:00:00Z",
        (digest(upstream), digest("on hold"), versions["on hold"]): None,
    }
    assert (purge["status"], purge["heldObjects"]) == ("held", 3)
    assert (purge["versions"], purge["deleteMarkers"]) == (1, 1), "what was free is gone"
    done = operator.run("receipt", "verify", str(receipt), "--trust", str(trust))
    assert done.returncode == 0 and json.loads(done.stdout)["verdict"] == "verified", done.stdout + done.stderr

    # The ciphertext stays, and opens nowhere: the node that wrapped its tenant's KEK is gone with the root.
    assert store.get_object(**place)["Body"].read() == ciphertext
    roots = independent.root_keys(gateway.dir / "eu/root")
    with pytest.raises(NotOpened, match="no key of the tenant"):
        independent.keys(gateway.dir / "eu/keys/keys.db", roots, "eu", bytes.fromhex(victim))
