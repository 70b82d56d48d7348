"""OpenBao as root provider: the set-up of docs/operations.md, run as it is written, and a domain on it."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from testbed.process import Child, free_port
from testbed.target import REPOSITORY, binary

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own root provider")]
ADDRESS = "https://bao.eu.example.com:8200"
TOKEN = "the-operators-token"
SECONDS = 120

CONFIG = """\
[s3]
listen = "127.0.0.1:S3PORT"
tls = { cert = "tls/bao-cert.pem", key = "tls/bao-key.pem" }
[admin]
listen = "127.0.0.1:ADMINPORT"
[[admin.principals]]
name = "alice"
role = "operator"
token_sha256 = "DIGEST"
[gateway]
serves = ["eu-central-1"]
[directory]
url = "sqlite:directory.db"
[domains.eu]
jurisdiction = "EU"
public_endpoint = "https://127.0.0.1:S3PORT"
catalog = "sqlite:eu/catalog.db"
key_store = "sqlite:eu-keys/keys.db"
log = { kind = "dir", path = "eu-log" }
ROOT
[regions.eu-central-1]
domain = "eu"
backend = { kind = "embedded", path = "regions/eu-central-1" }
"""


def bao_program() -> str:
    """LETHE_TEST_BAO, the one of this environment, or the one on the path."""
    beside = Path(sys.executable).parent / "bao"
    named = os.environ.get("LETHE_TEST_BAO") or (str(beside) if beside.is_file() else shutil.which("bao"))
    assert named, "there is no bao: `pip install -r tests/clients/requirements.txt`"
    return named


def section() -> str:
    text = (REPOSITORY / "docs/operations.md").read_text()
    return text.split("## OpenBao as root provider\n")[1].split("\n### ")[0]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", section(), re.DOTALL | re.MULTILINE)
    return ["\n".join(line.strip() for line in block.splitlines()) for block in found]


class Site:
    """An OpenBao with TLS, and a directory in which an operator sets up Lethe."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.port = free_port()
        self.tools = directory / "bin"
        for made in (self.tools, directory / "tls", directory / "bao"):
            made.mkdir()
        (self.tools / "bao").symlink_to(bao_program())
        (self.tools / "lethe").symlink_to(binary())
        (directory / "deploy").symlink_to(REPOSITORY / "deploy")
        self.environment = {
            "PATH": f"{self.tools}:/usr/local/bin:/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8",
            "BAO_ADDR": f"https://127.0.0.1:{self.port}", "BAO_TOKEN": TOKEN, "BAO_CACERT": str(directory / "tls/bao-ca.pem"),
            "LETHE_ADMIN_TOKEN_FILE": str(directory / "admin-token"),
        }  # fmt: skip
        self.start_bao()
        (directory / "admin-token").write_text("admin")

    def start_bao(self) -> None:
        argv = [
            bao_program(), "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={self.directory / 'bao'}",
            f"-dev-root-token-id={TOKEN}", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        self.bao = Child(argv, self.directory, "bao-server", {"HOME": str(self.directory), "PATH": os.environ["PATH"]})
        self.bao.wait_until(self.bao_answers, "an answer of OpenBao", SECONDS)

    def bao_answers(self) -> bool:
        made = {"ca": "bao-ca", "cert": "bao-cert", "key": "bao-key"}
        for of, name in made.items():
            found = list((self.directory / "bao").glob(f"*-{of}.pem"))
            if not found:
                return False
            shutil.copy(found[0], self.directory / f"tls/{name}.pem")
        return self.run("bao token lookup").returncode == 0

    def run(self, script: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def works(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode not in (0, 101), f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write_config(self) -> None:
        (root,) = blocks("toml")
        assert ADDRESS in root
        digest = self.works("printf %s admin | sha256sum").split()[0]
        self.s3, self.admin = free_port(), free_port()
        text = CONFIG.replace("ROOT", root.replace(ADDRESS, self.environment["BAO_ADDR"])).replace("DIGEST", digest)
        (self.directory / "lethe.toml").write_text(
            text.replace("S3PORT", str(self.s3)).replace("ADMINPORT", str(self.admin))
        )
        self.environment["LETHE_ADMIN_ENDPOINT"] = f"http://127.0.0.1:{self.admin}"

    def serve(self) -> Child:
        argv = [str(binary()), "serve", "--config", "lethe.toml"]
        child = Child(argv, self.directory, "lethe", self.environment)
        child.wait_until(self.is_ready, "a 200 from /readyz", SECONDS)
        return child

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError, ssl.SSLError):
            return False


@pytest.fixture
def site(tmp_path):
    running = Site(tmp_path)
    yield running
    running.bao.kill()


def test_setup_as_written_works(site):
    """Every block of the section in its order; then objects outlive a restart, and `doctor` says what is wrong."""
    site.write_config()
    scripts = blocks("sh")
    assert len(scripts) == 4
    site.works(scripts[0])
    said = site.fails("lethe domain init eu --config lethe.toml")
    assert "secrets/bao-control" in said, said
    site.works(scripts[1])
    # What was begun without a token is finished with one. Nothing of what follows is done as OpenBao's administrator.
    administrator = site.environment.pop("BAO_TOKEN")
    for script in scripts[2:]:
        site.works(script)
    assert (site.directory / "secrets/bao-control").stat().st_mode & 0o777 == 0o600
    objects_outlive_a_restart(site)

    doctor = "lethe doctor --config lethe.toml"
    assert "root openbao, control" in site.works(doctor)
    gateway, control = (site.directory / f"secrets/bao-{name}" for name in ("gateway", "control"))
    good = gateway.read_text(), control.read_text()
    control.write_text(good[0])
    said = site.fails(doctor)
    assert "bao-control may not" in said, said
    gateway.write_text(good[1])
    control.write_text(good[1])
    said = site.fails(doctor)
    assert "only the control token should" in said, said
    gateway.write_text("s.expired")
    said = site.fails(doctor)
    assert "bao-gateway is not permitted" in said and "permission denied" in said, said
    gateway.write_text(good[0])
    control.write_text(good[1])
    site.works(doctor)
    # Keys that nobody uses may not be made either way.
    site.environment["BAO_TOKEN"] = good[1].strip()
    site.fails("bao write lethe/encrypt/none plaintext=AAAA")
    site.fails("bao write -f lethe/keys/other exportable=true")
    site.environment["BAO_TOKEN"] = administrator
    site.fails("bao read lethe/keys/none")
    site.bao.kill()
    said = site.fails(doctor)
    assert f"127.0.0.1:{site.port}" in said and "permitted" not in said, said


def objects_outlive_a_restart(site) -> None:
    gateway = site.serve()
    try:
        site.works("lethe tenant create acme --region eu-central-1")
        made = json.loads(site.works("lethe credential create acme -o json"))
        made = made[0] if isinstance(made, list) else made
        client = boto3.client(
            "s3", endpoint_url=f"https://127.0.0.1:{site.s3}", region_name="eu-central-1",
            aws_access_key_id=made["access_key_id"], aws_secret_access_key=made["secret_access_key"],
            verify=site.environment["BAO_CACERT"], config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        client.create_bucket(Bucket="docs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        client.put_object(Bucket="docs", Key="a", Body=b"content")
        gateway.stop()
        gateway = site.serve()
        assert client.get_object(Bucket="docs", Key="a")["Body"].read() == b"content"
    finally:
        gateway.stop()


def test_gateway_of_role_data_loads_no_token_for_control(site):
    site.write_config()
    for script in blocks("sh")[:3]:
        site.works(script)
    config = site.directory / "lethe.toml"
    config.write_text(config.read_text().replace("[gateway]\n", '[gateway]\nroles = ["data"]\n'))
    (site.directory / "secrets/bao-control").unlink()
    assert "control" not in site.works("lethe doctor --config lethe.toml")
