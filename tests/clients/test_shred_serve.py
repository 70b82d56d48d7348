"""Shreds in production: two approvers, a grace, two gateways on one domain, and the restore of the shred's own backup."""

import json
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

from test_serve import eventually, issue, refusal
from testbed import independent, memory
from testbed.certificates import Authority
from testbed.installation import REGION, Serving
from testbed.payload import MIB, body
from testbed.process import free_port
from testbed.seaweedfs import SeaweedFS
from testbed.shredding import STAGES, Load, Shredding, receipt_stages, statements, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

BIG = body(24 * MIB, "big")
NAMES = ("survivor", "victim", "second")


@dataclass
class Site:
    """A domain with two gateways, both of role control, and three tenants."""

    made: Shredding
    here: Serving
    there: Serving
    ids: dict[str, str] = field(default_factory=dict)
    old_backup: str = ""

    @property
    def old_root(self) -> Path:
        """A copy of the root from before every shred: what nobody may have kept."""
        return self.made.directory.parent / "old-root"

    def key_store_holds(self, name: str) -> bool:
        with sqlite3.connect(self.made.directory / "eu-keys/keys.db", timeout=10) as store:
            found = store.execute("SELECT count(*) FROM keks WHERE tenant = ?", (bytes.fromhex(self.ids[name]),)).fetchone()
        return found != (0,)

    def catalog(self) -> sqlite3.Connection:
        return sqlite3.connect(self.made.directory / "eu/catalog.db", timeout=10)

    def ends_grace(self, tenant: str) -> None:
        """A day goes by."""
        self._grace(tenant, 0)

    def begins_grace(self, tenant: str) -> None:
        """And back."""
        self._grace(tenant, 24 * 60 * 60 * 1000)

    def _grace(self, tenant: str, milliseconds: int) -> None:
        with self.catalog() as rows:
            rows.execute("UPDATE terminations SET grace_end = requested + ? WHERE tenant = ?",
                         (milliseconds, bytes.fromhex(self.ids[tenant])))  # fmt: skip

    def approve(self, tenant: str, role: str) -> dict:
        done = self.made.run("tenant", "approve", tenant, gateway=self.here, role=role)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> list[dict]:
        return self.made.json("shred", "status", gateway=self.here)

    def receipt(self, tenant: str) -> tuple[Path, Path]:
        receipt, trust = self.made.directory / f"{tenant}.receipt.json", self.made.directory / "trust.json"
        for argv in (("receipt", "get", tenant, "--to", str(receipt)), ("receipt", "trust", "eu", "--to", str(trust))):
            done = self.made.run(*argv, gateway=self.here)
            assert done.returncode == 0, done.stderr
        return receipt, trust

    def verified(self, tenant: str) -> list[dict]:
        """A tenant's three statements, verified."""
        receipt, trust = self.receipt(tenant)
        assert self.made.json("receipt", "verify", str(receipt), "--trust", str(trust))["verdict"] == "verified"
        assert receipt_stages(receipt) == list(STAGES)
        return [statement["predicate"] for statement in statements(receipt)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shred-serve")
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    made = Shredding(directory / "site", store)
    try:
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        here = made.serve()
        changes = [(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in made.ports]
        running = Site(made, here, made.serve(made.changed("there.toml", *changes)))
        for name in NAMES:
            running.ids[name] = made.json("tenant", "create", name, "--region", REGION, gateway=here)["id"]
            issued = issue(made, here, name, name)
            running.there.use(name, issued["access_key_id"], issued["secret_access_key"])
            here.client(name).create_bucket(Bucket=f"{name}-docs")
            here.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode() * 1000)
        here.client("victim").put_object(Bucket="victim-docs", Key="big", Body=BIG)
        running.old_backup = made.json("key-store", "backup", "eu", gateway=here)["file"]
        shutil.copytree(made.root / "eu", directory / "old-root")
        yield running
    finally:
        made.stop()
        store.stop()


def words(gateway: Serving, name: str) -> bytes:
    return gateway.client(name).get_object(Bucket=f"{name}-docs", Key="words")["Body"].read()


def test_termination_takes_two_different_approvers_and_its_grace(site):
    made, here = site.made, site.here
    asked = made.json("tenant", "terminate", "victim", gateway=here)
    assert asked["approvals_needed"] == 2 and asked["due"] == "in-grace"
    for role in ("operator", "auditor"):
        said = made.refused("tenant", "approve", "victim", gateway=here, role=role, code=2)
        assert "approver" in said, said
    made.refused("tenant", "terminate", "survivor", gateway=here, role="carol", code=2)
    made.refused("tenant", "terminate", "survivor", "--grace-days", "0", gateway=here, code=2)
    for _ in range(2):
        assert site.approve("victim", "carol")["approvals"] == ["carol"]
    said = made.refused("shred", "run", "--now", "--tenant", "victim", gateway=here, code=2)
    assert "1 of 2 approvals" in said
    assert site.approve("victim", "dave")["state"] == "approved"
    said = made.refused("shred", "run", "--now", "--tenant", "victim", gateway=here, code=2)
    assert "grace has not ended" in said
    made.json("shred", "run", "--now", gateway=here)
    assert site.status() == [] and words(here, "victim") == b"victim" * 1000
    (row,) = made.json("tenant", "list", "--due", gateway=here)
    assert row["name"] == "victim" and row["due"] == "in-grace"


def test_shred_starts_when_the_grace_ends_and_a_paused_gateway_serves_nothing_after_it(site):
    made, here, there = site.made, site.here, site.there
    eventually(lambda: refusal(lambda: words(there, "victim")) is None, "the credential at the other gateway")
    assert words(there, "survivor") == b"survivor" * 1000
    roots, tenant = independent.root_keys(made.root / "eu"), bytes.fromhex(site.ids["victim"])
    keys = independent.keys(made.directory / "eu-keys/keys.db", roots, "eu", tenant)
    patterns = {"KEK": keys.kek, "node": keys.node, "E_n": keys.root}
    half_read = there.client("victim").get_object(Bucket="victim-docs", Key="big")["Body"]
    assert half_read.read(1000) == BIG[:1000]
    may_look = memory.may_read(there.child.pid)
    assert not may_look or memory.found(there.child.pid, patterns)["KEK"], "it has the key when it is paused"
    there.child.popen.send_signal(signal.SIGSTOP)
    try:
        with Load({"survivor": here.client("survivor")}, {"survivor": "survivor-docs"}) as load:
            site.ends_grace("victim")
            wait_until_purged(site.status, site.ids["victim"])
        assert load.errors == [] and load.turns > 5
    finally:
        there.child.popen.send_signal(signal.SIGCONT)
    until, answers = time.monotonic() + 3, set()
    while time.monotonic() < until:
        answers.add(refusal(lambda: words(there, "victim")))
    assert None not in answers, "not one byte of the victim, from the first moment on"
    with pytest.raises((HTTPClientError, IncompleteReadError, ResponseStreamingError)):
        half_read.read()
    for gateway in (here, there) if may_look else ():
        assert set(memory.found(gateway.child.pid, patterns).values()) == {0}
    assert refusal(lambda: words(here, "victim")) == "InvalidAccessKeyId"
    eventually(lambda: refusal(lambda: words(there, "victim")) == "InvalidAccessKeyId", "the refusal at the other gateway")
    eventually(lambda: refusal(lambda: words(there, "survivor")) is None, "that the other gateway serves again", 60)
    revoked, erased, _ = site.verified("victim")
    assert revoked["termination"]["mode"] == "production"
    assert [one["principal"] for one in revoked["termination"]["approvals"]] == ["carol", "dave"]
    outcomes = [gateway["outcome"] for gateway in erased["fences"][0]["gateways"]]
    assert sorted(outcomes) == ["acknowledged", "expired"]


@contextmanager
def away(directory: Path, replaced: bool = True):
    """A directory that is gone, or whose place is taken by a file, for a while."""
    aside = directory.with_name(directory.name + "-aside")
    directory.rename(aside)
    if replaced:
        directory.write_text("not a directory")
    try:
        yield
    finally:
        directory.unlink(missing_ok=True)
        aside.rename(directory)


def nothing_begins(site, reason: str) -> None:
    said = site.made.refused("shred", "run", "--now", gateway=site.here, code=2)
    assert reason in said, said
    assert len(site.status()) == 1 and words(site.here, "second") == b"second" * 1000


def test_shred_with_root_provider_key_backup_or_log_away_does_not_begin(site):
    made = site.made
    made.json("tenant", "terminate", "second", gateway=site.there)
    for role in ("carol", "dave"):
        site.approve("second", role)
    # The grace ends only while something is away: no runner begins by itself in between.
    with away(made.directory / "eu-key-backup"):
        site.ends_grace("second")
        nothing_begins(site, "backups")
        with away(made.root / "eu", replaced=False):
            nothing_begins(site, "root directory")
        site.begins_grace("second")
    with away(made.directory / "eu-log"):
        site.ends_grace("second")
        nothing_begins(site, "log")
        site.begins_grace("second")


def test_shred_begun_at_two_gateways_at_once_is_one_shred(site):
    made = site.made
    site.ends_grace("second")
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(made.run, "shred", "run", "--now", gateway=gateway) for gateway in (site.here, site.there) * 3]
        outcomes = [one.result() for one in asked]
    assert all(done.returncode == 0 for done in outcomes), [done.stderr for done in outcomes]
    wait_until_purged(site.status, site.ids["second"])
    assert len(site.status()) == 2, "the first test's and this one"
    site.verified("second")
    with site.catalog() as rows:
        found = rows.execute("SELECT tenant, stage FROM receipts").fetchall()
    assert sorted(found) == sorted((bytes.fromhex(site.ids[name]), stage) for name in ("victim", "second") for stage in STAGES)
    assert len(list((made.directory / "eu-log/statements").iterdir())) == 2 * len(STAGES)
    assert [file.name for file in (made.root / "eu").iterdir()] == ["epoch-3.key"]


