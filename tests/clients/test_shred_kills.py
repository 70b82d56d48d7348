"""kill -9 of the gateway at every state and every kind of write of a shred: it is finished once, and no copy made on the way gives more.

What is killed when is not left to chance: a trigger in the gateway's own database fails one write, or makes the row that was just
written unreadable, so that the process is killed between two known statements.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed import independent
from testbed.independent import NotOpened
from testbed.shredding import STAGES, Operator, receipt_stages, wait_until_purged
from testbed.target import Gateway

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(600)]

STATES = ("requested", "fenced", "inventoried", "rekeyed", "refenced", "backed-up", "destroyed", "receipted", "purged")
CATALOG, KEYS = "catalog/catalog.db", "keys/keys.db"
REGION = "eu-central-1"
CONTENT = {"victim": b"the victim's own words " * 100, "acme": b"what stays " * 200}
BUCKETS = {"victim": "victims-docs", "acme": "docs"}


@dataclass(frozen=True)
class Cut:
    """Where the gateway is killed: at a write that fails, so that what came before it is done and it is not; or right after one."""

    name: str
    database: str
    event: str
    when: str
    after: bool = False

    @property
    def trigger(self) -> str:
        if self.after:
            # A row that can't be read: nothing goes on from it.
            return (f"CREATE TRIGGER cut AFTER {self.event} ON shreds WHEN {self.when}"
                    " BEGIN UPDATE shreds SET epoch_from = -epoch_from WHERE id = NEW.id; END")  # fmt: skip
        return f"CREATE TRIGGER cut BEFORE {self.event} WHEN {self.when} BEGIN SELECT RAISE(ABORT, 'cut'); END"


def fails(name: str, database: str, event: str, when: str = "1") -> Cut:
    return Cut(name, database, event, when)


def around(state: str) -> tuple[Cut, Cut]:
    """Everything for a state done and the state not written; and the state written and nothing of the next step begun."""
    when = f"NEW.state = '{state}'"
    return (Cut(f"before {state}", CATALOG, "UPDATE OF state ON shreds", when),
            Cut(f"after {state}", CATALOG, "UPDATE OF state", when, after=True))  # fmt: skip


def receipt(stage: str) -> Cut:
    return fails(f"receipt {stage}", CATALOG, "INSERT ON receipts", f"NEW.stage = '{stage}'")


def evidence(state: str) -> Cut:
    return fails(f"evidence {state}", CATALOG, "INSERT ON shred_evidence", f"NEW.state = '{state}'")


# In the order in which a shred comes to them.
CUTS = (
    fails("before requested", CATALOG, "INSERT ON shreds"),
    Cut("after requested", CATALOG, "INSERT", "1", after=True),
    fails("fence of the tenant", KEYS, "INSERT ON fences", "NEW.kind = 'tenant'"),
    *around("fenced"),
    receipt("revoked"),
    fails("entry revoked", KEYS, "INSERT ON log_entries", "NEW.kind = 'statement'"),
    evidence("inventoried"),
    *around("inventoried"),
    fails("keys deleted", KEYS, "DELETE ON keks"),
    fails("move", KEYS, "INSERT ON moves"),
    *around("rekeyed"),
    fails("fence of the nodes", KEYS, "INSERT ON fences", "NEW.kind = 'nodes'"),
    *around("refenced"),
    fails("tested backup", KEYS, "UPDATE OF backup ON moves"),
    *around("backed-up"),
    fails("move destroying", KEYS, "UPDATE OF state ON moves", "NEW.state = 'destroying'"),
    fails("move destroyed", KEYS, "UPDATE OF state ON moves", "NEW.state = 'destroyed'"),
    *around("destroyed"),
    receipt("erased"),
    fails("tenant shredded", CATALOG, "UPDATE OF state ON tenants", "NEW.state = 'shredded'"),
    *around("receipted"),
    evidence("purged"),
    receipt("purged"),
    *around("purged"),
)
NAMES = [cut.name for cut in CUTS]


@dataclass
class World:
    """A `lethe dev` that is killed on the way through one shred, and what was copied of it at each kill."""

    gateway: Gateway
    operator: Operator
    ids: dict[str, str] = field(default_factory=dict)
    places: dict[str, dict] = field(default_factory=dict)
    log_sizes: dict[str, int] = field(default_factory=dict)
    credentials: dict = field(default_factory=dict)

    @property
    def dir(self) -> Path:
        return self.gateway.dir

    @property
    def old_root(self) -> Path:
        """The root as it was before the shred: what nobody may have kept."""
        return self.gateway.directory / "old-root"

    def copy(self, name: str) -> Path:
        """Everything but the root, as it was at a kill."""
        return self.gateway.directory / "copies" / name.replace(" ", "-")

    @contextmanager
    def database(self, which: str) -> Iterator[sqlite3.Connection]:
        """Closed at the end: a connection that is still there when its files are copied loses its locks."""
        with closing(sqlite3.connect(self.dir / "eu" / which, timeout=20)) as connection, connection:
            yield connection

    def shred(self) -> tuple | None:
        with self.database(CATALOG) as rows:
            return rows.execute("SELECT state, epoch_from, last_error FROM shreds").fetchone()

    def log_size(self) -> int:
        return int((self.dir / "eu/log/checkpoint").read_text().splitlines()[1])


def dies_at(world: World, cut: Cut) -> None:
    """Lets the gateway come to a cut, and kills it there."""
    if cut.name.endswith(" requested"):
        world.operator.run("shred", "run", "--now")
    deadline = time.monotonic() + 90
    while True:
        found = world.shred()
        if cut.name == "before requested":
            assert found is None
            break
        if found and (found[1] < 0 if cut.after else found[2] is not None):
            break
        assert time.monotonic() < deadline, f"{cut.name} is not reached: {found}\n{world.gateway.child.output_tail()}"
        time.sleep(0.01)
    world.gateway.child.kill()
    if found and not cut.after:
        assert "cut" in found[2] or "1811" in found[2], f"{cut.name} fails for another reason: {found}"


def mend(world: World, cut: Cut) -> None:
    """The trigger is gone, and time has gone by: the minute for which the dead runner holds the shred, and the dead gateway's lease."""
    with world.database(cut.database) as store:
        store.execute("DROP TRIGGER cut")
    with world.database(CATALOG) as rows:
        rows.execute("UPDATE shreds SET epoch_from = abs(epoch_from), lease_until = 0, last_error = NULL")
    with world.database(KEYS) as store:
        store.execute("UPDATE gateways SET lease_ms = 1")


