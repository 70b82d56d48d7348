"""Shreds and restores of the key store in one another's way: a restore that is half done, one in the middle of a shred, one beside it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from test_serve import eventually, issue, refusal
from testbed import independent
from testbed.cuts import Stores, after
from testbed.independent import NotOpened
from testbed.installation import REGION, Serving
from testbed.shredding import STAGES, Shredding, receipt_stages, statements, wait_until_purged
from testbed.target import binary

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

NAMES = ("survivor", "neighbour", "victim")
PAUSED = ("fenced", "inventoried", "rekeyed", "refenced", "backed-up", "destroyed", "receipted")


@dataclass
class Site:
    """A domain with three tenants, one of whom is shredded; what it was before, and at each state of the shred."""

    made: Shredding
    here: Serving
    ids: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, tuple[str, str]] = field(default_factory=dict)
    places: dict[str, dict] = field(default_factory=dict)
    backup: str = ""

    @property
    def directory(self) -> Path:
        return self.made.directory

    @property
    def root(self) -> Path:
        return self.made.root / "eu"

    @property
    def key_store(self) -> Path:
        return self.directory / "eu-keys"

    @property
    def stores(self) -> Stores:
        return Stores(self.directory / "eu/catalog.db", self.key_store / "keys.db")

    def kept(self, moment: str) -> Path:
        return self.directory.parent / f"kept-{moment}"

    def keep(self, moment: str) -> None:
        shutil.copytree(self.directory, self.kept(moment) / "site")
        shutil.copytree(self.root, self.kept(moment) / "root")

    def put_back(self, moment: str) -> None:
        """Everything, the root and the log with it, as it was at a moment."""
        self.here.stop()
        for at, what in ((self.directory, "site"), (self.root, "root")):
            shutil.rmtree(at)
            shutil.copytree(self.kept(moment) / what, at)

    def loses_keys(self) -> Path:
        """The key store's disk is lost; answers where somebody finds it."""
        found = self.directory / "lost-keys"
        shutil.move(self.key_store, found)
        return found / "keys.db"

    def restore(self, *more: str, backup: str = "", config: str = "lethe.toml") -> dict:
        return self.made.json("key-store", "restore", "eu", backup or self.backup, "--config", config, *more)

    def restore_refused(self, *more: str, backup: str = "") -> str:
        return self.made.refused("key-store", "restore", "eu", backup or self.backup, "--config", "lethe.toml", *more, code=2)

    def start_refused(self) -> str:
        with pytest.raises(RuntimeError, match="ended with [12] before"):
            self.here.start()
        return self.here.log()[-1500:]

    def ask(self, *argv: str):
        return self.made.json(*argv, gateway=self.here)

    def status(self) -> list[dict]:
        return self.ask("shred", "status")

    def words(self, name: str) -> bytes:
        return self.here.client(name).get_object(Bucket=f"{name}-docs", Key="words")["Body"].read()

    def grace_is_over(self) -> None:
        with self.stores.open("catalog") as rows:
            rows.execute("UPDATE terminations SET grace_end = requested WHERE state = 'approved'")

    def terminated(self, name: str) -> None:
        self.ask("tenant", "terminate", name)
        for role in ("carol", "dave"):
            done = self.made.run("tenant", "approve", name, gateway=self.here, role=role)
            assert done.returncode == 0, done.stderr

    def shredded(self, name: str) -> None:
        self.terminated(name)
        self.grace_is_over()
        wait_until_purged(self.status, self.ids[name])
        self.verified(name)

    def verified(self, name: str) -> list[dict]:
        receipt, trust = self.directory / f"{name}.receipt.json", self.directory / "trust.json"
        for argv in (("receipt", "get", name, "--to", str(receipt)), ("receipt", "trust", "eu", "--to", str(trust))):
            done = self.made.run(*argv, gateway=self.here)
            assert done.returncode == 0, done.stderr
        assert self.made.json("receipt", "verify", str(receipt), "--trust", str(trust))["verdict"] == "verified"
        assert receipt_stages(receipt) == list(STAGES)
        return [statement["predicate"] for statement in statements(receipt)]

    def creates(self, name: str) -> bool:
        done = self.made.run("tenant", "create", name, "--region", REGION, gateway=self.here)
        assert done.returncode == 0 or "while the root moves" in done.stderr, done.stderr
        return done.returncode == 0

    def others_work(self, names: tuple[str, ...] = ("survivor", "neighbour")) -> None:
        for name in names:
            assert self.words(name) == name.encode() * 1000
            self.here.client(name).put_object(Bucket=f"{name}-docs", Key="later", Body=b"later")
            assert self.here.client(name).get_object(Bucket=f"{name}-docs", Key="later")["Body"].read() == b"later"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Shredding(tmp_path_factory.mktemp("shred-restore") / "site")
    try:
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        running = Site(made, made.serve())
        fill(running)
        keep_the_world_at_each_state(running)
        yield running
    finally:
        made.stop()


