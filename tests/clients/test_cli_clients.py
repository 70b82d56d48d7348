"""The AWS CLI, rclone, s5cmd, s3cmd and restic, as a person runs them."""

import filecmp
import json
import os
import shutil
import sys
import textwrap
import urllib.parse
from pathlib import Path

import pytest

from conftest import empty, unique_name
from testbed.commands import Commands
from testbed.payload import MIB, body
from testbed.signed import send


@pytest.fixture
def commands(target, tmp_path) -> Commands:
    home = tmp_path / "home"
    home.mkdir()
    return Commands(target, home)


@pytest.fixture
def tree(tmp_path) -> Path:
    """A directory of files of many sizes and odd names; one is over every client's multipart threshold."""
    root = tmp_path / "tree"
    sizes = {"empty": 0, "one": 1, "small.txt": 1000, "a b/c d.bin": 70_000, "ü/ñ.bin": 16384, "deep/er/est": 5 * MIB,
             "big.bin": 18 * MIB + 5, "plus+and&amp": 33}  # fmt: skip
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(size, name))
        # Stores tell whole seconds: a file as young as its upload would look newer than it, and be uploaded again.
        os.utime(path, (path.stat().st_mtime - 10,) * 2)
    return root


def assert_same_trees(left: Path, right: Path) -> None:
    def files(root: Path) -> dict[str, Path]:
        return {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}

    assert sorted(files(left)) == sorted(files(right))
    for name, path in files(left).items():
        assert filecmp.cmp(path, files(right)[name], shallow=False), name


@pytest.mark.client("AWS CLI v1")
def test_aws_cli_copies_up_and_down(commands, bucket, tree, tmp_path):
    for name in ("empty", "small.txt", "big.bin"):
        commands.aws("s3", "cp", str(tree / name), f"s3://{bucket}/{name}")
        commands.aws("s3", "cp", f"s3://{bucket}/{name}", str(tmp_path / name))
        assert filecmp.cmp(tree / name, tmp_path / name, shallow=False)
    listed = commands.aws("s3", "ls", f"s3://{bucket}/").stdout
    assert str(18 * MIB + 5) in listed and "big.bin" in listed


@pytest.mark.client("AWS CLI v1")
def test_aws_cli_sync_both_ways_and_again(commands, bucket, tree, tmp_path):
    commands.aws("s3", "sync", str(tree), f"s3://{bucket}/tree")
    back = tmp_path / "back"
    commands.aws("s3", "sync", f"s3://{bucket}/tree", str(back))
    assert_same_trees(tree, back)
    assert commands.aws("s3", "sync", str(tree), f"s3://{bucket}/tree").stdout.strip() == "", "nothing left to do"
    (tree / "small.txt").unlink()
    commands.aws("s3", "sync", "--delete", str(tree), f"s3://{bucket}/tree")
    commands.aws("s3", "sync", "--delete", f"s3://{bucket}/tree", str(back))
    assert_same_trees(tree, back)


@pytest.mark.client("AWS CLI v1")
def test_aws_cli_presigned_url_is_read_without_a_credential(commands, target, bucket, tree):
    commands.aws("s3", "cp", str(tree / "small.txt"), f"s3://{bucket}/small.txt")
    url = commands.aws("s3", "presign", f"s3://{bucket}/small.txt", "--expires-in", "60").stdout.strip()
    parts = urllib.parse.urlsplit(url)
    answer = send(target, "GET", f"{parts.path}?{parts.query}")
    assert (answer.status, answer.body) == (200, (tree / "small.txt").read_bytes())


@pytest.mark.client("AWS CLI v1")
def test_aws_cli_moves_and_removes(commands, bucket, tree):
    commands.aws("s3", "cp", str(tree / "small.txt"), f"s3://{bucket}/one")
    commands.aws("s3", "mv", f"s3://{bucket}/one", f"s3://{bucket}/two")
    listed = json.loads(commands.aws("s3api", "list-objects-v2", "--bucket", bucket).stdout)
    assert [(o["Key"], o["Size"]) for o in listed["Contents"]] == [("two", 1000)]
    commands.aws("s3", "rm", "--recursive", f"s3://{bucket}/")
    assert commands.aws("s3", "ls", f"s3://{bucket}/", check=False).stdout == ""


@pytest.mark.client("AWS CLI v1")
def test_aws_cli_makes_and_removes_a_bucket(commands):
    bucket = unique_name()
    commands.aws("s3", "mb", f"s3://{bucket}")
    assert bucket in commands.aws("s3", "ls").stdout
    commands.aws("s3", "rb", f"s3://{bucket}")
    assert bucket not in commands.aws("s3", "ls").stdout


@pytest.mark.client("rclone")
def test_rclone_copies_checks_and_syncs_both_ways(commands, bucket, tree, tmp_path):
    there, back = f"remote:{bucket}/tree", tmp_path / "back"
    cutoff = ("--s3-upload-cutoff=8M", "--s3-chunk-size=5M")
    commands.rclone("copy", str(tree), there, *cutoff)
    commands.rclone("check", str(tree), there)
    commands.rclone("check", "--download", str(tree), there)
    commands.rclone("copy", there, str(back))
    assert_same_trees(tree, back)
    (tree / "small.txt").write_bytes(body(2000, "changed"))
    (tree / "one").unlink()
    commands.rclone("sync", str(tree), there, *cutoff)
    commands.rclone("sync", there, str(back))
    assert_same_trees(tree, back)
    commands.rclone("check", "--download", str(back), there)


