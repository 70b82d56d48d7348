"""What lies where others can write: files beside the log that are no statements, and a place for backups that is not mounted."""

import base64
import json
import secrets
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from test_serve import eventually, issue
from testbed.installation import REGION, Serving
from testbed.shredding import Shredding, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

NAMES = ("acme", "leaver", "second")


@dataclass
class Site:
    made: Shredding
    here: Serving
    ids: dict[str, str] = field(default_factory=dict)
    old: dict[str, Path] = field(default_factory=dict)
    old_backup: str = ""

    @property
    def place(self) -> Path:
        return self.made.directory / "eu-key-backup"

    def ask(self, *argv: str):
        return self.made.json(*argv, gateway=self.here)

    def approved(self, name: str) -> None:
        """There is no grace: its shred begins as soon as one can."""
        self.ask("tenant", "terminate", name)
        for role in ("carol", "dave"):
            done = self.made.run("tenant", "approve", name, gateway=self.here, role=role)
            assert done.returncode == 0, done.stderr

    def purged(self, name: str) -> None:
        wait_until_purged(lambda: self.ask("shred", "status"), self.ids[name])

    def words(self, name: str) -> bytes:
        return self.here.client(name).get_object(Bucket=f"{name}-docs", Key="words")["Body"].read()

    def keks(self, name: str) -> int:
        with closing(sqlite3.connect(self.made.directory / "eu-keys/keys.db")) as store:
            return store.execute("SELECT count(*) FROM keks WHERE tenant = ?", (bytes.fromhex(self.ids[name]),)).fetchone()[0]

    def restore(self, backup: str, *more: str):
        return self.made.run("key-store", "restore", "eu", backup, "--config", "lethe.toml", *more)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Shredding(tmp_path_factory.mktemp("places") / "site", grace_days=0)
    try:
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        running = Site(made, made.serve())
        fill(running)
        yield running
    finally:
        made.stop()


def fill(site: Site) -> None:
    for name in NAMES:
        site.ids[name] = site.ask("tenant", "create", name, "--region", REGION)["id"]
        issue(site.made, site.here, name, name)
        site.here.client(name).create_bucket(Bucket=f"{name}-docs")
        site.here.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode())
    site.old_backup = site.ask("key-store", "backup", "eu")["file"]
    site.here.stop()
    for what, at in (("catalog", site.made.directory / "eu"), ("root", site.made.root / "eu")):
        site.old[what] = site.made.directory.parent / f"old-{what}"
        shutil.copytree(at, site.old[what])
    site.here.start()
    site.approved("leaver")
    site.purged("leaver")


def forged(site: Site) -> Path:
    """The statement `erased` of the leaver, turned into one of acme by somebody who has no key."""
    beside = site.made.directory / "eu-log/statements"
    for file in sorted(beside.glob("*.json")):
        envelope = json.loads(file.read_text())
        payload = base64.b64decode(envelope["payload"])
        predicate = json.loads(payload)["predicate"]
        if predicate["stage"] == "erased":
            break
    assert predicate["stage"] == "erased"
    receipt = secrets.token_hex(16)
    for old, new in ((site.ids["leaver"], site.ids["acme"]), (predicate["receiptId"], receipt)):
        payload = payload.replace(old.encode(), new.encode())
    envelope["payload"] = base64.b64encode(payload).decode()
    (beside / f"{receipt}.json").write_text(json.dumps(envelope, separators=(",", ":"), sort_keys=True))
    return beside / f"{receipt}.json"


def test_files_beside_the_log_that_nobody_signed_stop_no_gateway_and_forget_nobody(site):
    backup = site.ask("key-store", "backup", "eu")["file"]
    files = [forged(site), site.made.directory / f"eu-log/statements/{secrets.token_hex(16)}.json"]
    files[1].write_text("{")
    site.here.stop()
    site.here.start()
    for file in files:
        assert any(file.name in line and "WARN" in line for line in site.here.log().splitlines()), site.here.log()[-3000:]
    assert site.words("acme") == b"acme"
    verified = site.made.run("log", "verify", "--domain", "eu", "--config", "lethe.toml")
    assert verified.returncode == 3 and files[1].stem in verified.stdout, verified.stdout

    site.here.stop()
    shutil.move(site.made.directory / "eu-keys", site.made.directory / "lost-keys")
    restored = site.restore(backup)
    assert restored.returncode == 0, restored.stderr
    assert f"{files[0].name}: its signature does not hold" in restored.stderr, restored.stderr
    told = json.loads(restored.stdout)
    assert (told["forgotten_tenants"], told["forgotten"]) == (0, [])
    for file in files:
        file.unlink()
    site.here.start()
    assert site.words("acme") == b"acme" and site.keks("acme") == 1


