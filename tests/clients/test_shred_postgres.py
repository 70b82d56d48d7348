"""Shreds with catalog and key store on PostgreSQL servers, which go away in the middle, as do gateways."""

import json
import signal
import time
from dataclasses import dataclass, field

import pytest

from test_serve import issue, refusal
from testbed.certificates import Authority
from testbed.installation import REGION, Serving
from testbed.process import free_port
from testbed.seaweedfs import SeaweedFS
from testbed.shredding import STAGES, Load, Shredding, receipt_stages, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(500)]

STATES = ("requested", "fenced", "inventoried", "rekeyed", "refenced", "backed-up", "destroyed", "receipted", "purged")
NAMES = ("survivor", "victim", "second")


@dataclass
class Site:
    """A domain on PostgreSQL with a gateway of both roles, `control`, and one that only serves, `data`."""

    made: Shredding
    control: Serving
    data: Serving
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def catalog(self):
        return self.made.servers[0]

    @property
    def key_store(self):
        return self.made.servers[1]

    def state(self, tenant: str) -> str | None:
        """The state of a tenant's shred, as the catalog has it."""
        found = self.catalog.rows("SELECT s.state FROM shreds s JOIN terminations t ON t.shred = s.id "
                                  f"WHERE t.tenant = '\\x{self.ids[tenant]}'")  # fmt: skip
        return found[0] if found else None

    def reach(self, tenant: str, wanted: str) -> str:
        deadline = time.monotonic() + 120
        while (state := self.state(tenant)) is None or STATES.index(state) < STATES.index(wanted):
            assert time.monotonic() < deadline, f"{wanted} is not reached: {state}"
            time.sleep(0.02)
        return state

    def terminate(self, tenant: str) -> None:
        """Its grace is over at once, so the shred begins when the second approval is there, dave's."""
        self.made.json("tenant", "terminate", tenant, gateway=self.control)
        self.approve(tenant, "carol")

    def approve(self, tenant: str, role: str) -> None:
        done = self.made.run("tenant", "approve", tenant, gateway=self.control, role=role)
        assert done.returncode == 0, done.stderr

    def status(self) -> list[dict]:
        return self.made.json("shred", "status", gateway=self.control)

    def shredded_once(self, tenant: str) -> None:
        """One receipt of each stage, which verifies."""
        stages = self.catalog.rows(f"SELECT stage FROM receipts WHERE tenant = '\\x{self.ids[tenant]}'")
        assert sorted(stages) == sorted(STAGES)
        receipt, trust = self.made.directory / f"{tenant}.receipt.json", self.made.directory / "trust.json"
        self.made.run("receipt", "get", tenant, "--to", str(receipt), gateway=self.control)
        self.made.run("receipt", "trust", "eu", "--to", str(trust), gateway=self.control)
        verdict = self.made.json("receipt", "verify", str(receipt), "--trust", str(trust))["verdict"]
        assert (verdict, receipt_stages(receipt)) == ("verified", list(STAGES))
        assert self.key_store.rows(f"SELECT count(*) FROM keks WHERE tenant = '\\x{self.ids[tenant]}'") == ["0"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shred-postgres")
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    made = None
    try:
        made = Shredding(directory / "site", store, grace_days=0, stores="postgres")
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        control = made.serve()
        changes = [(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in made.ports]
        data = made.serve(made.changed("data.toml", ("[gateway]\n", '[gateway]\nroles = ["data"]\n'), *changes))
        running = Site(made, control, data)
        for name in NAMES:
            running.ids[name] = made.json("tenant", "create", name, "--region", REGION, gateway=control)["id"]
            issued = issue(made, control, name, name)
            data.use(name, issued["access_key_id"], issued["secret_access_key"])
            control.client(name).create_bucket(Bucket=f"{name}-docs")
            control.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode() * 1000)
        yield running
    finally:
        if made:
            made.stop()
        store.stop()


def words(gateway: Serving, name: str) -> bytes:
    return gateway.client(name).get_object(Bucket=f"{name}-docs", Key="words")["Body"].read()


def test_control_gateway_killed_after_the_root_moved_finishes_the_shred_when_it_is_back(site):
    site.terminate("victim")
    site.approve("victim", "dave")
    was = site.reach("victim", "rekeyed")
    site.control.child.kill()
    assert STATES.index(site.state("victim")) >= STATES.index("rekeyed")
    assert words(site.data, "survivor") == b"survivor" * 1000, f"killed in {was}"
    assert refusal(lambda: words(site.data, "victim")) is not None
    # The minute for which the dead runner holds the shred goes by.
    site.catalog.rows("UPDATE shreds SET lease_until = 0 WHERE state <> 'purged'")
    site.control.start()
    wait_until_purged(site.status, site.ids["victim"])
    site.shredded_once("victim")
    for gateway in (site.control, site.data):
        assert words(gateway, "survivor") == b"survivor" * 1000


def test_databases_away_in_the_middle_of_a_shred_delay_it_and_nothing_else(site):
    site.terminate("second")
    # The other gateway does not answer, so the shred waits in its first fence while the databases go.
    site.data.child.popen.send_signal(signal.SIGSTOP)
    try:
        site.approve("second", "dave")
        site.reach("second", "requested")
        done = site.made.run("shred", "status", "--wait", "--wait-minutes", "0", gateway=site.control)
        assert done.returncode == 4 and "run the command again" in done.stderr, done.stderr
        with Load({"survivor": site.control.client("survivor")}, {"survivor": "survivor-docs"}) as load:
            with site.key_store.frozen():
                time.sleep(4)
                assert site.state("second") == "requested"
        assert load.errors == [], "what is in memory serves on"
        site.catalog.pause()
        assert words(site.control, "survivor") == b"survivor" * 1000
        site.catalog.start()
    finally:
        site.data.child.popen.send_signal(signal.SIGCONT)
    done = site.made.run("shred", "run", "--now", "--tenant", "second", "--wait", gateway=site.control)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["state"], row["tenants"]) == ("purged", [site.ids["second"]])
    site.shredded_once("second")
    assert words(site.control, "survivor") == b"survivor" * 1000
