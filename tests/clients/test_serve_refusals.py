"""What `lethe serve` and the commands around it refuse: stores that are missing, swapped or not apart, regions that are not what
was checked, and configurations that are wrong; each says what is wrong and how to mend it."""

import json
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from testbed.certificates import Authority
from testbed.installation import REGION, Installation
from testbed.postgres import PASSWORD, Postgres
from testbed.process import free_port
from testbed.seaweedfs import ADMIN, SeaweedFS
from testbed.shredding import Shredding

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own commands"), pytest.mark.timeout(300)]
INIT = ("domain", "init", "eu", "--config", "lethe.toml")
SERVE = ("serve", "--config", "lethe.toml")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An SQLite installation that `domain init` made; tests copy what they change."""
    installation = Installation(tmp_path_factory.mktemp("made"), "sqlite")
    try:
        installation.json(*INIT)
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the installation with a root of its own that a test may spoil."""
    copied = object.__new__(Installation)
    copied.__dict__ |= made.__dict__
    copied.directory, copied.gateways, copied.servers = tmp_path / "copy", [], []
    copied.root = Path(tempfile.mkdtemp(prefix="lethe-root-", dir="/dev/shm"))
    shutil.copytree(made.directory, copied.directory)
    shutil.copytree(made.root / "eu", copied.root / "eu")
    copied.file = copied.directory / "lethe.toml"
    copied.file.write_text(made.file.read_text().replace(str(made.root), str(copied.root)))
    yield copied
    copied.stop()


def edit(installation, *changes) -> None:
    installation.changed("lethe.toml", *changes)


def test_serve_on_a_copy_of_the_installation_serves(copy):
    """The other tests' starting point is good, so what they change is what is refused."""
    copy.serve().stop()


# Nothing there yet.


@pytest.mark.parametrize("command", ("serve", "migrate", "doctor"))
def test_nothing_initialised_is_refused_and_nothing_is_made(tmp_path, command):
    bare = Installation(tmp_path / "bare", "sqlite")
    try:
        before = sorted(path.name for path in bare.directory.iterdir())
        done = bare.run(command, "--config", "lethe.toml")
        said = done.stdout + done.stderr
        assert done.returncode == 2 and "lethe domain init" in said, said
        assert sorted(path.name for path in bare.directory.iterdir()) == before
    finally:
        bare.stop()


@pytest.mark.parametrize(
    ("lost", "said"),
    (
        ("directory", ("the directory sqlite:directory/directory.db", "is not there")),
        ("eu", ("the catalog sqlite:eu/catalog.db", "is not there")),
        ("eu-keys", ("no key store",)),
        ("regions", ("regions/eu-central-1",)),
    ),
)  # fmt: skip
def test_store_that_is_gone_is_refused_by_name_and_not_made_again(copy, lost, said):
    shutil.rmtree(copy.directory / lost)
    refused = copy.refused(*SERVE, code=2)
    for text in said:
        assert text in refused
    assert not (copy.directory / lost).exists()


def test_root_that_is_gone_is_refused(copy):
    shutil.rmtree(copy.root / "eu")
    assert "root" in copy.refused(*SERVE, code=2)
    assert not (copy.root / "eu").exists()


def test_init_does_not_replace_a_recorded_key_store_that_is_gone(copy):
    shutil.rmtree(copy.directory / "eu-keys")
    assert "key store" in copy.refused(*INIT, code=2)
    assert not (copy.directory / "eu-keys" / "keys.db").exists()


def test_init_does_not_make_a_new_catalog_beside_what_a_lost_one_named(copy):
    shutil.rmtree(copy.directory / "eu")
    said = copy.refused(*INIT, code=2)
    assert "domain eu has lost its catalog" in said and "eu-keys/keys.db" in said and f"region {REGION}" in said
    assert "from a copy" in said and "start over" in said
    assert not (copy.directory / "eu" / "catalog.db").exists()
    # Without the key store, the region's objects alone are a reason.
    shutil.rmtree(copy.directory / "eu-keys")
    assert "domain eu has lost its catalog" in copy.refused(*INIT, code=2)
    shutil.rmtree(copy.directory / "regions")
    shutil.rmtree(copy.root / "eu")
    assert copy.json(*INIT)["domain"] == "eu", "nothing of it is there any more"


