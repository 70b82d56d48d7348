"""Shreds with real processes: what a tenant, an auditor, and an attacker with copies see of them."""

import calendar
import csv
import json
import re
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from testbed import independent, memory
from testbed.independent import NotOpened
from testbed.shredding import STAGES, Load, Operator, receipt_stages, statements, wait_until_purged
from testbed.target import Gateway

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

CONTENT = {"victim": b"the victim's own words " * 1000, "survivor": b"the survivor's own words " * 900}
BUCKETS = {"victim": "victims-docs", "survivor": "survivors-docs", "acme": "acme-docs", "globex": "globex-docs"}
REGION = "eu-central-1"


def refusal(action) -> str | None:
    """The S3 code that an action fails with."""
    try:
        action()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


@dataclass
class World:
    """A `lethe dev` in which tenant `victim` was shredded, and what was seen on the way."""

    gateway: Gateway
    operator: Operator
    ids: dict[str, str] = field(default_factory=dict)
    places: dict[str, dict] = field(default_factory=dict)
    keys: dict[str, independent.Keys] = field(default_factory=dict)
    deks: dict[str, bytes] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    load: Load | None = None
    inspected: Path | None = None
    terminated: dict = field(default_factory=dict)

    @property
    def dir(self) -> Path:
        return self.gateway.dir

    @property
    def backup(self) -> Path:
        """Everything as it was before the shred, but root and log."""
        return self.gateway.directory / "backup"

    @property
    def old_root(self) -> Path:
        """The root as it was before the shred: what nobody may have kept."""
        return self.gateway.directory / "old-root"

    @property
    def receipt(self) -> Path:
        return self.gateway.directory / "victim.receipt.json"

    @property
    def trust(self) -> Path:
        return self.gateway.directory / "trust.json"

    def patterns(self) -> dict[str, bytes]:
        named = {"DEK of the victim": self.deks["victim"]}
        for name, keys in self.keys.items():
            named |= {f"KEK of the {name}": keys.kek, f"node of the {name}": keys.node}
        return named | {"E_n": self.keys["victim"].root}

    def verify(self, file: Path, *more: str, code: int = 0) -> dict:
        done = self.operator.run("receipt", "verify", str(file), "--trust", str(self.trust), *more)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else {}


def fill(world: World) -> None:
    """Two tenants with an object each, beside the two that `dev` makes."""
    gateway, operator = world.gateway, world.operator
    for name in ("acme", "globex"):
        region = gateway.tenants[name].region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        gateway.client(name).create_bucket(Bucket=BUCKETS[name], **where)
    for name, content in CONTENT.items():
        world.ids[name] = operator.tenant(name, BUCKETS[name])
        gateway.client(name).put_object(Bucket=BUCKETS[name], Key="words", Body=content)
        inspected = operator.json("object", "inspect", name, BUCKETS[name], "words")
        world.places[name] = independent.place_of(inspected, world.ids[name], "eu", BUCKETS[name], "words")
        if name == "victim":
            world.inspected = gateway.directory / "victim.object.json"
            world.inspected.write_text(json.dumps(inspected))


def back_up(world: World) -> None:
    """Copies the whole directory with the gateway stopped; root and log apart from the rest."""
    tenants = dict(world.gateway.tenants)
    world.gateway.child.stop()
    shutil.copytree(world.dir, world.backup, ignore=lambda at, _: {"root", "log"} if Path(at).name == "eu" else set())
    shutil.copytree(world.dir / "eu/root", world.old_root)
    world.gateway.start()
    world.gateway.tenants |= tenants
    roots = independent.root_keys(world.old_root)
    for name in CONTENT:
        tenant = bytes.fromhex(world.ids[name])
        world.keys[name] = independent.keys(world.backup / "eu/keys/keys.db", roots, "eu", tenant)
        world.deks[name] = independent.dek(world.keys[name], world.backup / f"regions/{REGION}", world.places[name])


def touch(world: World, name: str) -> None:
    assert world.gateway.client(name).get_object(Bucket=BUCKETS[name], Key="words")["Body"].read() == CONTENT[name]


