"""SDKs and libraries, each doing what its users do; with `test_cli_clients.py` the rows of docs/clients.md."""

import filecmp
import io
import json
import os
from pathlib import Path

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from testbed.commands import DEBIAN_AWS, Commands
from testbed.payload import MIB, body

PROGRAMS = Path(__file__).parent / "programs"
# `make test` makes them: a Python that has the libraries, a directory that has the packages and the programs of Node.js.
LIBRARIES = os.environ.get("LETHE_LIBRARIES_PYTHON", "")
NODE_PROGRAMS = os.environ.get("LETHE_NODE_PROGRAMS", "")
needs_libraries = pytest.mark.skipif(not LIBRARIES, reason="LETHE_LIBRARIES_PYTHON is not set (`make test` sets it)")
needs_node = pytest.mark.skipif(not NODE_PROGRAMS, reason="LETHE_NODE_PROGRAMS is not set (`make test` sets it)")


@pytest.fixture
def commands(target, tmp_path) -> Commands:
    home = tmp_path / "home"
    home.mkdir()
    return Commands(target, home)


def transfers_and_reads_back(client, bucket: str, tmp_path: Path) -> None:
    """boto3's managed transfers: parts in parallel threads up and down, ranges, metadata, pages."""
    settings = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    for name, size in (("empty", 0), ("small", 70_000), ("large", 17 * MIB + 9)):
        path, back = tmp_path / name, tmp_path / f"{name}.back"
        path.write_bytes(body(size, name))
        client.upload_file(str(path), bucket, f"up/{name}", ExtraArgs={"Metadata": {"name": name}}, Config=settings)
        client.download_file(bucket, f"up/{name}", str(back), Config=settings)
        assert filecmp.cmp(path, back, shallow=False)
        assert client.head_object(Bucket=bucket, Key=f"up/{name}")["Metadata"] == {"name": name}
    client.upload_fileobj(io.BytesIO(body(6 * MIB, "object")), bucket, "up/object", Config=settings)
    window = client.get_object(Bucket=bucket, Key="up/object", Range="bytes=1000000-1000009")["Body"].read()
    assert window == body(6 * MIB, "object")[1_000_000:1_000_010]
    client.copy({"Bucket": bucket, "Key": "up/large"}, bucket, "copied", Config=settings)
    assert client.get_object(Bucket=bucket, Key="copied")["Body"].read() == body(17 * MIB + 9, "large")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="up/", PaginationConfig={"PageSize": 2})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == [
        f"up/{name}" for name in ("empty", "large", "object", "small")
    ]
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=bucket, Key="absent")


@pytest.mark.client("boto3, default checksums")
def test_boto3_transfers_files_in_parts(target, bucket, tmp_path):
    client = target.client(request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
    transfers_and_reads_back(client, bucket, tmp_path)


@pytest.mark.client("boto3, checksums when_required")
def test_boto3_without_default_checksums_transfers_files_in_parts(target, bucket, tmp_path):
    client = target.client(request_checksum_calculation="when_required", response_checksum_validation="when_required")
    transfers_and_reads_back(client, bucket, tmp_path)


@pytest.mark.client("boto3, signed payloads")
def test_boto3_with_signed_payloads_transfers_files_in_parts(target, bucket, tmp_path):
    s3 = {"addressing_style": "path", "payload_signing_enabled": True}
    transfers_and_reads_back(target.client(s3=s3), bucket, tmp_path)


@pytest.mark.client("boto3, resource model")
def test_boto3_resources_walk_copy_and_empty_a_bucket(target, bucket):
    who = target.tenants["acme"]
    resource = boto3.resource(
        "s3", endpoint_url=target.endpoint, region_name=who.region, aws_access_key_id=who.access_key_id,
        aws_secret_access_key=who.secret_access_key, verify=str(target.ca) if target.ca else None,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )  # fmt: skip
    own = resource.Bucket(bucket)
    for at in range(5):
        own.put_object(Key=f"walk/{at}", Body=f"{at}".encode())
    assert [(summary.key, summary.size) for summary in own.objects.filter(Prefix="walk/")] == [
        (f"walk/{at}", 1) for at in range(5)
    ]
    resource.Object(bucket, "copy").copy_from(CopySource={"Bucket": bucket, "Key": "walk/3"})
    assert resource.Object(bucket, "copy").get()["Body"].read() == b"3"
    own.objects.all().delete()
    assert list(own.objects.all()) == []


@pytest.mark.client("AWS CLI v2 of Debian 12")
@pytest.mark.skipif(not Path(DEBIAN_AWS).exists(), reason="Debian's awscli is not installed (`make test` installs it)")
def test_debian_aws_cli_copies_syncs_and_calls_the_api(commands, bucket, tmp_path):
    tree, back = tmp_path / "tree", tmp_path / "back"
    tree.mkdir()
    for name, size in (("empty", 0), ("small one", 70_000), ("large", 9 * MIB + 1)):
        (tree / name).write_bytes(body(size, name))
        os.utime(tree / name, (1_700_000_000, 1_700_000_000))
    commands.debian_aws("s3", "sync", str(tree), f"s3://{bucket}/tree")
    commands.debian_aws("s3", "sync", f"s3://{bucket}/tree", str(back))
    for name in ("empty", "small one", "large"):
        assert filecmp.cmp(tree / name, back / name, shallow=False), name
    assert commands.debian_aws("s3", "sync", str(tree), f"s3://{bucket}/tree").stdout.strip() == ""
    commands.debian_aws("s3", "mv", f"s3://{bucket}/tree/large", f"s3://{bucket}/moved")
    put = ["s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", str(tree / "small one")]
    commands.debian_aws(*put, "--checksum-algorithm", "SHA256", "--metadata", "colour=red")
    head = commands.debian_aws("s3api", "head-object", "--bucket", bucket, "--key", "k", "--checksum-mode", "ENABLED")
    answer = json.loads(head.stdout)
    assert answer["Metadata"] == {"colour": "red"} and answer["ChecksumSHA256"]
    commands.debian_aws("s3", "rm", "--recursive", f"s3://{bucket}/")
    assert commands.debian_aws("s3", "ls", "--recursive", f"s3://{bucket}/", check=False).stdout == ""


@pytest.mark.client("AWS SDK for JavaScript v3")
@needs_node
def test_sdk_for_javascript_streams_pages_copies_and_presigns(commands, bucket):
    commands.program("node", f"{NODE_PROGRAMS}/sdk_v3.mjs", bucket)


@pytest.mark.client("minio-py")
@needs_libraries
def test_minio_py_streams_composes_lists_and_tags(commands, bucket):
    commands.program(LIBRARIES, str(PROGRAMS / "minio_py.py"), bucket)


@pytest.mark.client("s3fs")
@needs_libraries
def test_s3fs_works_as_a_file_system(commands, bucket):
    commands.program(LIBRARIES, str(PROGRAMS / "s3fs_files.py"), bucket)


@pytest.mark.client("PyArrow")
@needs_libraries
def test_pyarrow_reads_parquet_by_ranges(commands, bucket):
    commands.program(LIBRARIES, str(PROGRAMS / "pyarrow_parquet.py"), bucket)