# These stop the gateways that all tests above use, so they stay below them.


def test_backup_that_the_shred_made_gives_every_other_tenant_everything(site):
    made, keys = site.made, site.made.directory / "eu-keys"
    (backup,) = [file.name for file in (made.directory / "eu-key-backup").glob("*epoch-3*.lethe-keys")]
    tested = made.json("key-store", "test-restore", "eu", backup, "--config", "lethe.toml")
    assert tested["erased_tenants_found"] == 0 and tested["nodes"] == 1025
    for gateway in (site.here, site.there):
        gateway.stop()
    said = made.refused("key-store", "restore", "eu", backup, "--config", "lethe.toml", code=2)
    assert "empty" in said, said
    assert site.key_store_holds("survivor") and not site.key_store_holds("victim"), "nothing was restored over it"
    shutil.move(keys, made.directory / "lost-keys")
    # Statements were logged since: it takes an operator's word that no key was made.
    said = made.refused("key-store", "restore", "eu", backup, "--config", "lethe.toml", code=2)
    assert "older copy" in said, said
    restored = made.json("key-store", "restore", "eu", backup, "--config", "lethe.toml", "--accept-behind", "the disk is lost")
    assert restored["epoch"] == 3 and restored["forgotten_tenants"] == 0
    for gateway in (site.here, site.there):
        gateway.start()
        assert words(gateway, "survivor") == b"survivor" * 1000
        gateway.client("survivor").put_object(Bucket="survivor-docs", Key="after", Body=b"after")
    for name in ("victim", "second"):
        site.verified(name)
    # The move of the root that the backup was made in the middle of is finished by the gateways.
    eventually(lambda: creates(site, "late"), "that keys are made again", 90)
    made.json("key", "rotate", "survivor", gateway=site.here)
    assert words(site.here, "survivor") == b"survivor" * 1000