def fill(site: Site) -> None:
    for name in NAMES:
        site.ids[name] = site.ask("tenant", "create", name, "--region", REGION)["id"]
        issue(site.made, site.here, name, name)
        site.here.client(name).create_bucket(Bucket=f"{name}-docs")
        site.here.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode() * 1000)
        inspected = site.ask("object", "inspect", name, f"{name}-docs", "words")
        site.places[name] = independent.place_of(inspected, site.ids[name], "eu", f"{name}-docs", "words")
    site.terminated("victim")
    site.backup = site.ask("key-store", "backup", "eu")["file"]
    site.here.stop()
    site.keep("before")


def keep_the_world_at_each_state(site: Site) -> None:
    site.grace_is_over()
    for state in PAUSED:
        site.stores.put(after(state))
        site.here.start()
        site.stores.dies_at(after(state), site.here.child)
        site.stores.mend(after(state))
        site.keep(state)


def opens_nothing_of_the_victim(site: Site, key_store: Path) -> None:
    """A key store's file that somebody found, with the root that there is."""
    roots, region = independent.root_keys(site.root), site.kept("before") / "site/regions" / REGION
    with pytest.raises(NotOpened):
        independent.keys(key_store, roots, "eu", bytes.fromhex(site.ids["victim"]))
    candidates = list(independent.nodes(site.stores.keys, roots, "eu"))
    assert not independent.opens_with_any(candidates, key_store, region, site.places["victim"])


def shred_is_finished(site: Site, lost: Path, epoch: int) -> None:
    """The shred of the victim, once, and with nothing else lost."""
    deadline = time.monotonic() + 120
    while not (rows := site.status()) or rows[0]["state"] != "purged":
        if rows and rows[0]["state"] != "requested":
            assert refusal(lambda: site.words("victim")) is not None, "never again"
        time.sleep(0.2)
        assert time.monotonic() < deadline, f"{rows}\n{site.here.log()[-2000:]}"
        site.others_work()
    revoked, erased, _ = site.verified("victim")
    assert revoked["tenant"]["id"] == site.ids["victim"]
    assert (erased["root"]["epochDestroyed"], erased["root"]["epochCurrent"]) == (1, epoch)
    assert [file.name for file in site.root.iterdir()] == [f"epoch-{epoch}.key"], "what the lost store was under is gone, too"
    with site.stores.open("keys") as store:
        held = {tenant.hex() for (tenant,) in store.execute("SELECT tenant FROM keks")}
        assert store.execute("SELECT DISTINCT state FROM moves").fetchall() == [("destroyed",)]
    assert {site.ids[name] for name in ("survivor", "neighbour")} == held
    with site.stores.open("catalog") as rows:
        assert sorted(stage for (stage,) in rows.execute("SELECT stage FROM receipts")) == sorted(STAGES)
    opens_nothing_of_the_victim(site, lost)
    opens_nothing_of_the_victim(site, site.kept("before") / "site/eu-keys/keys.db")
    site.others_work()
    eventually(lambda: site.creates("late"), "that keys are made again")