def test_shred_waits_for_a_place_of_backups_that_is_not_mounted_and_makes_none_in_its_stead(site):
    aside = site.place.with_name("not-mounted")
    site.place.rename(aside)
    site.approved("second")
    waits(site, "it can't be read")
    said = site.made.refused("key-store", "backup", "eu", gateway=site.here, code=2)
    assert "is not marked as the place" in said, said
    said = site.made.refused("key-store", "adopt-backup-place", "eu", "--config", "lethe.toml", code=2)
    assert "mount or make the directory first" in said, said
    site.here.stop()
    site.made.json("domain", "init", "eu", "--config", "lethe.toml")
    assert not site.place.exists(), "made by nothing of this"
    # The directory under the mount point, after a restart.
    site.place.mkdir(mode=0o700)
    site.made.json("domain", "init", "eu", "--config", "lethe.toml")
    site.here.start()
    assert "nothing can be shredded or backed up" in site.here.log(), "said at the start, which it does not keep from"
    waits(site, "it bears the mark of no key store")
    assert list(site.place.iterdir()) == []
    assert site.words("acme") == b"acme" and site.words("second") == b"second"
    site.place.rmdir()
    aside.rename(site.place)
    site.purged("second")
    assert len(list(site.place.glob("*.lethe-keys"))) >= 3, "the old ones and the shred's"


def waits(site: Site, reason: str) -> None:
    said = site.made.refused("shred", "run", "--now", gateway=site.here, code=2)
    assert reason in said and "adopt-backup-place" in said, said
    assert all(site.ids["second"] not in row["tenants"] for row in site.ask("shred", "status")), "nothing has begun"


def test_place_of_backups_that_was_changed_is_adopted(site):
    site.place.rename(site.place.with_name("old-place"))
    site.place.mkdir(mode=0o700)
    site.made.refused("key-store", "backup", "eu", gateway=site.here, code=2)
    said = site.made.refused("doctor", "--config", "lethe.toml", code=2)
    assert "checks failed" in said, said
    for _ in range(2):
        adopted = site.made.json("key-store", "adopt-backup-place", "eu", "--config", "lethe.toml")
        assert (site.place / f"lethe-key-store-{adopted['key_store_identity']}").is_file()
    made = site.ask("key-store", "backup", "eu")["file"]
    site.here.stop()
    assert site.made.json("key-store", "test-restore", "eu", made, "--config", "lethe.toml")["erased_tenants_found"] == 0
    site.here.start()


# Last: it brings the time before the shred back.


def test_tenant_whom_an_old_catalog_still_serves_is_forgotten_by_an_operators_word_alone(site):
    site.here.stop()
    shutil.move(site.made.directory / "eu-keys", site.made.directory / "newer-keys")
    for what, at in (("catalog", site.made.directory / "eu"), ("root", site.made.root / "eu")):
        shutil.rmtree(at)
        shutil.copytree(site.old[what], at)
    shutil.copy(site.place.with_name("old-place") / site.old_backup, site.place)
    argv = (site.old_backup, "--accept-behind", "everything but the log is old")
    refused = site.restore(*argv)
    assert refused.returncode == 2, refused.stdout
    for name in ("leaver", "second"):
        assert f"{name} ({site.ids[name]}) is active" in refused.stderr, refused.stderr
    assert "--forget" in refused.stderr and "forgets tenant" not in refused.stderr
    one = site.restore(*argv, "--forget", "leaver")
    assert one.returncode == 2 and "leaver" not in one.stderr and "second" in one.stderr, one.stderr
    assert site.restore(*argv, "--forget", "acme").returncode == 1, "no statement names acme"
    assert site.keks("leaver") == site.keks("second") == 1, "nothing was forgotten yet"
    restored = site.restore(*argv, "--forget", "leaver", "--forget", site.ids["second"])
    assert restored.returncode == 0, restored.stderr
    names = {f"{name} ({site.ids[name]})" for name in ("leaver", "second")}
    assert set(json.loads(restored.stdout)["forgotten"]) == names
    assert all(f"forgets tenant {name}" in restored.stderr for name in names)
    assert (site.keks("acme"), site.keks("leaver"), site.keks("second")) == (1, 0, 0)
    site.here.start()
    assert site.words("acme") == b"acme"
    eventually(lambda: not (site.made.root / "eu/epoch-1.key").exists(), "the end of the epoch that was brought back", 90)
