"""kill -9 of the gateway in the middle of shreds: they are finished by the next start, with one receipt of each stage."""

import json
import shutil
import sqlite3
import time

import pytest

from testbed import independent
from testbed.independent import NotOpened
from testbed.shredding import STAGES, Operator, receipt_stages, wait_until_purged
from testbed.target import Gateway

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

STATES = ("requested", "fenced", "inventoried", "rekeyed", "refenced", "backed-up", "destroyed", "receipted", "purged")
# After the first, the next fence waits for the end of the dead gateway's lease; so does the third's.
KILLED_AT = ("requested", "inventoried", "refenced", "destroyed")


@pytest.fixture
def gateway(tmp_path):
    running = Gateway(tmp_path, "embedded")
    yield running
    running.stop()


def catalog(gateway) -> sqlite3.Connection:
    return sqlite3.connect(gateway.dir / "eu/catalog/catalog.db", timeout=10)


def state(gateway) -> str | None:
    with catalog(gateway) as rows:
        found = rows.execute("SELECT state FROM shreds").fetchall()
    return found[0][0] if found else None


def kill_at(gateway, wanted: str) -> str:
    """Kills the gateway once a state is reached; answers the state that was."""
    deadline = time.monotonic() + 120
    while STATES.index(state(gateway)) < STATES.index(wanted):
        assert time.monotonic() < deadline, f"{wanted} is not reached: {state(gateway)}"
        time.sleep(0.002)
    gateway.child.kill()
    # The minute for which the dead runner holds the shred goes by.
    with catalog(gateway) as rows:
        rows.execute("UPDATE shreds SET lease_until = 0 WHERE state <> 'purged'")
    return state(gateway)


def copies_open_nothing(gateway, victim: str, other: str, killed_in: list[str]) -> None:
    """Key stores that were copied in the middle of the shred, under the root that there is at its end."""
    roots = independent.root_keys(gateway.dir / "eu/root")
    for wanted, was in zip(KILLED_AT, killed_in, strict=True):
        copy = gateway.directory / f"copy-{wanted}/keys.db"
        with pytest.raises(NotOpened):
            independent.keys(copy, roots, "eu", bytes.fromhex(victim))
        if STATES.index(was) >= STATES.index("rekeyed"):
            assert independent.keys(copy, roots, "eu", bytes.fromhex(other)).kek, "the others' keys open"


def test_gateway_killed_at_several_moments_of_a_shred_finishes_it_once(gateway):
    operator = Operator(gateway)
    victim = operator.tenant("victim", "victims-docs")
    for number in range(20):
        gateway.client("victim").put_object(Bucket="victims-docs", Key=f"k{number}", Body=b"x" * 1000)
    s3 = gateway.client("acme")
    s3.create_bucket(Bucket="docs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="docs", Key="kept", Body=b"kept")
    operator.json("tenant", "terminate", "victim")
    operator.json("tenant", "approve", "victim")
    operator.json("shred", "run", "--now")
    killed_in = []
    for wanted in KILLED_AT:
        killed_in.append(kill_at(gateway, wanted))
        shutil.copytree(gateway.dir / "eu/keys", gateway.directory / f"copy-{wanted}")
        gateway.start()
        assert gateway.client("acme").get_object(Bucket="docs", Key="kept")["Body"].read() == b"kept"
    print("killed in", killed_in)
    assert killed_in[0] == "requested" and len(set(killed_in)) > 1
    wait_until_purged(lambda: operator.json("shred", "status"), victim)

    receipt, trust = gateway.directory / "receipt.json", gateway.directory / "trust.json"
    operator.works("receipt", "get", "victim", "--to", str(receipt))
    operator.works("receipt", "trust", "eu", "--to", str(trust))
    assert receipt_stages(receipt) == list(STAGES)
    checked = json.loads(operator.works("receipt", "verify", str(receipt), "--trust", str(trust)))
    assert checked["verdict"] == "verified"
    with catalog(gateway) as rows:
        assert sorted(stage for (stage,) in rows.execute("SELECT stage FROM receipts")) == sorted(STAGES)
        assert rows.execute("SELECT count(*) FROM shreds").fetchone() == (1,)
    assert len(list((gateway.dir / "eu/log/statements").iterdir())) == len(STAGES)
    roots = [file.name for file in (gateway.dir / "eu/root").iterdir()]
    assert roots == ["epoch-2.key"], "one move of the root, and nothing left of the epoch before"
    copies_open_nothing(gateway, victim, operator.json("tenant", "show", "acme")["id"], killed_in)
    s3 = gateway.client("acme")
    s3.put_object(Bucket="docs", Key="after", Body=b"after")
    assert s3.get_object(Bucket="docs", Key="kept")["Body"].read() == b"kept"
