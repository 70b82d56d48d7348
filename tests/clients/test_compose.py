"""docker-compose.yml, checked without a container engine."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
import yaml

from testbed.process import Child, free_port
from testbed.shredding import receipt_stages
from testbed.target import REPOSITORY, binary

pytestmark = pytest.mark.no_server
FILE = REPOSITORY / "docker-compose.yml"
REGIONS = {"region-eu-central-1", "region-eu-west-3"}
KEY_STORE = "key-store"


@pytest.fixture(scope="module")
def services() -> dict:
    """The services as Debian's docker-compose resolves them."""
    tool = shutil.which("docker-compose")
    if not tool:
        pytest.skip("docker-compose is not installed (`make test` installs it)")
    done = subprocess.run(
        [tool, "-f", str(FILE), "config"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


def networks(service: dict) -> set[str]:
    named = service.get("networks", {"default": None})
    return set(named)


def test_compose_file_is_valid_and_names_the_five_services(services):
    assert {"gateway", "catalog", KEY_STORE} | REGIONS <= set(services)


def test_compose_regions_share_no_network_with_the_key_store(services):
    for region in REGIONS:
        assert not networks(services[region]) & networks(services[KEY_STORE]), region


def test_compose_catalog_and_key_store_are_apart(services):
    assert not networks(services["catalog"]) & networks(services[KEY_STORE])
    volumes = [{v.split(":")[0] if isinstance(v, str) else v["source"] for v in services[name].get("volumes", [])}
               for name in ("catalog", KEY_STORE)]  # fmt: skip
    assert not {v for v in volumes[0] & volumes[1] if not v.startswith(("/", "."))}


def test_compose_only_the_gateway_reaches_the_key_store(services):
    assert [n for n, s in services.items() if networks(s) & networks(services[KEY_STORE])] == sorted(["gateway", KEY_STORE])


def test_compose_publishes_no_port_but_the_gateways(services):
    assert [name for name, service in services.items() if service.get("ports")] == ["gateway"]


def test_compose_images_are_pinned(services):
    for name, service in services.items():
        image = service.get("image", "")
        assert "build" in service or (":" in image and not image.endswith(":latest")), name


def test_compose_names_no_secret(services):
    for name, service in services.items():
        for key, value in (service.get("environment") or {}).items():
            secret = any(word in key.upper() for word in ("PASSWORD", "SECRET", "TOKEN"))
            assert not secret or key.endswith("_FILE"), f"{name}: {key}={value}"


def test_image_is_built_from_every_crate_of_the_workspace():
    members = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["members"]
    copied = re.findall(r"^COPY (\S+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert {*members, "src"} <= set(copied)


def test_compose_gateway_keeps_what_shreds_need_in_volumes_of_their_own(services):
    domain = tomllib.loads((REPOSITORY / "deploy/lethe.toml").read_text())["domains"]["eu"]
    mounted = {volume["target"]: volume["source"] for volume in services["gateway"]["volumes"] if isinstance(volume, dict)}
    mounted |= {v.split(":")[1]: v.split(":")[0] for v in services["gateway"]["volumes"] if isinstance(v, str)}
    (made,) = re.findall(r"install -d .* -m 0700 (.*) *\\?$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    places = [domain[key]["path"] for key in ("root", "key_backup", "log", "signing")]
    tops = ["/" + place.split("/")[1] for place in places]
    assert len({mounted[top] for top in tops}) == 4
    assert set(tops) <= set(made.split()), "a volume takes its owner from the image"


class Deployed:
    """deploy/lethe.toml with its secrets made, its places under a directory, and databases and stores of this process alone."""

    def __init__(self, directory: Path, root: Path):
        self.directory = directory
        shutil.copy(REPOSITORY / "deploy/make-secrets", directory)
        made = self.run("./make-secrets")
        text = (REPOSITORY / "deploy/lethe.toml").read_text()
        digests = re.findall(r'name = "(\S+)" +token_sha256 = "([0-9a-f]{64})"', made)
        for name, digest in digests:
            text, found = re.subn(rf'(name = "{name}"\n(?:.*\n)*?token_sha256 = )"0+[012]"', rf'\1"{digest}"', text, count=1)
            assert found == 1, name
        self.admin = free_port()
        for old, new in {
            "0.0.0.0:9443": f"127.0.0.1:{free_port()}", "127.0.0.1:9444": f"127.0.0.1:{self.admin}",
            "/run/secrets/tls-cert": f"{directory}/tls/cert.pem", "/run/secrets/tls-key": f"{directory}/tls/key.pem",
            "/var/lib/lethe": str(directory), "/backup": f"{directory}/backup", "/log/": f"{directory}/log/",
            "/signing": f"{directory}/signing", "/root-volume": str(root),
            "postgres://lethe@catalog/catalog": f"sqlite:{directory}/eu/catalog.db",
            "postgres://lethe@key-store/keys": f"sqlite:{directory}/eu-keys/keys.db",
            'catalog_password_file = "/run/secrets/catalog-password"\n': "",
            'key_store_password_file = "/run/secrets/key-store-password"\n': "",
            "lease_s = 300": 'lease_s = 30\nshred = { grace_days = 0, window = "none" }',
        }.items():  # fmt: skip
            assert old in text, old
            text = text.replace(old, new)
        for region in REGIONS:
            name = region.removeprefix("region-")
            embedded = f'[regions.{name}.backend]\nkind = "embedded"\npath = "regions/{name}"\n'
            text, found = re.subn(rf"\[regions\.{name}\.backend\]\n(?:.+\n)*", embedded, text)
            assert found == 1, name
        (directory / "lethe.toml").write_text(text)
        self.lethe("domain", "init", "eu", "--config", "lethe.toml")

    def run(self, *argv: str, role: str | None = None) -> str:
        env = {"PATH": os.environ["PATH"], "LETHE_ADMIN_ENDPOINT": f"http://127.0.0.1:{getattr(self, 'admin', 0)}"}
        # As the manual hands tokens to the container.
        env |= {"LETHE_ADMIN_TOKEN_FILE": "/dev/stdin"} if role else {}
        token = (self.directory / f"secrets/{role}-token").read_text() if role else ""
        done = subprocess.run(argv, cwd=self.directory, env=env, input=token, capture_output=True, text=True, timeout=200,
                              check=False)  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def lethe(self, *argv: str, role: str | None = None) -> str:
        return self.run(str(binary()), *argv, role=role)


@pytest.mark.lethe_only("a deployment of the gateway")
@pytest.mark.timeout(300)
def test_compose_configuration_with_its_made_secrets_shreds_a_tenant(tmp_path):
    # The root must not lie on the key store's volume, and /dev/shm is another one everywhere.
    root = Path(tempfile.mkdtemp(prefix="lethe-root-", dir="/dev/shm"))
    try:
        deployed = Deployed(tmp_path, root)
        gateway = Child([str(binary()), "serve", "--config", "lethe.toml"], tmp_path, "lethe", {"PATH": os.environ["PATH"]})
        try:
            gateway.wait_until(lambda: "ok" in readiness(deployed), "a gateway that is ready", 60)
            deployed.lethe("tenant", "create", "acme", "--region", "eu-central-1", role="operator")
            deployed.lethe("tenant", "terminate", "acme", role="operator")
            for role in ("first-approver", "second-approver"):
                deployed.lethe("tenant", "approve", "acme", role=role)
            deployed.lethe("shred", "run", "--now", "--tenant", "acme", "--wait", role="operator")
            deployed.lethe("receipt", "get", "acme", "--to", "acme.receipt.json", role="operator")
            assert receipt_stages(tmp_path / "acme.receipt.json") == ["revoked", "erased", "purged"]
        finally:
            gateway.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def readiness(deployed: Deployed) -> str:
    try:
        shown = deployed.lethe("domain", "show", "eu", "-o", "json", role="operator")
    except AssertionError:
        return ""
    return "ok" if json.loads(shown) else ""
