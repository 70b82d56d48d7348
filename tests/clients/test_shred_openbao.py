"""A whole shred with OpenBao as root provider: its key of the epoch is gone, and another tenant's objects are not."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from test_openbao import Site, blocks
from testbed.shredding import STAGES, receipt_stages, statements, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own root provider"), pytest.mark.timeout(300)]

SHREDDING = """\
signing = { kind = "dir", path = "eu-signing" }
key_backup = { kind = "dir", path = "eu-key-backup" }
lease_s = 30
shred = { grace_days = 0, window = "none" }
"""


@pytest.fixture
def site(tmp_path):
    running = Site(tmp_path)
    yield running
    running.bao.kill()


def as_role(site, role: str, script: str) -> str:
    """Runs a command as an approver."""
    token = site.directory / f"{role}-token"
    return site.works(f"LETHE_ADMIN_TOKEN_FILE={token} {script}")


def prepared(site) -> None:
    """The set-up of the manual, and what shreds need besides."""
    site.write_config()
    approvers = ""
    for role in ("carol", "dave"):
        (site.directory / f"{role}-token").write_text(role)
        digest = site.works(f"printf %s {role} | sha256sum").split()[0]
        approvers += f'[[admin.principals]]\nname = "{role}"\nrole = "approver"\ntoken_sha256 = "{digest}"\n'
    file = site.directory / "lethe.toml"
    text = file.read_text().replace("[gateway]\n", approvers + "[gateway]\n").replace("[regions.", SHREDDING + "[regions.", 1)
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


def test_shred_destroys_the_epochs_key_in_openbao(site):
    prepared(site)
    gateway = site.serve()
    try:
        clients = {}
        for name in ("victim", "survivor"):
            site.works(f"lethe tenant create {name} --region eu-central-1")
            clients[name] = client(site, name)
            clients[name].create_bucket(Bucket=f"{name}-docs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
            clients[name].put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode())
        assert root_keys(site) == ["1"]
        site.works("lethe tenant terminate victim")
        for role in ("carol", "dave"):
            as_role(site, role, "lethe tenant approve victim")
        victim = json.loads(site.works("lethe tenant show victim -o json"))["id"]
        wait_until_purged(lambda: json.loads(site.works("lethe shred status -o json")), victim)
        assert root_keys(site) == ["2"]
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            clients["victim"].get_object(Bucket="victim-docs", Key="words")
        assert clients["survivor"].get_object(Bucket="survivor-docs", Key="words")["Body"].read() == b"survivor"

        site.works("lethe receipt get victim --to victim.receipt.json && lethe receipt trust eu --to trust.json")
        site.works("lethe receipt verify victim.receipt.json --trust trust.json")
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