@pytest.mark.parametrize("state", ["fenced", "inventoried"])
def test_backup_from_before_restored_before_the_root_has_moved_lets_the_shred_finish(site, state):
    site.put_back(state)
    lost = site.loses_keys()
    if state == "inventoried":
        # The receipt `revoked` is in the log.
        assert "older copy" in site.restore_refused()
    restored = site.restore(*(["--accept-behind", "the disk is lost"] if state == "inventoried" else []))
    assert (restored["epoch"], restored["forgotten_tenants"]) == (1, 0)
    site.here.start()
    shred_is_finished(site, lost, epoch=2)


@pytest.mark.parametrize("state", ["rekeyed", "refenced", "backed-up"])
def test_backup_from_before_restored_after_the_root_has_moved_forgets_the_victim_and_lets_the_shred_finish(site, state):
    site.put_back(state)
    lost = site.loses_keys()
    assert "epoch is 1, below epoch 2 that was already seen" in site.restore_refused()
    restored = site.restore("--accept-behind", "the disk is lost")
    assert (restored["epoch"], restored["forgotten_tenants"]) == (3, 1)
    site.here.start()
    shred_is_finished(site, lost, epoch=3)
    if state == "rekeyed":
        site.shredded("neighbour")
        assert [file.name for file in site.root.iterdir()] == ["epoch-4.key"]
        roots = independent.root_keys(site.root)
        for store in (lost, *(site.kept(moment) / "site/eu-keys/keys.db" for moment in ("before", "rekeyed"))):
            with pytest.raises(NotOpened):
                independent.keys(store, roots, "eu", bytes.fromhex(site.ids["neighbour"]))
        site.others_work(("survivor",))


@pytest.mark.parametrize("state", ["destroyed", "receipted"])
def test_backup_from_before_is_refused_once_its_epoch_is_destroyed_and_the_shreds_own_is_restored(site, state):
    site.put_back(state)
    lost = site.loses_keys()
    assert "epoch is 1, below epoch 2 that was already seen" in site.restore_refused()
    assert "no key of epoch 1" in site.restore_refused("--accept-behind", "the disk is lost")
    assert "restore is not complete" in site.start_refused(), "what was begun opens nowhere"
    shutil.rmtree(site.key_store)
    (own,) = [file.name for file in (site.directory / "eu-key-backup").glob("*epoch-2*.lethe-keys")]
    if state == "receipted":
        assert "older copy" in site.restore_refused(backup=own)
        shutil.rmtree(site.key_store)
    restored = site.restore("--accept-behind", "the disk is lost", backup=own)
    assert (restored["epoch"], restored["forgotten_tenants"]) == (2, 0)
    site.here.start()
    shred_is_finished(site, lost, epoch=2)
    site.shredded("neighbour")
    site.others_work(("survivor",))


def test_backup_that_the_shred_made_restored_before_the_destruction_lets_it_go_on(site):
    site.put_back("backed-up")
    lost = site.loses_keys()
    (own,) = [file.name for file in (site.directory / "eu-key-backup").glob("*epoch-2*.lethe-keys")]
    restored = site.restore(backup=own)
    assert (restored["epoch"], restored["forgotten_tenants"]) == (2, 0)
    site.here.start()
    shred_is_finished(site, lost, epoch=2)


# A restore that is half done.


def rows_of(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as store:
        return [line for line in store.iterdump() if "INSERT INTO" in line and "gateways" not in line]


def killed_restore(site: Site, backup: str) -> None:
    """kill -9 of the command once everything is in the store and before it has opened anything: it hangs on the root's key."""
    key = site.root / "epoch-1.key"
    aside = key.with_name("aside")
    key.rename(aside)
    os.mkfifo(key, 0o600)
    argv = [str(binary()), "key-store", "restore", "eu", backup, "--config", "lethe.toml"]
    with subprocess.Popen(argv, cwd=site.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}) as command:  # fmt: skip
        try:
            eventually(lambda: phase(site) == "restoring", "a store that is being restored")
        finally:
            command.send_signal(signal.SIGKILL)
    assert command.returncode == -signal.SIGKILL, "it was at it"
    key.unlink()
    aside.rename(key)


def phase(site: Site) -> str | None:
    if not site.stores.keys.exists():
        return None
    try:
        with site.stores.open("keys") as store:
            (state,) = store.execute("SELECT state FROM key_store").fetchone() or (None,)
    except sqlite3.OperationalError:
        return None
    return state