# Not what was recorded.


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    """Another installation of the same names, for its stores."""
    installation = Installation(tmp_path_factory.mktemp("another"), "sqlite")
    try:
        installation.json(*INIT)
        yield installation
    finally:
        installation.stop()


@pytest.mark.parametrize(
    ("swapped", "said"),
    (("eu-keys", "key store's identity"), ("eu", "key store's identity"), ("regions", f"region {REGION} is another store")),
)  # fmt: skip
def test_swapped_store_is_refused(copy, another, swapped, said):
    shutil.rmtree(copy.directory / swapped)
    shutil.copytree(another.directory / swapped, copy.directory / swapped)
    assert said in copy.refused(*SERVE, code=2)
    findings = copy.run("doctor", "--config", "lethe.toml")
    assert findings.returncode == 2 and said in findings.stdout


def test_swapped_root_is_refused(copy, another):
    shutil.rmtree(copy.root / "eu")
    shutil.copytree(another.root / "eu", copy.root / "eu")
    assert "another key store's" in copy.refused(*SERVE, code=2)


def test_key_store_of_another_domain_is_refused(copy):
    edit(copy, ("[domains.eu]", "[domains.us]"), ('domain = "eu"', 'domain = "us"'))
    assert "holds domain eu, not us" in copy.refused(*SERVE, code=2)


# Not apart.


def test_catalog_and_key_store_in_one_directory_are_refused(tmp_path):
    bare = Installation(tmp_path / "bare", "sqlite")
    try:
        edit(bare, ("sqlite:eu-keys/keys.db", "sqlite:eu/keys.db"))
        said = bare.refused(*INIT, code=2)
        assert "not apart" in said and "catalog" in said and "key_store" in said
    finally:
        bare.stop()


def test_key_store_moved_below_the_catalog_is_refused(copy):
    shutil.move(copy.directory / "eu-keys", copy.directory / "eu" / "keys")
    edit(copy, ("sqlite:eu-keys/keys.db", "sqlite:eu/keys/keys.db"))
    assert "not apart" in copy.refused(*SERVE, code=2)


@pytest.mark.parametrize("where", ("eu-keys/root", "root"), ids=("in the key store's directory", "on its volume"))
def test_root_with_the_key_store_is_refused(copy, where):
    shutil.copytree(copy.root / "eu", copy.directory / where)
    edit(copy, (f'path = "{copy.root}/eu"', f'path = "{where}"'))
    said = copy.refused(*SERVE, code=2)
    assert "not apart" in said or "volume" in said


def test_catalog_and_key_store_on_one_postgresql_server_are_refused(tmp_path):
    server = Postgres("catalog")
    installation = Installation(tmp_path / "one", "sqlite")
    try:
        server.sql("CREATE DATABASE keys OWNER lethe")
        (installation.directory / "password").write_text(PASSWORD)
        keys = server.url.replace("/catalog", "/keys")
        edit(
            installation,
            ('"sqlite:eu/catalog.db"', f'"{server.url}"\ncatalog_password_file = "password"'),
            ('"sqlite:eu-keys/keys.db"', f'"{keys}"\nkey_store_password_file = "password"'),
        )
        # `init` finds out only when both are made; `serve` refuses whatever init left.
        done = installation.run(*INIT)
        said = installation.refused(*SERVE, code=2)
        assert "not apart" in said + done.stderr and "cluster" in said + done.stderr
    finally:
        installation.stop()
        server.stop()


# PostgreSQL.


def test_postgresql_with_a_wrong_password_or_away_is_told_without_the_password(tmp_path):
    installation = Installation(tmp_path / "wrong", "sqlite")
    server = Postgres("catalog")
    try:
        (installation.directory / "password").write_text("not-the-password")
        edit(installation, ('"sqlite:eu/catalog.db"', f'"{server.url}"\ncatalog_password_file = "password"'))
        said = installation.refused(*INIT, code=2)
        assert "catalog" in said and server.url in said and "not-the-password" not in said
        server.pause()
        said = installation.refused(*INIT, code=2)
        assert "catalog" in said and server.url in said
        server.start()
        (installation.directory / "password").write_text(PASSWORD)
        assert installation.json(*INIT)["domain"] == "eu"
    finally:
        installation.stop()
        server.stop()