def creates(site, name: str) -> bool:
    done = site.made.run("tenant", "create", name, "--region", REGION, gateway=site.here)
    assert done.returncode == 0 or "while the root moves" in done.stderr, done.stderr
    return done.returncode == 0


def test_backup_and_root_from_before_the_shreds_are_made_to_forget_before_they_open(site):
    made, keys = site.made, site.made.directory / "eu-keys"
    restore = ("key-store", "restore", "eu", site.old_backup, "--config", "lethe.toml")
    for gateway in (site.here, site.there):
        gateway.stop()
    shutil.move(keys, made.directory / "newer-keys")
    said = made.refused(*restore, code=2)
    assert "epoch is 1, below epoch 3 that was already seen" in said, said
    said = made.refused(*restore, "--accept-behind", "the disk is lost", code=2)
    assert "no key of epoch 1" in said, "the current root has destroyed what opens it"
    shutil.copy(site.old_root / "epoch-1.key", made.root / "eu")
    # Something of the victims would open now, were it not for the statements beside the log.
    restored = made.json(*restore, "--accept-behind", "the root was restored, too")
    assert restored["forgotten_tenants"] == 2 and restored["epoch"] == 4
    assert site.key_store_holds("survivor") and not site.key_store_holds("victim") and not site.key_store_holds("second")
    site.here.start()
    assert words(site.here, "survivor") == b"survivor" * 1000
    assert refusal(lambda: words(site.here, "victim")) == "InvalidAccessKeyId"
    eventually(lambda: not (made.root / "eu/epoch-1.key").exists(), "the end of the epoch that was brought back", 90)
    eventually(lambda: creates(site, "later"), "that keys are made again", 90)
