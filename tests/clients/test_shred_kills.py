"""kill -9 of the gateway at every state and every kind of write of a shred: it is finished once, and no copy made on the way gives more.

What is killed when is not left to chance: the process is killed between two known statements (`testbed/cuts.py`).
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed import independent
from testbed.cuts import Cut, Stores, after, before
from testbed.independent import NotOpened
from testbed.shredding import STAGES, Operator, receipt_stages, wait_until_purged
from testbed.target import Gateway

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(600)]

CATALOG, KEYS = "catalog", "keys"
KEY_STORE = "eu/keys/keys.db"
REGION = "eu-central-1"
CONTENT = {"victim": b"the victim's own words " * 100, "acme": b"what stays " * 200}
BUCKETS = {"victim": "victims-docs", "acme": "docs"}


def both(state: str) -> tuple[Cut, Cut]:
    return before(state), after(state)


def receipt(stage: str) -> Cut:
    return Cut(f"receipt {stage}", CATALOG, "INSERT ON receipts", f"NEW.stage = '{stage}'")


def evidence(state: str) -> Cut:
    return Cut(f"evidence {state}", CATALOG, "INSERT ON shred_evidence", f"NEW.state = '{state}'")


# In the order in which a shred comes to them.
CUTS = (
    Cut("before requested", CATALOG, "INSERT ON shreds"),
    Cut("after requested", CATALOG, "INSERT ON shreds", after=True),
    Cut("fence of the tenant", KEYS, "INSERT ON fences", "NEW.kind = 'tenant'"),
    *both("fenced"),
    receipt("revoked"),
    Cut("entry revoked", KEYS, "INSERT ON log_entries", "NEW.kind = 'statement'"),
    evidence("inventoried"),
    *both("inventoried"),
    Cut("keys deleted", KEYS, "DELETE ON keks"),
    Cut("move", KEYS, "INSERT ON moves"),
    *both("rekeyed"),
    Cut("fence of the nodes", KEYS, "INSERT ON fences", "NEW.kind = 'nodes'"),
    *both("refenced"),
    Cut("tested backup", KEYS, "UPDATE OF backup ON moves"),
    *both("backed-up"),
    Cut("move destroying", KEYS, "UPDATE OF state ON moves", "NEW.state = 'destroying'"),
    Cut("move destroyed", KEYS, "UPDATE OF state ON moves", "NEW.state = 'destroyed'"),
    *both("destroyed"),
    receipt("erased"),
    Cut("tenant shredded", CATALOG, "UPDATE OF state ON tenants", "NEW.state = 'shredded'"),
    *both("receipted"),
    evidence("purged"),
    receipt("purged"),
    *both("purged"),
)
NAMES = [cut.name for cut in CUTS]


@dataclass
class World:
    """A `lethe dev` that is killed on the way through one shred, and what was copied of it at each kill."""

    gateway: Gateway
    operator: Operator
    ids: dict[str, str] = field(default_factory=dict)
    places: dict[str, dict] = field(default_factory=dict)
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

    @property
    def stores(self) -> Stores:
        return Stores(self.dir / "eu/catalog/catalog.db", self.dir / KEY_STORE)

    def log_size(self) -> int:
        return int((self.dir / "eu/log/checkpoint").read_text().splitlines()[1])


def dies_at(world: World, cut: Cut) -> None:
    """Lets the gateway come to a cut, and kills it there."""
    if cut.name.endswith(" requested"):
        begun = world.operator.run("shred", "run", "--now")
        if not cut.after:
            assert begun.returncode != 0 and world.stores.shred() is None
            world.gateway.child.kill()
            return
    world.stores.dies_at(cut, world.gateway.child)


def comes_back(world: World, cut: Cut | None) -> None:
    if cut:
        world.stores.put(cut)
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
            made.stores.mend(cut)
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
    with world.stores.open(CATALOG) as rows:
        assert sorted(stage for (stage,) in rows.execute("SELECT stage FROM receipts")) == sorted(STAGES)
        assert rows.execute("SELECT count(*), max(epoch_from) FROM shreds").fetchone() == (1, 1)
    with world.stores.open(KEYS) as store:
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
    now = list(independent.nodes(world.dir / KEY_STORE, roots, "eu"))
    opened_before, opened_after = 0, 0
    for name in NAMES:
        store, region = world.copy(name) / KEY_STORE, world.copy(name) / f"regions/{REGION}"
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