def shred(world: World) -> None:
    operator, gateway = world.operator, world.gateway
    names = ("acme", "globex", "survivor")
    for name in CONTENT:
        touch(world, name)
    may_look = memory.may_read(gateway.child.pid)
    if may_look:
        world.before = memory.found(gateway.child.pid, world.patterns())
    with Load({name: gateway.client(name) for name in names}, BUCKETS) as world.load:
        world.terminated = operator.json("tenant", "terminate", "victim")
        operator.json("tenant", "approve", "victim")
        operator.json("shred", "run", "--now", "--tenant", "victim")
        wait_until_purged(lambda: operator.json("shred", "status"), world.ids["victim"])
        touch(world, "survivor")
        if may_look:
            world.after = memory.found(gateway.child.pid, world.patterns())
    operator.works("receipt", "get", "victim", "--to", str(world.receipt))
    operator.works("receipt", "trust", "eu", "--to", str(world.trust))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shred")
    gateway = Gateway(directory, "embedded")
    made = World(gateway, Operator(gateway))
    try:
        fill(made)
        back_up(made)
        shred(made)
        yield made
    finally:
        gateway.stop()


# What tenants see.


def test_shred_leaves_the_victims_credentials_refused(world):
    s3 = world.gateway.client("victim")
    for action in (s3.list_buckets, lambda: s3.get_object(Bucket=BUCKETS["victim"], Key="words"),
                   lambda: s3.put_object(Bucket=BUCKETS["victim"], Key="words", Body=b"new")):  # fmt: skip
        assert refusal(action) == "InvalidAccessKeyId"


def test_shred_deletes_the_victims_objects_from_the_regions_directory(world):
    # The index's file may keep the row's bytes until it writes over them: a header and metadata that nothing opens any more.
    _, _, survivors = independent.stored(world.dir / f"regions/{REGION}", world.places["survivor"])
    assert survivors, "the search finds what is there"
    body = [file for file in (world.backup / f"regions/{REGION}/bodies").glob("*/*") if file.stat().st_size > 23_000]
    gone = [file.name for file in body if not (world.dir / f"regions/{REGION}/bodies" / file.parent.name / file.name).exists()]
    assert len(body) == 1 and len(gone) == 1, "the one body of the victim's size"


def test_shred_shows_other_tenants_no_error(world):
    assert world.load.errors == []
    assert world.load.turns > 5
    touch(world, "survivor")


# What an auditor sees.


def test_receipt_is_verified_at_each_stage(world):
    assert receipt_stages(world.receipt) == list(STAGES)
    assert world.verify(world.receipt)["verdict"] == "verified"
    for count, code in ((1, 4), (2, 0)):
        file = world.gateway.directory / f"first-{count}.json"
        whole = json.loads(world.receipt.read_text())
        file.write_text(json.dumps(whole | {"receipts": whole["receipts"][:count]}))
        world.verify(file, code=code)


def test_receipt_says_what_was_done(world):
    revoked, erased, purged = (statement["predicate"] for statement in statements(world.receipt))
    assert revoked["tenant"] == {"id": world.ids["victim"], "label": "victim", "region": REGION, "pair": "eu-west-3"}
    assert revoked["termination"]["mode"] == "dev"
    assert [key["kekId"] for key in revoked["keys"]] == [world.keys["victim"].kek_id.hex()]
    assert erased["root"]["epochDestroyed"] == 1 and erased["root"]["epochCurrent"] == 2
    assert erased["inventory"]["objects"] == 1 and erased["inventory"]["status"] == "complete"
    assert erased["backup"]["restoreTest"] == "passed" and erased["backup"]["victimsFound"] == 0
    assert purged["purge"]["objects"] == 1 and purged["purge"]["status"] == "complete"


def test_receipt_tampered_with_is_invalid_and_a_missing_file_is_an_error(world):
    text = world.receipt.read_text()
    whole = json.loads(text)
    payload = whole["receipts"][1]["envelope"]["payload"]
    forged = world.gateway.directory / "forged.json"
    changed = payload[:400] + ("A" if payload[400] != "A" else "B") + payload[401:]
    forged.write_text(text.replace(payload, changed))
    world.verify(forged, code=3)
    said = world.operator.refused("receipt", "verify", str(forged.with_name("none.json")), "--trust", str(world.trust))
    assert "none.json" in said
    forged.write_text("{}")
    world.verify(forged, code=3)


def test_receipt_names_the_key_of_an_object_and_not_of_anothers(world):
    found = world.verify(world.receipt, "--object", str(world.inspected))
    assert found["object"]["outcome"] == "ok"
    other = world.gateway.directory / "survivor.object.json"
    other.write_text(world.operator.works("object", "inspect", "survivor", BUCKETS["survivor"], "words"))
    found = world.verify(world.receipt, "--object", str(other), code=3)
    assert found["verdict"] == "verified" and found["object"]["outcome"] == "failed"


