"""Configurations and upstreams that must be refused at the start, with a message that helps."""

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from testbed.process import Child, free_port
from testbed.target import binary, start

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own start")]
START_SECONDS = 90

REGIONS = """\
[regions.eu-central-1]
domain = "eu"
pair = "eu-west-3"
backend = { kind = "s3", endpoint = "ENDPOINT", region = "us-east-1", bucket_prefix = "lethe", \
credentials_file = "credentials"PERMIT }
[regions.eu-west-3]
domain = "eu"
pair = "eu-central-1"
backend = { kind = "embedded", path = "regions/eu-west-3" }
[regions.us-east-1]
domain = "us"
backend = { kind = "embedded", path = "regions/us-east-1" }
"""


def refused_start(directory: Path, text: str) -> str:
    """Starts `lethe dev` with regions that must be refused; gives what it said."""
    config = directory / "regions.toml"
    config.write_text(text)
    credentials = directory / "credentials"
    credentials.write_text("[default]\naws_access_key_id = weakkey\naws_secret_access_key = weaksecret\n")
    credentials.chmod(0o600)
    argv = [
        str(binary()), "dev", "--dir", str(directory / "lethe"), "--config", str(config),
        "--s3-listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    done = subprocess.run(
        argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 101), said
    assert "panicked" not in said
    assert "weaksecret" not in said
    return said


def test_plain_http_upstream_without_permission_is_refused(tmp_path):
    said = refused_start(tmp_path, REGIONS.replace("ENDPOINT", "http://127.0.0.1:1").replace("PERMIT", ""))
    assert "regions.toml:4" in said and "endpoint" in said and "allow_plain_http" in said


@pytest.mark.parametrize(
    ("change", "line", "key"),
    (
        (("[regions.us-east-1]", "[region.us-east-1]"), 9, "region"),
        (('kind = "embedded", path = "regions/us-east-1"', 'kind = "embeded", path = "x"'), 11, "kind"),
        (('pair = "eu-west-3"', 'pare = "eu-west-3"'), 3, "pare"),
        (('pair = "eu-west-3"', 'pair = "us-east-1"'), 3, "pair"),
    ),
    ids=("unknown section", "unknown kind", "unknown key", "pair of another domain"),
)
def test_bad_region_file_names_file_line_and_key(tmp_path, change, line, key):
    permitted = REGIONS.replace("ENDPOINT", "http://127.0.0.1:1").replace("PERMIT", ", allow_plain_http = true")
    said = refused_start(tmp_path, permitted.replace(*change, 1))
    assert f"regions.toml:{line}" in said and key in said


def test_dev_with_its_catalog_lost_is_refused_and_says_how_to_start_over(tmp_path):
    """A new catalog in its place would hold no bucket, and nobody would be told."""
    gateway = start("embedded", tmp_path)
    try:
        gateway.client().create_bucket(Bucket="kept")
        gateway.client().put_object(Bucket="kept", Key="k", Body=b"kept")
        gateway.child.stop()
        catalog, aside = gateway.dir / "eu/catalog", tmp_path / "aside"
        shutil.copytree(catalog, aside)
        for change in (lambda: shutil.rmtree(catalog), lambda: empty_files(catalog)):
            shutil.copytree(aside, catalog, dirs_exist_ok=True)
            change()
            said = refused_dev(gateway)
            assert "domain eu has lost its catalog" in said and "eu/catalog/catalog.db" in said, said
            assert "from a copy" in said and "remove the whole development directory" in said
            shutil.rmtree(catalog, ignore_errors=True)
        shutil.copytree(aside, catalog)
        gateway.start()
        assert gateway.client().get_object(Bucket="kept", Key="k")["Body"].read() == b"kept"
        gateway.child.stop()
        shutil.rmtree(gateway.dir)
        gateway.start()
        assert gateway.client().list_buckets()["Buckets"] == []
    finally:
        gateway.stop()


def empty_files(directory: Path) -> None:
    for path in directory.iterdir():
        path.write_bytes(b"")


def refused_dev(gateway) -> str:
    argv = [str(binary()), "dev", "--dir", str(gateway.dir), "--s3-listen", gateway.listen["s3"],
            "--admin-listen", gateway.listen["admin"]]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def test_upstream_that_ignores_conditional_writes_is_refused_with_the_reason(tmp_path):
    """`rclone serve s3` takes an If-None-Match and overwrites all the same."""
    port = free_port()
    (tmp_path / "weak").mkdir()
    argv = [
        str(Path(sys.executable).parent / "rclone"), "serve", "s3", "--config=", f"--addr=127.0.0.1:{port}",
        "--auth-key=weakkey,weaksecret", "--vfs-cache-mode=full", f"--cache-dir={tmp_path / 'cache'}", str(tmp_path / "weak"),
    ]  # fmt: skip
    upstream = Child(argv, tmp_path, "rclone")
    try:
        upstream.wait_until(lambda: answers(port), "an answer of the weak store", 30)
        permitted = REGIONS.replace("ENDPOINT", f"http://127.0.0.1:{port}").replace("PERMIT", ", allow_plain_http = true")
        said = refused_start(tmp_path, permitted)
    finally:
        upstream.kill()
    assert "eu-central-1" in said and "condition" in said.lower()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