def test_killed_restore_is_refused_by_everything_and_repeated_before_the_shred(site):
    site.put_back("before")
    site.grace_is_over()
    before = rows_of(site.stores.catalog)
    lost = site.loses_keys()
    killed_restore(site, site.backup)
    said = site.start_refused()
    assert "restore is not complete; run `lethe key-store restore` again" in said, said
    for argv in (("domain", "init", "eu"), ("key-store", "test-restore", "eu", site.backup)):
        said = site.made.refused(*argv, "--config", "lethe.toml", code=2)
        assert "restore is not complete; run `lethe key-store restore` again" in said, said
    for argv in (("shred", "run", "--now"), ("tenant", "terminate", "neighbour")):
        site.made.refused(*argv, gateway=site.here, code=2)
    assert rows_of(site.stores.catalog) == before, "nothing has begun"
    assert site.restore()["epoch"] == 1
    site.here.start()
    shred_is_finished(site, lost, epoch=2)


def test_restore_of_half_a_backup_is_refused_by_everything_and_repeated_with_a_whole_one(site):
    site.put_back("before")
    lost = site.loses_keys()
    whole = (site.directory / "eu-key-backup" / site.backup).read_bytes()
    (site.directory / "eu-key-backup/half.lethe-keys").write_bytes(whole[: len(whole) // 2])
    assert "half.lethe-keys" in site.restore_refused(backup="half.lethe-keys")
    for said in (site.start_refused(), site.made.refused("domain", "init", "eu", "--config", "lethe.toml", code=2)):
        assert "`lethe key-store restore` if a restore began it" in said, said
    assert site.restore()["epoch"] == 1
    site.grace_is_over()
    site.here.start()
    shred_is_finished(site, lost, epoch=2)


def test_gateway_whose_key_store_is_being_restored_under_it_serves_and_shreds_nothing_until_that_is_over(site):
    site.put_back("before")
    site.here.start()
    site.others_work()
    lost = site.kept("before") / "site/eu-keys/keys.db"
    with site.stores.open("keys") as store:
        store.execute("UPDATE key_store SET state = 'restoring'")
    eventually(lambda: refusal(lambda: site.words("survivor")) == "ServiceUnavailable", "that it drops its keys")
    site.grace_is_over()
    before = rows_of(site.stores.catalog)
    said = site.made.refused("shred", "run", "--now", gateway=site.here, code=2)
    assert "restore is not complete" in said or "lease on the key store has ended" in said, said
    said = site.made.refused("tenant", "terminate", "neighbour", gateway=site.here, code=2)
    assert "restore is not complete" in said or "lease on the key store has ended" in said, said
    assert site.status() == [] and rows_of(site.stores.catalog) == before, "nothing half-done"
    with site.stores.open("keys") as store:
        store.execute("UPDATE key_store SET state = 'ready'")
    eventually(lambda: refusal(lambda: site.words("survivor")) is None, "that it serves again", 60)
    shred_is_finished(site, lost, epoch=2)


# A restore beside a running shred.


def test_backup_restored_elsewhere_during_a_shred_is_behind_when_it_is_opened(site):
    site.put_back("before")
    lost = site.kept("before") / "site/eu-keys/keys.db"
    elsewhere = [site.made.changed(f"elsewhere-{number}.toml", ("eu-keys/", f"elsewhere-{number}/")) for number in range(6)]
    assert site.restore(config=elsewhere[0].name)["epoch"] == 1
    restored = [elsewhere[0]]
    site.here.start()
    site.grace_is_over()
    for config in elsewhere[1:]:
        done = site.made.run("key-store", "restore", "eu", site.backup, "--config", config.name)
        if done.returncode == 0:
            restored.append(config)
        else:
            assert "older copy was restored" in done.stderr or "no key of epoch 1" in done.stderr, done.stderr
    shred_is_finished(site, lost, epoch=2)
    for config in restored:
        said = site.made.refused("key-store", "test-restore", "eu", site.backup, "--config", config.name, code=2)
        assert "epoch is 1, below epoch 2 that was already seen: an older copy was restored" in said, said
        opens_nothing_of_the_victim(site, site.directory / config.stem / "keys.db")