def test_receipt_list_tells_the_termination_as_json_and_csv(world):
    (row,) = [row for row in world.operator.json("receipt", "list", "--domain", "eu") if row["name"] == "victim"]
    ids = [statement["predicate"]["receiptId"] for statement in statements(world.receipt)]
    assert [row[f"{stage}_receipt"] for stage in STAGES] == ids
    assert row["state"] == "purged" and row["approvals"] == ["dev"]
    assert row["exceptions"] == ["one approver was enough", "assurance logical"]
    destroyed = statements(world.receipt)[1]["predicate"]["root"]["destroyedAt"]
    assert row["shredded_ms"] == calendar.timegm(time.strptime(destroyed, "%Y-%m-%dT%H:%M:%SZ")) * 1000
    head, *lines = world.operator.works("receipt", "list", "--domain", "eu", "--csv", output="table").splitlines()
    (line,) = [line for line in lines if line.startswith("victim,")]
    cells = dict(zip(*csv.reader([head, line]), strict=True))
    assert cells["tenant"] == world.ids["victim"] and cells["purged_receipt"] == ids[2]
    assert (cells["domain"], cells["requested_by"], cells["cancelled_by"]) == ("eu", "dev", "")
    assert cells["shredded_ms"] == destroyed
    same = world.operator.works("receipt", "list", "--domain", "eu", output="csv")
    assert same.splitlines() == [head, *lines]
    assert world.operator.json("receipt", "list", "--domain", "eu", "--to", "2020-01-01") == []
    for argv, output, says in (
        (("receipt", "list", "--domain", "eu", "--from", "2026-02-01", "--to", "2026-01-01"), "json", "the period is empty"),
        (("receipt", "list", "--domain", "eu", "--csv"), "json", "--csv is not JSON"),
        (("tenant", "list"), "csv", "-o csv is for"),
    ):
        done = world.operator.run(*argv, output=output)
        assert done.returncode == 1 and says in done.stderr, (argv, done.stdout, done.stderr)


def test_waiting_for_a_shred_that_is_over_ends_at_once_and_tells_it(world):
    done = world.operator.run("shred", "run", "--now", "--tenant", "victim", "--wait")
    assert done.returncode == 0 and "purged, 8 of 8 steps done" in done.stderr, done.stderr
    assert [row["tenants"] for row in json.loads(done.stdout)] == [[world.ids["victim"]]]
    done = world.operator.run("shred", "status", "--wait")
    assert (done.returncode, json.loads(done.stdout)) == (0, []) and "no shred is open" in done.stderr
    head, line = world.operator.works("shred", "status", output="table").splitlines()
    assert "STEPS DONE" in head and " MS" not in head and re.search(r" purged +8 +.* 20\d\d-\d\d-\d\dT[\d:]+Z", line), line
    assert "GRACE ENDS" in world.operator.works("tenant", "list", "--due", output="table")


# Bad input.


def state_of(world) -> tuple:
    operator = world.operator
    return operator.json("tenant", "list"), operator.json("shred", "status"), operator.json("tenant", "list", "--due")


def test_shred_of_the_wrong_tenant_is_refused_and_changes_nothing(world):
    operator, before = world.operator, state_of(world)
    assert "an active tenant is not shredded" in operator.refused("shred", "run", "--now", "--tenant", "survivor")
    assert '"nobody"' in operator.refused("shred", "run", "--now", "--tenant", "nobody")
    assert "shredded already" in operator.refused("shred", "run", "--now", "--tenant", "victim")
    assert "shredded already" in operator.refused("tenant", "terminate", "victim")
    assert "has begun" in operator.refused("tenant", "approve", "victim")
    assert "has begun" in operator.refused("tenant", "cancel", "victim")
    assert "nobody has asked" in operator.refused("tenant", "approve", "survivor")
    operator.refused("receipt", "get", "survivor")
    assert state_of(world) == before
    touch(world, "survivor")


def test_shred_without_approval_is_refused_and_the_termination_is_cancelled(world):
    operator = world.operator
    operator.tenant("doubtful", "doubtful-docs")
    s3 = world.gateway.client("doubtful")
    s3.put_object(Bucket="doubtful-docs", Key="a", Body=b"a")
    first = operator.json("tenant", "terminate", "doubtful")
    assert operator.json("tenant", "terminate", "doubtful") == first, "asked again, the same answer"
    assert "0 of 1 approvals" in operator.refused("shred", "run", "--now", "--tenant", "doubtful")
    assert s3.get_object(Bucket="doubtful-docs", Key="a")["Body"].read() == b"a"
    assert refusal(lambda: s3.put_object(Bucket="doubtful-docs", Key="b", Body=b"b")) == "AccessDenied"
    assert len(operator.json("shred", "status")) == 1
    operator.json("tenant", "cancel", "doubtful")
    s3.put_object(Bucket="doubtful-docs", Key="b", Body=b"b")
    operator.refused("tenant", "approve", "doubtful")


