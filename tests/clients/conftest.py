"""Fixtures: one target a variant and worker, and buckets that are emptied and deleted again."""

import shutil
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from testbed.abuse import Attack, Victim
from testbed.clients_table import ClientsTable
from testbed.target import Target, start

VARIANTS = ("embedded", "seaweedfs")


def pytest_addoption(parser):
    parser.addoption("--variant", action="append", choices=VARIANTS, help="region kind; both unless given")
    parser.addoption(
        "--direct", action="store_true", help="run against plain SeaweedFS: proves the tests, not the gateway"
    )
    parser.addoption("--clients-table", type=Path, help="write what each client was seen doing to this file")


def pytest_configure(config):
    if (path := config.getoption("--clients-table")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ClientsTable(path))


def kinds(config) -> list[str]:
    return ["direct"] if config.getoption("--direct") else list(config.getoption("--variant") or VARIANTS)


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        chosen = kinds(metafunc.config)
        if metafunc.definition.get_closest_marker("one_variant"):
            chosen = chosen[:1]
        metafunc.parametrize("kind", chosen, scope="session")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if marker := item.get_closest_marker("client"):
            item.user_properties.append(("client", marker.args[0]))
    if not config.getoption("--direct"):
        return
    for item in items:
        if marker := item.get_closest_marker("lethe_only"):
            item.add_marker(pytest.mark.skip(reason=f"needs the gateway: {marker.args[0]}"))
        if marker := item.get_closest_marker("beyond_seaweedfs"):
            item.add_marker(pytest.mark.xfail(reason=marker.args[0], strict=False))


@pytest.fixture(scope="session")
def target(kind, tmp_path_factory) -> Target:
    """The shared target of one variant."""
    directory = tmp_path_factory.mktemp(kind)
    running = start(kind, directory)
    yield running
    running.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def own_target(kind, tmp_path) -> Target:
    """A target that the test may kill."""
    running = start(kind, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def s3(target):
    """boto3's client as tenant acme."""
    return target.client()


def unique_name(label: str = "t") -> str:
    return f"{label}-{uuid.uuid4().hex[:16]}"


def empty(s3, bucket: str) -> None:
    """Deletes all that a bucket holds; what is left over shows in the bucket quota, not here."""
    try:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        while True:
            page = s3.list_object_versions(Bucket=bucket, MaxKeys=1000)
            entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
            if not entries:
                break
            objects = [{"Key": e["Key"], "VersionId": e["VersionId"]} for e in entries]
            if s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors"):
                break
        s3.delete_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError):
        pass


@pytest.fixture
def make_bucket(target):
    """Makes buckets for a tenant, emptied and deleted after the test."""
    made = []

    def make(tenant: str = "acme", name: str | None = None) -> str:
        name = name or unique_name()
        target.client(tenant).create_bucket(Bucket=name)
        made.append((tenant, name))
        return name

    yield make
    for tenant, name in made:
        empty(target.client(tenant), name)


@pytest.fixture
def bucket(make_bucket) -> str:
    return make_bucket()


@pytest.fixture(scope="session")
def victim(target):
    made = Victim(target)
    yield made
    made.remove()


@pytest.fixture
def attack(target, victim):
    """An attacker; after the test the victim must be unharmed."""
    attacker = Attack(target, victim)
    yield attacker
    attacker.assert_harmless()
