"""Whole shreds with OpenBao as root provider: its key of the epoch is gone, and another tenant's objects are not.

And what is left of that once OpenBao itself was restored to before the shred.
"""

import base64
import json
import os
import shutil
from datetime import datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from test_openbao import SECONDS, Site, bao_program, blocks
from test_serve import eventually, refusal
from testbed import independent
from testbed.certificates import Authority
from testbed.independent import NotOpened
from testbed.process import Child, free_port
from testbed.shredding import STAGES, receipt_stages, statements, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own root provider"), pytest.mark.timeout(300)]

SHREDDING = """\
signing = { kind = "dir", path = "eu-signing" }
key_backup = { kind = "dir", path = "eu-key-backup" }
lease_s = 30
shred = { grace_days = 0, window = "none"MORE }
"""

RAFT = """\
storage "raft" {
  path = "DIRECTORY/raft"
  node_id = "one"
  performance_multiplier = 1
}
seal "static" {
  current_key_id = "one"
  current_key = "file://DIRECTORY/seal"
}
listener "tcp" {
  address = "127.0.0.1:PORT"
  cluster_address = "127.0.0.1:CLUSTER"
  tls_cert_file = "TLS/bao-cert.pem"
  tls_key_file = "TLS/bao-key.pem"
}
api_addr = "https://127.0.0.1:PORT"
cluster_addr = "https://127.0.0.1:CLUSTER"
"""

# What a backup of everything but OpenBao, the log and the signing keys has.
WORLD = ("eu", "eu-keys", "regions", "directory.db")


class RaftSite(Site):
    """An OpenBao that stores what it has with raft, so that there are snapshots of it."""

    def start_bao(self) -> None:
        at, tls = self.directory / "bao", self.directory / "tls"
        authority = Authority(self.directory / "bao-authority")
        pair = authority.issue(at, "server")
        for file, name in ((authority.certificate, "ca"), (pair.cert, "cert"), (pair.key, "key")):
            shutil.copy(file, tls / f"bao-{name}.pem")
        (at / "raft").mkdir()
        (at / "seal").write_bytes(bytes(range(32)))
        text = RAFT.replace("DIRECTORY", str(at)).replace("TLS", str(tls))
        (at / "server.hcl").write_text(text.replace("PORT", str(self.port)).replace("CLUSTER", str(free_port())))
        environment = {"HOME": str(self.directory), "PATH": os.environ["PATH"]}
        self.bao = Child([bao_program(), "server", f"-config={at / 'server.hcl'}"], self.directory, "bao-server", environment)
        # 2: it answers, and is sealed, as one without keys is.
        self.bao.wait_until(lambda: self.run("bao status").returncode == 2, "a sealed OpenBao", SECONDS)
        made = json.loads(self.works("bao operator init -format=json -recovery-shares=1 -recovery-threshold=1"))
        self.environment["BAO_TOKEN"] = made["root_token"]
        self.bao.wait_until(lambda: self.run("bao token lookup").returncode == 0, "an answer of OpenBao", SECONDS)

    def serve_refused(self) -> str:
        """What `lethe serve` says, which must end by itself, and not well."""
        done = self.run("timeout 60 lethe serve --config lethe.toml")
        assert done.returncode in (1, 2), done.stdout + done.stderr
        return done.stderr


@pytest.fixture
def site(tmp_path):
    running = Site(tmp_path)
    yield running
    running.bao.kill()


def as_role(site, role: str, script: str) -> str:
    """Runs a command as an approver."""
    token = site.directory / f"{role}-token"
    return site.works(f"LETHE_ADMIN_TOKEN_FILE={token} {script}")


def prepared(site, more: str = "") -> None:
    """The set-up of the manual, and what shreds need besides."""
    site.write_config()
    approvers = ""
    for role in ("carol", "dave"):
        (site.directory / f"{role}-token").write_text(role)
        digest = site.works(f"printf %s {role} | sha256sum").split()[0]
        approvers += f'[[admin.principals]]\nname = "{role}"\nrole = "approver"\ntoken_sha256 = "{digest}"\n'
    file = site.directory / "lethe.toml"
    text = file.read_text().replace("[gateway]\n", approvers + "[gateway]\n").replace("[regions.", SHREDDING.replace("MORE", more) + "[regions.", 1)
    file.write_text(text)
    for script in blocks("sh")[:3]:
        site.works(script)


