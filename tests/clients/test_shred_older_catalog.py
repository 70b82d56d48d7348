"""A catalog that is put back from an older copy: what it does not know of, and what is shredded for all that."""

import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from test_serve import eventually, issue
from testbed.installation import REGION
from testbed.shredding import Shredding, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

# The runner looks every five seconds, and begins at once.
LOOKS_SECONDS = 12


@pytest.fixture
def made(tmp_path):
    made = Shredding(tmp_path / "site", grace_days=30)
    try:
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        yield made
    finally:
        made.stop()


def test_older_catalog_shreds_nobody_whose_termination_was_called_off_since(made):
    catalog = made.directory / "eu/catalog.db"
    kept = made.directory / "kept.db"

    def copy(source, target) -> None:
        for ending in ("-wal", "-shm"):
            target.with_name(target.name + ending).unlink(missing_ok=True)
        with closing(sqlite3.connect(source)) as rows, closing(sqlite3.connect(target)) as to:
            rows.backup(to)

    def grace_is_over() -> None:
        with closing(sqlite3.connect(catalog, timeout=20)) as rows, rows:
            rows.execute("UPDATE terminations SET grace_end = requested WHERE state = 'approved'")

    here = made.serve()
    ids = {}
    for name in ("stays", "gone"):
        ids[name] = made.json("tenant", "create", name, "--region", REGION, gateway=here)["id"]
        issue(made, here, name, name)
        here.client(name).create_bucket(Bucket=f"{name}-docs")
        here.client(name).put_object(Bucket=f"{name}-docs", Key="before", Body=b"before")
        made.json("tenant", "terminate", name, gateway=here)
        for role in ("carol", "dave"):
            done = made.run("tenant", "approve", name, gateway=here, role=role)
            assert done.returncode == 0, done.stderr
    copy(catalog, kept)

    assert made.json("tenant", "cancel", "stays", gateway=here)["state"] == "cancelled"
    here.client("stays").put_object(Bucket="stays-docs", Key="after", Body=b"after")
    grace_is_over()
    wait_until_purged(lambda: made.json("shred", "status", gateway=here), ids["gone"])
    here.stop()

    catalog.unlink()
    copy(kept, catalog)
    grace_is_over()
    here.start()
    time.sleep(LOOKS_SECONDS)

    def due() -> dict:
        return {row["name"]: row for row in made.json("tenant", "list", "--due", gateway=here)}

    assert due()["stays"]["state"] == "approved"
    assert "lethe tenant cancel" in due()["stays"]["waits"]
    told = made.run("shred", "status", gateway=here)
    assert told.returncode == 0 and "tenant stays waits: the termination was called off" in told.stderr
    assert all(ids["stays"] not in row["tenants"] for row in made.json("shred", "status", gateway=here))
    refused = made.refused("shred", "run", "--now", "--tenant", "stays", gateway=here)
    assert "was called off" in refused
    for key in ("before", "after"):
        assert here.client("stays").get_object(Bucket="stays-docs", Key=key)["Body"].read() == key.encode()
    # Whose keys are gone is shredded once more, so that its ciphertext goes, too.
    wait_until_purged(lambda: made.json("shred", "status", gateway=here), ids["gone"])

    # The older copy knows the gateway of before, whose lease is waited for.
    eventually(lambda: made.run("tenant", "cancel", "stays", gateway=here).returncode == 0, "called off", 120)
    eventually(lambda: made.json("tenant", "show", "stays", gateway=here)["state"] == "active", "active")
    here.client("stays").put_object(Bucket="stays-docs", Key="later", Body=b"later")
    assert "stays" not in due()