# What a debugger sees.


def test_memory_of_the_gateway_holds_nothing_of_the_victims_keys(world):
    if not world.before:
        pytest.skip("only root may read a gateway's memory")
    assert world.before["KEK of the victim"] and world.before["node of the victim"], "the search finds what is in use"
    assert world.after["KEK of the survivor"], "and still does after the shred"
    # The survivor's node is the current one: a move of the root changes the victims' places only.
    left = {name: count for name, count in world.after.items() if count and "survivor" not in name}
    assert left == {}


# What an attacker with copies sees. These stop the gateway that all tests above use, so they stay below them.


def test_copies_from_before_open_nothing_of_the_victim_with_the_current_root(world):
    old, new = world.backup / "eu/keys/keys.db", world.dir / "eu/keys/keys.db"
    region = world.backup / f"regions/{REGION}"
    before, now = independent.root_keys(world.old_root), independent.root_keys(world.dir / "eu/root")
    assert list(before) == [1] and list(now) == [2]
    # The reader reads: everything, with the root of before; the survivor, with what there is now.
    for name in CONTENT:
        found = independent.keys(old, before, "eu", bytes.fromhex(world.ids[name]))
        assert independent.read_object(found, region, world.places[name]) == CONTENT[name]
    survivor = independent.keys(new, now, "eu", bytes.fromhex(world.ids["survivor"]))
    assert independent.read_object(survivor, region, world.places["survivor"]) == CONTENT["survivor"]
    assert survivor.kek == world.keys["survivor"].kek and survivor.root != world.keys["survivor"].root
    victim = bytes.fromhex(world.ids["victim"])
    with pytest.raises(NotOpened, match="the node does not open"):
        independent.keys(old, now, "eu", victim)
    with pytest.raises(NotOpened, match="no key of the tenant"):
        independent.keys(new, now, "eu", victim)
    with pytest.raises(NotOpened, match="no key of the tenant"):
        independent.keys(new, before | now, "eu", victim)
    # The old wrap of the victim's KEK under any node that there is now.
    nodes = list(independent.nodes(new, now, "eu"))
    assert len(nodes) == 1025 and survivor.node in nodes
    wrapped = independent.wrapped_kek(new, "eu", bytes.fromhex(world.ids["survivor"]))
    assert independent.opened_by_any(nodes, *wrapped) == survivor.kek
    with pytest.raises(NotOpened, match="the KEK does not open"):
        independent.opened_by_any(nodes, *independent.wrapped_kek(old, "eu", victim))


def test_key_store_keeps_no_byte_of_the_victims_wrapped_key(world):
    with sqlite3.connect(world.backup / "eu/keys/keys.db") as store:
        wraps = dict(store.execute("SELECT tenant, wrapped FROM keks").fetchall())
    stored = b"".join(file.read_bytes() for file in (world.dir / "eu/keys").glob("keys.db*"))
    backups = b"".join(file.read_bytes() for file in (world.dir / "eu/key-backup").iterdir())
    victims = wraps[bytes.fromhex(world.ids["victim"])]
    for piece in (victims[:24], victims[24:56], victims[56:]):
        assert piece not in stored and piece not in backups
    assert bytes.fromhex(world.ids["survivor"]) in stored, "the search finds what is there"


def start_is_refused(world) -> str:
    with pytest.raises(RuntimeError, match="ended with [12] before"):
        world.gateway.start()
    return world.gateway.log().decode()[-1500:]


def put_back(world, *names: str) -> None:
    for name in names:
        shutil.rmtree(world.dir / name)
        shutil.copytree(world.backup / name, world.dir / name)


def test_backup_from_before_is_refused_beside_the_current_root_or_log(world):
    tenants = dict(world.gateway.tenants)
    world.gateway.child.stop()
    shutil.copytree(world.dir, world.gateway.directory / "aside")
    put_back(world, "eu/keys", "eu/catalog", "regions", "directory")
    said = start_is_refused(world)
    assert "no key of epoch 1" in said and "copies of different moments" in said, said
    # An attacker who has a copy of the root, too, is stopped by the log.
    shutil.rmtree(world.dir / "eu/root")
    shutil.copytree(world.old_root, world.dir / "eu/root")
    said = start_is_refused(world)
    assert "entries of the log, which has 7: an older copy was restored" in said, said
    shutil.rmtree(world.dir)
    shutil.move(world.gateway.directory / "aside", world.dir)
    world.gateway.start()
    world.gateway.tenants |= tenants
    touch(world, "survivor")
