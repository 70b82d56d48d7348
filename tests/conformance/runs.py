"""Runs the suite against a store: a process and a set of servers a shard, each test bounded, and outcomes out of their records."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .stores import Store
from .suites import Suite, configuration

# `--runxfail` below: the copies mark what Ceph fails as expected to fail.
# A debug build on a busy machine takes a minute and a half for the longest; what takes this long hangs.
TEST_SECONDS = 300
RUN_SECONDS = 60 * 60
CUT_OFF = "the run ended before it"
TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """What became of one test. `outcome` is `passed`, `failed` or `skipped`; a failed `cleanup` does not change it."""

    outcome: str
    seconds: float
    message: str = ""
    cleanup: str = ""


class Shard:
    """One process of pytest on one store."""

    def __init__(self, suite: Suite, store: Store, number: int, shards: int, directory: Path, only: str | None):
        self.directory, self.number = directory, number
        self.results, self.log = directory / "results.jsonl", directory / "pytest.log"
        conf, settings = directory / "s3tests.conf", directory / "settings.json"
        conf.write_text(configuration(store.address, store.location, store.accounts))
        settings.write_text(json.dumps({
            "results": str(self.results), "kind": suite.kind, "shard": number, "shards": shards,
            "endpoint": f"https://{store.address[0]}:{store.address[1]}",
            "keys": [(account.access_key, account.secret_key) for account in store.accounts.values()],
        }))  # fmt: skip
        argv = [
            sys.executable, "-m", "pytest", "-c", str(TESTS / "conformance/suite.ini"), "-p", "conformance.recording", "-q",
            "--timeout", str(TEST_SECONDS), "--runxfail", *suite.arguments(conf, only),
        ]  # fmt: skip
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
        env |= {
            "S3TEST_CONF": str(conf), "LETHE_CONFORMANCE": str(settings), "AWS_EC2_METADATA_DISABLED": "true",
            "SSL_CERT_FILE": str(store.ca),
            "PYTHONPATH": os.pathsep.join((str(TESTS), str(suite.root))), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)  # fmt: skip

    def finish(self, deadline: float) -> dict[str, Outcome]:
        """The outcomes, once the process has ended; a test that it did not get to has failed."""
        try:
            self.process.wait(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        records = [json.loads(line) for line in lines]
        # 1 is "some tests failed".
        if not records or "collected" not in records[0] or self.process.returncode not in (0, 1, -9):
            raise RuntimeError(f"the suite did not run ({self.process.returncode}):\n{self.log.read_text()[-4000:]}")
        outcomes = dict.fromkeys(records[0]["collected"], Outcome("failed", 0.0, CUT_OFF))
        for record in records[1:]:
            test = record.pop("test")
            outcomes[test] = Outcome(**record)
        return outcomes


def run(suite: Suite, start: Callable[[Path], Store], shards: int, directory: Path, only: str | None = None) -> dict[str, Outcome]:
    """Every selected test's outcome on stores that `start` starts, one a shard."""
    shutil.rmtree(directory, ignore_errors=True)
    stores: list[Store] = []
    running: list[Shard] = []
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + RUN_SECONDS
    try:
        for number in range(shards):
            own = directory / str(number)
            own.mkdir(parents=True)
            stores.append(start(own))
        for number, store in enumerate(stores):
            running.append(Shard(suite, store, number, shards, directory / str(number), only))
        for shard in running:
            outcomes |= shard.finish(deadline)
    finally:
        for shard in running:
            if shard.process.poll() is None:
                shard.process.kill()
        for number, store in enumerate(stores):
            store.stop()
            # Hundreds of megabytes; the logs and records beside it stay.
            shutil.rmtree(directory / str(number) / "seaweedfs", ignore_errors=True)
    return dict(sorted(outcomes.items()))
