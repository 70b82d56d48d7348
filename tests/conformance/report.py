"""Compares the outcomes on both stores: classes, `report.json`, and the table."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .areas import AREAS, area
from .runs import Outcome

CLASSES = ("passed_both", "lethe_only", "regressions", "failed_both")
TITLES = ("passed by both", "by Lethe alone", "regressions", "failed by both")


@dataclass(frozen=True)
class Pair:
    """One test's outcome directly on SeaweedFS and through Lethe."""

    direct: Outcome
    lethe: Outcome

    @property
    def kind(self) -> str | None:
        """The class of the test; none when it was skipped on either."""
        if "skipped" in (self.direct.outcome, self.lethe.outcome):
            return None
        passed = (self.direct.outcome == "passed", self.lethe.outcome == "passed")
        return {(True, True): "passed_both", (False, True): "lethe_only", (True, False): "regressions"}.get(passed, "failed_both")


def pairs(direct: dict[str, Outcome], lethe: dict[str, Outcome]) -> dict[str, Pair]:
    """Both outcomes of each test.

    # Errors
    When the runs did not select the same tests, so that nothing can be compared.
    """
    if direct.keys() != lethe.keys():
        raise RuntimeError(f"the two runs differ in their tests: {sorted(direct.keys() ^ lethe.keys())}")
    return {test: Pair(direct[test], lethe[test]) for test in sorted(direct)}


def counts(both: dict[str, Pair]) -> Counter:
    return Counter(pair.kind for pair in both.values() if pair.kind)


def summary(both: dict[str, Pair]) -> str:
    """The line that a run ends with."""
    counted = counts(both)
    return "conformance: " + " ".join(f"{kind}={counted[kind]}" for kind in CLASSES)


def table(both: dict[str, Pair]) -> str:
    """Markdown: a row an area, and one of sums."""
    rows = [("area", *TITLES), ("---", *["---:"] * 4)]
    for label, _ in AREAS:
        counted = counts({test: pair for test, pair in both.items() if area(test) == label})
        if counted:
            rows.append((label, *(str(counted[kind]) for kind in CLASSES)))
    counted = counts(both)
    rows.append(("**all**", *(f"**{counted[kind]}**" for kind in CLASSES)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(path: Path, facts: dict, both: dict[str, Pair]) -> None:
    """Writes every test's two outcomes, with what was run."""
    tests = {
        test: {"class": pair.kind or "skipped", "area": area(test), "direct": vars(pair.direct), "lethe": vars(pair.lethe)}
        for test, pair in both.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | {"counts": dict(counts(both)), "tests": tests}, indent=1) + "\n")


def read(path: Path) -> tuple[dict, dict[str, Pair]]:
    """What `write` wrote: the facts, and both outcomes of each test."""
    facts = json.loads(path.read_text())
    tests = facts.pop("tests")
    return facts, {test: Pair(Outcome(**each["direct"]), Outcome(**each["lethe"])) for test, each in tests.items()}
