"""A log in a bucket of an S3 store: shreds, walks by whoever may only read it, copies on a web server, and its loss."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from test_serve import eventually, issue
from testbed.certificates import Authority
from testbed.installation import REGION, Serving
from testbed.seaweedfs import ADMIN, READER, SeaweedFS
from testbed.shredding import STAGES, Shredding, receipt_stages, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

BUCKET = "audit-log"
BACK_SECONDS = 60


class BucketLogged(Shredding):
    """An installation with an embedded region whose log lies in a bucket."""

    def __init__(self, directory: Path, log: SeaweedFS):
        self.log = log
        super().__init__(directory, grace_days=0)

    def _configuration(self) -> str:
        for file, (key, secret) in (("log-credentials", ADMIN), ("auditor-credentials", READER)):
            (self.directory / file).write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
        bucket = (f'log = {{ kind = "s3", endpoint = "{self.log.endpoint}", region = "us-east-1", bucket_prefix = "audit", '
                  f'credentials_file = "log-credentials", ca = "{self.log.ca}" }}')  # fmt: skip
        text = super()._configuration()
        directory = 'log = { kind = "dir", path = "eu-log" }'
        assert directory in text
        return text.replace(directory, bucket)

    def objects(self) -> dict[str, bytes]:
        """Every object of the log, as the store has it, but for what opening it leaves."""
        client, found = self.log.client(), {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for entry in page.get("Contents", []):
                found[entry["Key"]] = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        assert found.pop("eu/probe") == b"first"
        return found


class Site:
    def __init__(self, made: BucketLogged):
        self.made = made
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        self.gateway = made.serve()
        self.ids = {name: self.tenant(self.gateway, name) for name in ("stays", "leaves", "follows")}

    def tenant(self, gateway: Serving, name: str) -> str:
        tenant = self.made.json("tenant", "create", name, "--region", REGION, gateway=gateway)["id"]
        issue(self.made, gateway, name, name)
        gateway.client(name).create_bucket(Bucket=f"{name}-docs")
        gateway.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode() * 100)
        return tenant

    def words(self, name: str) -> bytes:
        return self.gateway.client(name).get_object(Bucket=f"{name}-docs", Key="words")["Body"].read()

    def status(self) -> list[dict]:
        return self.made.json("shred", "status", gateway=self.gateway)

    def works(self, *argv: str, role: str = "operator") -> None:
        done = self.made.run(*argv, gateway=self.gateway, role=role)
        assert done.returncode == 0, done.stderr

    def terminate(self, name: str) -> None:
        self.works("tenant", "terminate", name)
        for role in ("carol", "dave"):
            self.works("tenant", "approve", name, role=role)

    def trust(self) -> str:
        self.works("receipt", "trust", "eu", "--to", "trust.json")
        return "trust.json"

    def verified(self, name: str) -> None:
        file = self.made.directory / f"{name}.receipt.json"
        self.works("receipt", "get", name, "--to", str(file))
        assert self.made.json("receipt", "verify", str(file), "--trust", self.trust())["verdict"] == "verified"
        assert receipt_stages(file) == list(STAGES)

    def walk(self, *source: str) -> tuple[int, dict[str, dict]]:
        """Exit code and checks of `lethe log verify`."""
        done = self.made.run("log", "verify", *source, "--trust", "trust.json")
        assert done.stdout, done.stderr
        return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shred-bucket-log")
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    made = BucketLogged(directory / "site", store)
    try:
        yield Site(made)
    finally:
        made.stop()
        store.stop()


def test_shred_with_its_log_in_a_bucket_is_proven_by_it(site):
    site.terminate("leaves")
    wait_until_purged(site.status, site.ids["leaves"])
    site.verified("leaves")
    held = site.made.objects()
    assert len([key for key in held if key.startswith("eu/statements/")]) == len(STAGES)
    assert "eu/checkpoint" in held and any(key.startswith("eu/tile/0/") for key in held)
    assert site.words("stays") == b"stays" * 100


def test_log_in_a_bucket_is_walked_by_whoever_may_only_read_it(site):
    site.trust()
    before = site.made.objects()
    config = site.made.changed("auditor.toml", ("log-credentials", "auditor-credentials"))
    code, checks = site.walk("--domain", "eu", "--config", str(config))
    assert code == 0 and {check["outcome"] for check in checks.values()} == {"ok"}, checks
    assert checks["statements"]["detail"] == "3 well-formed"
    assert site.made.objects() == before


@pytest.fixture
def web(site, tmp_path):
    """The log's files on a web server that knows nothing of logs; its URL and their directory."""
    for key, content in site.made.objects().items():
        file = tmp_path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/eu", tmp_path / "eu"
    server.shutdown()
    serving.join(timeout=10)
    server.server_close()


