"""The outcomes that the repository expects of the installable copy through Lethe.

A line is a test and `passed`, `failed`, `skipped`, or `varies` with the reason why both may happen.
"""

from pathlib import Path

from .runs import Outcome

FILE = Path(__file__).resolve().parent / "expected.txt"
OUTCOMES = ("passed", "failed", "skipped", "varies")
HEAD = "# Every test of the installable copy and its outcome through Lethe. `make conformance-update` writes this file.\n"


def read(file: Path = FILE) -> dict[str, str]:
    """The expected outcome of each test; one that varies has its reason behind it.

    # Errors
    When a line is no test with a known outcome, or a test varies without a reason.
    """
    wanted = {}
    for line in file.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        test, _, outcome = line.partition("  ")
        word, _, reason = outcome.partition(": ")
        if word not in OUTCOMES or (word == "varies") != bool(reason) or test in wanted:
            raise ValueError(f"{file.name}: not a test with its outcome: {line}")
        wanted[test] = outcome
    return wanted


def differences(wanted: dict[str, str], found: dict[str, Outcome]) -> list[str]:
    """What is not as expected, one line a test."""
    lines = []
    for test in sorted(wanted.keys() | found.keys()):
        expected = wanted.get(test)
        if test not in found:
            lines.append(f"{test}: expected {expected}, was not run")
        elif expected is None:
            lines.append(f"{test}: new, {found[test].outcome}")
        elif not expected.startswith("varies") and expected != found[test].outcome:
            first_line = found[test].message.partition("\n")[0]
            lines.append(f"{test}: expected {expected}, {found[test].outcome} now: {first_line}".rstrip(": "))
    return lines


def write(before: dict[str, str], found: dict[str, Outcome], file: Path = FILE) -> None:
    """Writes what was found; a test that varies keeps its line."""
    lines = []
    for test, outcome in sorted(found.items()):
        kept = before.get(test, "")
        lines.append(f"{test}  {kept if kept.startswith('varies') else outcome.outcome}")
    file.write_text(HEAD + "\n".join(lines) + "\n")
