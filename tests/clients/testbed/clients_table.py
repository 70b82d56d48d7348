"""Writes docs/clients.md from a run: a row for each client and what it was seen doing, a column for each kind of region."""

import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path

from .commands import DEBIAN_AWS

HEAD = """# Clients

What each client was seen doing through Lethe, on an embedded region and on one of SeaweedFS. `make clients-table` runs the clients and
writes this file; `make test` runs the same tests. Each client tries every request once: a retry would hide a wrong answer.

| Client | Version | Test | Embedded | SeaweedFS |
| --- | --- | --- | --- | --- |
"""
OUTCOMES = {"passed": "works", "failed": "**fails**", "skipped": "not run"}


class ClientsTable:
    """Collects the outcomes of tests that are marked with a client."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        self.outcomes: dict[tuple[str, str], dict[str, str]] = {}

    def pytest_runtest_logreport(self, report):
        client = dict(report.user_properties).get("client")
        if not client or (report.when != "call" and report.outcome == "passed"):
            return
        test, variant = re.fullmatch(r"(.+)\[(\w+)\]", report.nodeid).groups()
        row = self.outcomes.setdefault((client, test.removeprefix("tests/clients/")), {})
        row[variant] = OUTCOMES[report.outcome]

    def pytest_sessionfinish(self):
        rows = ""
        for (client, test), outcomes in sorted(self.outcomes.items(), key=lambda row: (row[0][0].lower(), row[0][1])):
            columns = " | ".join(outcomes.get(variant, "not run") for variant in ("embedded", "seaweedfs"))
            rows += f"| {client} | {version(client)} | `{test}` | {columns} |\n"
        self.path.write_text(HEAD + rows)


def version(client: str) -> str:
    """The version of the client that the tests run."""
    name = client.split(",")[0]
    match name:
        case "boto3":
            return importlib.metadata.version("boto3")
        case "AWS CLI v1":
            return importlib.metadata.version("awscli")
        case "s5cmd":
            return first_number(["s5cmd", "version"])
        case "rclone" | "restic":
            return first_number([name, "version"])
        case "s3cmd":
            return first_number(["s3cmd", "--version"])
        case "AWS CLI v2 of Debian 12":
            return first_number([DEBIAN_AWS, "--version"])
        case "AWS SDK for JavaScript v3":
            package = Path(os.environ["LETHE_NODE_PROGRAMS"]) / "node_modules/@aws-sdk/client-s3/package.json"
            return json.loads(package.read_text())["version"]
        case "minio-py" | "s3fs" | "PyArrow":
            package = "minio" if name == "minio-py" else name.lower()
            code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
            return first_number([os.environ["LETHE_LIBRARIES_PYTHON"], "-c", code])
    raise ValueError(f"no way to ask {client} for its version")


def first_number(argv: list[str]) -> str:
    printed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    return re.search(r"\d+(\.\d+)+", printed).group()