@pytest.mark.client("rclone")
def test_rclone_lists_sizes_and_keeps_modification_times(commands, bucket, tree):
    os.utime(tree / "small.txt", (1_500_000_000, 1_500_000_000))
    commands.rclone("copy", str(tree), f"remote:{bucket}")
    rows = json.loads(commands.rclone("lsjson", "-R", "--files-only", f"remote:{bucket}").stdout)
    assert {r["Path"]: r["Size"] for r in rows} == {
        str(p.relative_to(tree)): p.stat().st_size for p in tree.rglob("*") if p.is_file()
    }
    assert next(r for r in rows if r["Path"] == "small.txt")["ModTime"].startswith("2017-07-14T02:40:00")
    again = commands.rclone("copy", "-v", str(tree), f"remote:{bucket}")
    assert "There was nothing to transfer" in again.stderr


@pytest.mark.client("rclone")
def test_rclone_check_sees_a_changed_object(commands, s3, bucket, tree):
    """The check above can fail."""
    commands.rclone("copy", str(tree), f"remote:{bucket}")
    s3.put_object(Bucket=bucket, Key="small.txt", Body=body(1000, "other bytes"))
    assert commands.rclone("check", "--download", str(tree), f"remote:{bucket}", check=False).returncode != 0


@pytest.mark.client("s5cmd")
def test_s5cmd_copies_lists_and_removes(commands, s3, bucket, tree, tmp_path):
    back = tmp_path / "back"
    commands.s5cmd("cp", "--part-size", "5", f"{tree}/", f"s3://{bucket}/tree/")
    listed = commands.s5cmd("ls", f"s3://{bucket}/tree/*").stdout
    assert str(18 * MIB + 5) in listed
    commands.s5cmd("cp", f"s3://{bucket}/tree/*", f"{back}/")
    assert_same_trees(tree, back)
    s3.put_object(Bucket=bucket, Key="text", Body=b"as text")
    assert commands.s5cmd("cat", f"s3://{bucket}/text").stdout == "as text"
    commands.s5cmd("rm", f"s3://{bucket}/text")
    commands.s5cmd("rm", f"s3://{bucket}/tree/*")
    assert commands.s5cmd("ls", f"s3://{bucket}/*", check=False).stdout.strip() == ""


@pytest.mark.client("s5cmd")
def test_s5cmd_syncs_and_then_has_nothing_to_do(commands, bucket, tree):
    commands.s5cmd("sync", f"{tree}/", f"s3://{bucket}/tree/")
    assert commands.s5cmd("sync", "--size-only", f"{tree}/", f"s3://{bucket}/tree/").stdout.strip() == ""


@pytest.mark.client("s3cmd")
@pytest.mark.skipif(not shutil.which("s3cmd"), reason="s3cmd is not installed (`make test` installs it)")
def test_s3cmd_puts_gets_and_lists(commands, bucket, tree, tmp_path):
    for name in ("small.txt", "big.bin"):
        commands.s3cmd("put", "--multipart-chunk-size-mb=5", str(tree / name), f"s3://{bucket}/{name}")
        commands.s3cmd("get", f"s3://{bucket}/{name}", str(tmp_path / name))
        assert filecmp.cmp(tree / name, tmp_path / name, shallow=False)
    assert str(18 * MIB + 5) in commands.s3cmd("ls", f"s3://{bucket}").stdout
    commands.s3cmd("del", f"s3://{bucket}/small.txt")
    assert "small.txt" not in commands.s3cmd("ls", f"s3://{bucket}").stdout


@pytest.mark.client("restic")
@pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed (`make test` installs it)")
def test_restic_backs_up_checks_and_restores(commands, bucket, tree, tmp_path):
    repository = f"{bucket}/repository"
    commands.restic(repository, "init")
    commands.restic(repository, "backup", str(tree))
    (tree / "small.txt").write_bytes(body(3000, "second snapshot"))
    commands.restic(repository, "backup", str(tree))
    commands.restic(repository, "check", "--read-data")
    commands.restic(repository, "forget", "--keep-last", "1", "--prune")
    commands.restic(repository, "check", "--read-data")
    commands.restic(repository, "restore", "latest", "--target", str(tmp_path / "restored"))
    assert_same_trees(tree, tmp_path / "restored" / tree.relative_to("/"))


@pytest.mark.lethe_only("the gateway's own text")
def test_commands_that_dev_prints_work_when_pasted(target, tmp_path):
    printed = target.child.stdout.read_text().split("\nLethe is ready")[-1]
    aws, rest = printed.split("\naws:\n")[1].split("\nrclone:\n")
    rclone, rest = rest.split("\nboto3:\n")
    boto3 = textwrap.dedent(rest.split("\nStop it")[0])
    (tmp_path / "some-directory").mkdir()
    (tmp_path / "some-directory/file").write_text("from rclone")
    commands = Commands(target, tmp_path)
    # One shell, as a newcomer has: what one line exports, the next may use.
    commands.env = {name: commands.env[name] for name in ("PATH", "HOME", "LANG")}
    try:
        listed = commands.run("bash", "-euo", "pipefail", "-c", textwrap.dedent(aws) + textwrap.dedent(rclone)).stdout
        assert "make_bucket: docs" in listed and "hello.txt" in listed and "some-directory/file" in listed
        commands.run(sys.executable, "-c", boto3)
        assert target.client().get_object(Bucket="from-boto3", Key="hello.txt")["Body"].read() == b"hello"
    finally:
        for bucket in ("docs", "from-boto3"):
            empty(target.client(), bucket)