def client(site, tenant: str):
    made = json.loads(site.works(f"lethe credential create {tenant} -o json"))
    return boto3.client(
        "s3", endpoint_url=f"https://127.0.0.1:{site.s3}", region_name="eu-central-1", verify=site.environment["BAO_CACERT"],
        aws_access_key_id=made["access_key_id"], aws_secret_access_key=made["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )  # fmt: skip


def root_keys(site) -> list[str]:
    """The last parts of the names of the engine's keys, which are the epochs."""
    return sorted(name.rsplit("-", 1)[1] for name in json.loads(site.works("bao list -format=json lethe/keys")))


def filled(site) -> dict:
    """Clients of a victim and a survivor, who have an object each."""
    clients = {}
    for name in ("victim", "survivor"):
        site.works(f"lethe tenant create {name} --region eu-central-1")
        clients[name] = client(site, name)
        clients[name].create_bucket(Bucket=f"{name}-docs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        clients[name].put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode())
    return clients


def shred(site) -> None:
    """From the request to the end of the purge, with the receipt and who it is judged by."""
    site.works("lethe tenant terminate victim")
    for role in ("carol", "dave"):
        as_role(site, role, "lethe tenant approve victim")
    victim = json.loads(site.works("lethe tenant show victim -o json"))["id"]
    wait_until_purged(lambda: json.loads(site.works("lethe shred status -o json")), victim)
    site.works("lethe receipt get victim --to victim.receipt.json && lethe receipt trust eu --to trust.json")
    site.works("lethe receipt verify victim.receipt.json --trust trust.json")


def test_shred_destroys_the_epochs_key_in_openbao(site):
    prepared(site)
    gateway = site.serve()
    try:
        clients = filled(site)
        assert root_keys(site) == ["1"]
        shred(site)
        assert root_keys(site) == ["2"]
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            clients["victim"].get_object(Bucket="victim-docs", Key="words")
        assert clients["survivor"].get_object(Bucket="survivor-docs", Key="words")["Body"].read() == b"survivor"

        receipt = site.directory / "victim.receipt.json"
        assert receipt_stages(receipt) == list(STAGES)
        erased = statements(receipt)[1]["predicate"]
        assert erased["root"]["provider"] == "openbao" and erased["root"]["assurance"] == "service"
        assert erased["root"]["canaryDestroyed"] == {"before": "opened", "after": "refused"}
        # How long snapshots of OpenBao are kept was not said, so nothing more is claimed.
        assert erased["rootBackupHorizon"] == "unknown" and erased["assurance"] == "logical"

        gateway.stop()
        gateway = site.serve()
        assert clients["survivor"].get_object(Bucket="survivor-docs", Key="words")["Body"].read() == b"survivor"
    finally:
        gateway.stop()


def transit(site, owner: str, epoch: int) -> independent.Opener:
    """Opens nodes as OpenBao's administrator: the engine opens a node's seed, the seed opens the node."""

    def opens(context: bytes, wrapped: bytes) -> bytes:
        seed_wrap, bound = base64.b64encode(wrapped[:60]).decode(), base64.b64encode(context).decode()
        done = site.run(f"bao write -field=plaintext lethe/decrypt/lethe-{owner}-{epoch} ciphertext=vault:v1:{seed_wrap} "
                        f"associated_data={bound}")  # fmt: skip
        if done.returncode != 0:
            raise NotOpened(done.stderr)
        return independent.opened(base64.b64decode(done.stdout), context, wrapped[60:], "the node")

    return opens


def put_back(site, old, names) -> None:
    for name in names:
        at = site.directory / name
        if at.is_dir():
            shutil.rmtree(at)
            shutil.copytree(old / name, at)
        else:
            for stale in site.directory.glob(f"{name}*"):
                stale.unlink()
            shutil.copy(old / name, at)


@pytest.fixture
def raft(tmp_path):
    running = RaftSite(tmp_path)
    yield running
    running.bao.kill()


def test_openbao_restored_to_before_the_shred_opens_what_the_receipt_warns_of_and_lethe_does_not(raft):
    site, old = raft, raft.directory / "old"
    prepared(site, ", root_backup_days = 7")
    gateway = site.serve()
    try:
        clients = filled(site)
        tenant = json.loads(site.works("lethe tenant show victim -o json"))["id"]
        inspected = json.loads(site.works("lethe object inspect victim victim-docs words -o json"))
        place = independent.place_of(inspected, tenant, "eu", "victim-docs", "words")
        backup = json.loads(site.works("lethe key-store backup eu -o json"))["file"]
        # Everything is backed up, OpenBao too.
        gateway.stop()
        old.mkdir()
        for name in (*WORLD, "eu-log"):
            at = site.directory / name
            (shutil.copytree if at.is_dir() else shutil.copy)(at, old / name)
        site.works("bao operator raft snapshot save before.snapshot")
        owner = json.loads(site.works("bao list -format=json lethe/keys"))[0].split("-")[1]
        gateway = site.serve()
        shred(site)
        gateway.stop()

        erased = statements(site.directory / "victim.receipt.json")[1]["predicate"]
        destroyed = datetime.fromisoformat(erased["root"]["destroyedAt"])
        assert datetime.fromisoformat(erased["rootBackupHorizon"]) == destroyed + timedelta(days=7)
        assert (erased["root"]["assurance"], erased["assurance"]) == ("service", "logical")
        copied, opener = old / "eu-keys/keys.db", {1: transit(site, owner, 1)}
        with pytest.raises(NotOpened):
            independent.keys(copied, opener, "eu", bytes.fromhex(tenant))

        site.works("bao operator raft snapshot restore -force before.snapshot")
        site.bao.wait_until(lambda: root_keys_are(site, ["1"]), "the snapshot's keys", SECONDS)
        # Until the horizon, whoever has copies of everything reads on: that is what `logical` says.
        found = independent.keys(copied, opener, "eu", bytes.fromhex(tenant))
        assert independent.read_object(found, old / "regions/eu-central-1", place) == b"victim"
        lethe_forgets(site, old, backup, clients)
        with pytest.raises(NotOpened):
            independent.keys(copied, opener, "eu", bytes.fromhex(tenant))
        site.works("lethe receipt verify victim.receipt.json --trust trust.json")
    finally:
        gateway.stop()


def root_keys_are(site, epochs: list[str]) -> bool:
    done = site.run("bao list -format=json lethe/keys")
    return done.returncode == 0 and [name.rsplit("-", 1)[1] for name in json.loads(done.stdout)] == epochs


def lethe_forgets(site, old, backup: str, clients: dict) -> None:
    """The whole old world with the OpenBao of its time: the log and the statements beside it are all that is newer."""
    shutil.copytree(site.directory / "eu-keys", site.directory / "current-keys")
    put_back(site, old, ["eu-keys"])
    said = site.serve_refused()
    assert "epoch is 1, below epoch 2 that was already seen: an older copy was restored" in said, said
    put_back(site, old, WORLD)
    said = site.serve_refused()
    assert "entries of the log" in said and "key-store restore" in said, said
    # The log was restored, too, but for the statements: written before the log has their entries, they may be ahead of it.
    shutil.copytree(site.directory / "eu-log", site.directory / "current-log")
    for file in (site.directory / "eu-log").iterdir():
        if file.name != "statements":
            (shutil.rmtree if file.is_dir() else os.unlink)(file)
    shutil.copytree(old / "eu-log", site.directory / "eu-log", dirs_exist_ok=True)
    # A log that was rolled back with everything else, and that nobody watches, does not have their entries: they are told of alone.
    gateway = site.serve()
    gateway.stop()
    said = gateway.stdout.read_text() + gateway.stderr.read_text()
    assert "is erased, and is not in the log" in said, said[-3000:]
    shutil.rmtree(site.directory / "eu-log")
    shutil.move(site.directory / "current-log", site.directory / "eu-log")

    shutil.rmtree(site.directory / "eu-keys")
    restore = f"lethe key-store restore eu {backup} --config lethe.toml -o json"
    said = site.fails(restore)
    assert "older copy" in said, said
    accepted = f"{restore} --accept-behind 'all of it was restored'"
    said = site.fails(accepted)
    assert "victim (" in said and "is active" in said, "by the old catalog"
    restored = json.loads(site.works(f"{accepted} --forget victim"))
    assert (restored["forgotten_tenants"], restored["epoch"]) == (1, 2)
    gateway = site.serve()
    try:
        # By the old catalog the victim is a tenant like any other, and its ciphertext is back in the region.
        survivor = clients["survivor"].get_object(Bucket="survivor-docs", Key="words")["Body"].read()
        assert survivor == b"survivor"
        victims = clients["victim"]
        for _ in range(3):
            said = refusal(lambda: victims.get_object(Bucket="victim-docs", Key="words")["Body"].read())
            assert said is not None, "the victim's object is not read"
        assert [found["Key"] for found in victims.list_objects_v2(Bucket="victim-docs")["Contents"]] == ["words"]
        eventually(lambda: root_keys_are(site, ["2"]), "the end of the epoch that was brought back", 90)
    finally:
        gateway.stop()