# Two `init`s at once.


def test_inits_at_once_make_one_domain_or_say_to_run_again(tmp_path):
    installation = Installation(tmp_path / "race", "sqlite")
    try:
        outcomes = []
        threads = [threading.Thread(target=lambda: outcomes.append(installation.run(*INIT))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for done in outcomes:
            assert done.returncode == 0 or "again" in done.stderr, done.stderr
        made = {done.stdout for done in outcomes if done.returncode == 0}
        assert len(made) == 1
        assert installation.run(*INIT).stdout in made
    finally:
        installation.stop()


# Configurations.


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    (
        (("[limits]", "[limit]"), "limit", "write"),
        (('lease_s = 30', "lease_s = 3"), "domains.eu.lease_s", "30 to 900"),
        (('lease_s = 30', "leases = 30"), "domains.eu", "lease_s"),
        (('serves = ["eu-central-1"]', 'serves = ["eu-central-2"]'), "gateway.serves", "[regions.eu-central-2]"),
        (('serves = ["eu-central-1"]', 'serves = ["eu-west-3"]'), "gateway.serves", "backend"),
        (('role = "operator"', 'role = "root"'), "admin.principals.0.role", "operator, approver or auditor"),
        (('tls = { cert = "s3.pem", key = "s3-key.pem" }', 'tls = { cert = "s3.pem" }'), "s3.tls", "key"),
        (('path = "regions/eu-central-1"', 'paths = "x"'), "regions.eu-central-1.backend", "path"),
        (("drain_deadline_s = 20", 'drain_deadline_s = "20"'), "limits.drain_deadline_s", "lethe.example.toml"),
        (('"sqlite:eu/catalog.db"', '"postgres://lethe:secret@db/catalog"'), "domains.eu.catalog", "password_file"),
        (('"sqlite:eu/catalog.db"', '"mysql://db/catalog"'), "domains.eu.catalog", "postgres://"),
        (('[domains.eu]\n', "[domains.eu\n"), "", "lethe.example.toml"),
    ),
    ids=lambda value: value[1].strip() if isinstance(value, tuple) else "",
)  # fmt: skip
def test_wrong_configuration_names_file_line_key_and_how_to_mend_it(made, tmp_path, change, key, hint):
    text = made.file.read_text()
    line = text[: text.index(change[0])].count("\n") + 1
    file = tmp_path / "wrong.toml"
    file.write_text(text.replace(*change, 1))
    for command in (("serve",), ("doctor",), ("migrate",), ("domain", "init", "eu"), ("region", "check", REGION)):
        said = made.refused(*command, "--config", str(file), code=1)
        assert f"{file}:{line}" in said and key in said and hint in said, said
        assert "secret@" not in said


def test_listener_off_loopback_without_tls_is_refused(made, tmp_path):
    file = tmp_path / "plain.toml"
    text = made.file.read_text()
    file.write_text(text.replace('tls = { cert = "s3.pem", key = "s3-key.pem" }\n', "", 1).replace("127.0.0.1:", "0.0.0.0:", 1))
    said = made.refused("serve", "--config", str(file), code=1)
    assert f"{file}:2" in said and "s3.listen" in said and "tls" in said


def test_certificate_that_is_missing_or_broken_is_refused_by_name(copy):
    (copy.directory / "s3-key.pem").unlink()
    assert "s3-key.pem" in copy.refused(*SERVE, code=2)
    copy.authority.issue(copy.directory, "s3")
    (copy.directory / "admin.pem").write_text("no certificate")
    assert "admin.pem" in copy.refused(*SERVE, code=2)


@pytest.mark.parametrize("section", ("s3", "admin"))
def test_taken_port_is_refused_by_key_and_address(copy, section):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "{}:{}".format(*taken.getsockname())
        edit(copy, (f'listen = "127.0.0.1:{copy.ports[section == "admin"]}"', f'listen = "{address}"'))
        said = copy.refused(*SERVE, code=2)
    assert f"[{section}] listen" in said and address in said


def test_embedded_region_of_a_running_gateway_is_refused_to_a_second(copy):
    gateway = copy.serve()
    changes = [(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in copy.ports]
    said = copy.refused("serve", "--config", str(copy.changed("second.toml", *changes)), code=2)
    assert f"region {REGION}" in said and "in use" in said and "stop the other" in said
    assert gateway.is_ready()


def test_missing_file_and_unknown_domain_are_told(made):
    assert "nowhere.toml" in made.refused("serve", "--config", "nowhere.toml")
    assert "[domains.us]" in made.refused("domain", "init", "us", "--config", "lethe.toml", code=1)
    assert "[regions.mars]" in made.refused("region", "check", "mars", "--config", "lethe.toml", code=1)


# An S3 region over TLS.


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    directory = tmp_path_factory.mktemp("upstream")
    running = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    yield running
    running.stop()


@pytest.fixture
def with_upstream(copy, upstream):
    """The copy with the S3 region in the embedded one's place, under another name."""
    (copy.directory / "upstream-credentials").write_text(
        f"[default]\naws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
    )
    backend = f'kind = "s3", endpoint = "{upstream.endpoint}", credentials_file = "upstream-credentials", ca = "{upstream.ca}"'
    edit(copy, ('kind = "embedded", path = "regions/eu-central-1"', backend), ("eu-central-1", "eu-north-1"))
    return copy


def test_upstream_of_another_ca_is_refused(with_upstream, upstream):
    other = Authority(with_upstream.directory / "other-ca")
    edit(with_upstream, (str(upstream.ca), str(other.certificate)))
    said = with_upstream.refused("region", "check", "eu-north-1", "--config", "lethe.toml", code=2)
    assert "eu-north-1" in said and "certificate" in said.lower() and "ca" in said


def test_upstream_with_the_systems_certificates_is_refused(with_upstream, upstream):
    edit(with_upstream, (f', ca = "{upstream.ca}"', ""))
    said = with_upstream.refused("region", "check", "eu-north-1", "--config", "lethe.toml", code=2)
    assert "eu-north-1" in said and "certificate" in said.lower()


def test_upstream_with_a_wrong_secret_is_refused_without_telling_it(with_upstream):
    (with_upstream.directory / "upstream-credentials").write_text(
        f"[default]\naws_access_key_id = {ADMIN[0]}\naws_secret_access_key = wrong-secret\n"
    )
    said = with_upstream.refused("region", "check", "eu-north-1", "--config", "lethe.toml", code=2)
    assert "eu-north-1" in said and "credentials_file" in said and "wrong-secret" not in said


def test_upstream_that_is_away_is_refused(with_upstream, upstream):
    edit(with_upstream, (upstream.endpoint, f"https://127.0.0.1:{free_port()}"))
    said = with_upstream.refused("region", "check", "eu-north-1", "--config", "lethe.toml", code=2)
    assert "eu-north-1" in said and "endpoint" in said


def test_upstream_that_was_never_checked_is_not_served(with_upstream):
    said = with_upstream.refused(*SERVE, code=2)
    assert "region eu-north-1 was never checked" in said and "lethe region check eu-north-1 --config lethe.toml" in said


# Keys that stand in one trust file.


def test_validator_with_the_domains_own_key_is_refused_by_doctor_and_serve(tmp_path):
    installation = Shredding(tmp_path / "shredding")
    try:
        installation.json(*INIT)
        listed = json.loads((installation.directory / "eu-signing/signing.json").read_text())
        for role, said in (("issuers", "the issuer"), ("log", "the log")):
            key = listed[role][0]["publicKey"]
            validator = f'{{ name = "Ada", public_key = "{key}", not_before = "2026-01-01T00:00:00Z" }}'
            wrong = installation.changed("wrong.toml", ("lease_s = 30\n", f"lease_s = 30\nvalidators = [{validator}]\n"))
            for command in ("doctor", "serve"):
                done = installation.run(command, "--config", str(wrong))
                refused = done.stdout + done.stderr
                assert done.returncode == 2, refused
                assert f"{said}'s" in refused and "validator Ada's" in refused, refused
    finally:
        installation.stop()