def comes_back(world: World, cut: Cut | None) -> None:
    if cut:
        with world.database(cut.database) as store:
            store.execute(cut.trigger)
    world.gateway.start()
    world.gateway.use("victim", REGION, *world.credentials["victim"])


def others_work(world: World, turn: int) -> None:
    s3 = world.gateway.client("acme")
    s3.put_object(Bucket=BUCKETS["acme"], Key=f"written-{turn}", Body=b"w" * 100)
    for number in range(0, turn + 1, 7):
        assert s3.get_object(Bucket=BUCKETS["acme"], Key=f"written-{number}")["Body"].read() == b"w" * 100
    assert s3.get_object(Bucket=BUCKETS["acme"], Key="words")["Body"].read() == CONTENT["acme"]


def fill(world: World) -> None:
    gateway, operator = world.gateway, world.operator
    world.ids = {"victim": operator.tenant("victim", BUCKETS["victim"]), "acme": operator.json("tenant", "show", "acme")["id"]}
    who = gateway.tenants["victim"]
    world.credentials["victim"] = (who.access_key_id, who.secret_access_key)
    gateway.client("acme").create_bucket(Bucket=BUCKETS["acme"], CreateBucketConfiguration={"LocationConstraint": REGION})
    for name, content in CONTENT.items():
        gateway.client(name).put_object(Bucket=BUCKETS[name], Key="words", Body=content)
        inspected = operator.json("object", "inspect", name, BUCKETS[name], "words")
        world.places[name] = independent.place_of(inspected, world.ids[name], "eu", BUCKETS[name], "words")
    for number in range(5):
        gateway.client("victim").put_object(Bucket=BUCKETS["victim"], Key=f"k{number}", Body=b"x" * 1000)
    operator.json("tenant", "terminate", "victim")
    operator.json("tenant", "approve", "victim")
    gateway.child.stop()
    shutil.copytree(world.dir / "eu/root", world.old_root)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The shred, killed at every cut, and finished."""
    gateway = Gateway(tmp_path_factory.mktemp("kills"), "embedded")
    made = World(gateway, Operator(gateway))
    try:
        fill(made)
        for turn, cut in enumerate(CUTS):
            comes_back(made, cut)
            others_work(made, turn)
            dies_at(made, cut)
            mend(made, cut)
            made.log_sizes[cut.name] = made.log_size()
            shutil.copytree(made.dir, made.copy(cut.name), ignore=lambda at, _: {"root"} if Path(at).name == "eu" else set())
        comes_back(made, None)
        yield made
    finally:
        gateway.stop()


def test_shred_killed_at_every_state_and_write_is_finished_once(world):
    operator, gateway = world.operator, world.gateway
    wait_until_purged(lambda: operator.json("shred", "status"), world.ids["victim"])
    receipt, trust = gateway.directory / "receipt.json", gateway.directory / "trust.json"
    operator.works("receipt", "get", "victim", "--to", str(receipt))
    operator.works("receipt", "trust", "eu", "--to", str(trust))
    assert receipt_stages(receipt) == list(STAGES)
    assert json.loads(operator.works("receipt", "verify", str(receipt), "--trust", str(trust)))["verdict"] == "verified"
    operator.works("log", "verify", "--domain", "eu", "--trust", str(trust))
    with world.database(CATALOG) as rows:
        assert sorted(stage for (stage,) in rows.execute("SELECT stage FROM receipts")) == sorted(STAGES)
        assert rows.execute("SELECT count(*), max(epoch_from) FROM shreds").fetchone() == (1, 1)
    with world.database(KEYS) as store:
        assert store.execute("SELECT epoch_from, epoch_to, state FROM moves").fetchall() == [(1, 2, "destroyed")]
        assert store.execute("SELECT count(*) FROM log_entries WHERE kind = 'statement'").fetchone() == (len(STAGES),)
    assert len(list((world.dir / "eu/log/statements").iterdir())) == len(STAGES)
    roots = [file.name for file in (world.dir / "eu/root").iterdir()]
    assert roots == ["epoch-2.key"], "one move of the root, and nothing left of the epoch before"
    others_work(world, len(CUTS))


# These stop the gateway, so they stay below.


def test_copies_of_everything_made_during_the_shred_open_nothing_of_the_victim(world):
    roots, old = independent.root_keys(world.dir / "eu/root"), independent.root_keys(world.old_root)
    victim, other = (bytes.fromhex(world.ids[name]) for name in ("victim", "acme"))
    now = list(independent.nodes(world.dir / "eu" / KEYS, roots, "eu"))
    opened_before, opened_after = 0, 0
    for name in NAMES:
        store, region = world.copy(name) / "eu" / KEYS, world.copy(name) / f"regions/{REGION}"
        moved = NAMES.index(name) >= NAMES.index("before rekeyed")
        # The reader reads: with the destroyed root, what is there of the victim, and the others.
        for tenant, who in ((victim, "victim"), (other, "acme")):
            if not moved:
                found = independent.keys(store, old, "eu", tenant)
                assert independent.read_object(found, region, world.places[who]) == CONTENT[who]
                opened_before += 1
        # What there is now: the others' keys as of the move of the root, and of the victim none at any time.
        with pytest.raises(NotOpened):
            independent.keys(store, roots, "eu", victim)
        candidates = list(now)
        if moved:
            found = independent.keys(store, roots, "eu", other)
            assert independent.read_object(found, region, world.places["acme"]) == CONTENT["acme"]
            candidates += [found.kek, *independent.nodes(store, roots, "eu")]
            opened_after += 1
        assert not independent.opens_with_any(candidates, store, region, world.places["victim"])
    assert opened_before == 2 * NAMES.index("before rekeyed") and opened_after == len(NAMES) - NAMES.index("before rekeyed")


def test_copies_of_everything_made_during_the_shred_start_no_gateway_that_serves_the_victim(world):
    """Beside the root and the log that there are at the end."""
    gateway = world.gateway
    gateway.child.stop()
    at, size = gateway.dir, world.log_size()
    started = []
    try:
        for name in NAMES:
            gateway.dir = world.copy(name)
            shutil.copytree(at / "eu/root", gateway.dir / "eu/root")
            shutil.rmtree(gateway.dir / "eu/log")
            shutil.copytree(at / "eu/log", gateway.dir / "eu/log")
            said_from = len(gateway.log())
            try:
                gateway.start()
            except RuntimeError as error:
                assert "ended with" in str(error), name
                said = gateway.log()[said_from:].decode()
                behind = f"which has {size}: an older copy was restored" in said
                assert behind or "no key of epoch 1" in said and NAMES.index(name) < NAMES.index("before rekeyed"), f"{name}: {said}"
                continue
            started.append(name)
            gateway.use("victim", REGION, *world.credentials["victim"])
            with pytest.raises(gateway.client("victim").exceptions.ClientError, match="InvalidAccessKeyId|AccessDenied|403"):
                gateway.client("victim").get_object(Bucket=BUCKETS["victim"], Key="words")
            assert gateway.client("acme").get_object(Bucket=BUCKETS["acme"], Key="words")["Body"].read() == CONTENT["acme"]
            gateway.child.stop()
    finally:
        gateway.dir = at
    # Only what knows every receipt is a copy that is not behind.
    print("started", started)
    assert started and all(NAMES.index(name) > NAMES.index("receipt purged") for name in started)