def test_copy_of_a_log_on_a_web_server_is_walked_but_for_what_it_does_not_list(site, web):
    site.trust()
    url, files = web
    code, checks = site.walk("--url", url)
    unlisted = checks.pop("statements")
    assert code == 4 and unlisted["outcome"] == "missing" and "lists no statements" in unlisted["detail"]
    assert {check["outcome"] for check in checks.values()} == {"ok"}, checks
    tile = max((files / "tile/0/000.p").iterdir(), key=lambda one: int(one.name))
    content = bytearray(tile.read_bytes())
    content[3] ^= 1
    tile.write_bytes(content)
    code, checks = site.walk("--url", url)
    assert code == 3 and checks["tiles"]["outcome"] == "failed", checks


def test_bucket_of_the_log_away_in_a_shred_delays_it_and_nobody_else(site):
    """Whatever needs the log waits, with the reason; objects are served, and the shred goes on by itself."""
    gateway, log = site.gateway, site.made.log
    site.terminate("follows")
    log.child.kill()
    site.made.run("shred", "run", "--now", gateway=gateway)
    said = ""

    def waits() -> bool:
        nonlocal said
        rows = [row for row in site.status() if site.ids["follows"] in row["tenants"]]
        said = (rows[0]["last_error"] or "") if rows else site.made.refused("shred", "run", "--now", gateway=gateway)
        return "log" in said

    eventually(waits, "a reason that names the log", BACK_SECONDS)
    assert site.words("stays") == b"stays" * 100
    gateway.client("stays").put_object(Bucket="stays-docs", Key="meanwhile", Body=b"meanwhile")
    with pytest.raises(AssertionError):
        site.made.json("tenant", "create", "nobody-yet", "--region", REGION, gateway=gateway)
    log.start()
    wait_until_purged(site.status, site.ids["follows"])
    eventually(lambda: site.made.run("receipt", "get", "follows", "--to", "follows.json", gateway=gateway).returncode == 0,
               "the receipt's proof", BACK_SECONDS)  # fmt: skip
    site.verified("follows")
    assert gateway.client("stays").get_object(Bucket="stays-docs", Key="meanwhile")["Body"].read() == b"meanwhile"


def test_log_that_a_bucket_lost_is_written_again_to_the_same_bytes(site):
    site.trust()
    before = site.made.objects()
    site.gateway.stop()
    client = site.made.log.client()
    for key in before:
        client.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(RuntimeError):
        site.gateway.start()
    assert "log rebuild" in site.gateway.log()
    rebuilt = site.made.json("log", "rebuild", "--domain", "eu", "--config", "lethe.toml")
    assert rebuilt["statements"] == 2 * len(STAGES)
    after = site.made.objects()
    # Nothing is about to be added, nobody cosigned yet, and of partial tiles those of the newest tree are enough.
    again = {key for key in before if key not in ("eu/intent", "eu/cosigned") and ".p/" not in key}
    assert len(again) > 2 * len(STAGES) and again <= set(after)
    assert all(after[key] == before[key] for key in after)
    code, checks = site.walk("--domain", "eu", "--config", "lethe.toml")
    assert code == 0 and {check["outcome"] for check in checks.values()} == {"ok"}, checks
    site.gateway.start()
    site.verified("leaves")
    assert site.words("stays") == b"stays" * 100
