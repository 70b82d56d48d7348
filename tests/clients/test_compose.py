"""docker-compose.yml, checked without a container engine."""

import shutil
import subprocess

import pytest
import yaml

from testbed.target import REPOSITORY

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
