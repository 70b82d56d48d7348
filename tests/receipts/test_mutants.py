"""Several hundred random mutants: every verifier gives one verdict, by one deciding check."""

import json
import os
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import CASES, PAGE, disagreements

HERE = Path(__file__).parent


def test_mutants_reach_nearly_every_check(second_verdicts):
    verdicts = Counter(result[0] for _, result in second_verdicts)
    checks = {result[1] for _, result in second_verdicts}
    assert len(second_verdicts) >= 800
    assert min(verdicts[verdict] for verdict in ("verified", "incomplete", "invalid")) >= 10, verdicts
    assert len(checks) >= 25, checks


def test_mutants_lie_at_both_sides_of_the_limits(second_verdicts):
    found = {name.removeprefix("at the edge, ").removesuffix(".receipt.json"): result[1] for name, result in second_verdicts}
    for late, early, check in (
        ("approved", "erased", "claimed-times"),
        ("approved", "tenant fence", "claimed-times"),
        ("destroyed", "erased", "claimed-times"),
        ("grace", "tenant fence", "claimed-times"),
        ("revoked from", "erased from", "same-facts"),
        ("erased", "witnessed", "witnessed-time"),
    ):
        assert (found[f"{late} 300 after {early}"], found[f"{late} 301 after {early}"]) == (None, check)
    assert (found["issuers notAfter 0 witnessed 0"], found["issuers notAfter -1 witnessed 0"]) == (None, "key-windows")
    assert (found["horizon 0"], found["horizon 1"]) == (None, "assurance")
    assert (found["horizon -300"], found["horizon -301"]) == (None, "claimed-times")
    assert {check for name, check in found.items() if name.startswith("R of small order")} == {"issuer-signature"}
    mixed = {check for name, check in found.items() if name.startswith("mixed order")}
    assert mixed == {"issuer-signature", "erasure"}, "a key of mixed order holds without a cofactor sometimes"


def test_mutants_get_one_verdict_from_the_second_reader_and_the_page(mutant_folder, second_verdicts):
    node = shutil.which("node")
    assert node, "node is installed by `make apt-packages`"
    command = [node, HERE / "page_verdicts.js", PAGE, mutant_folder]
    answers = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    pages = [(answer.get("verdict"), answer.get("check", answer.get("fault"))) for answer in answers]
    assert not disagreements(second_verdicts, pages)


def lethe_verdict(lethe, receipt, trust):
    command = [lethe, "-o", "json", "receipt", "verify", receipt, "--trust", trust]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if run.returncode not in (0, 3, 4):
        return ("exit code", f"{run.returncode}: {run.stderr.strip()}")
    report = json.loads(run.stdout)
    assert {"verified": 0, "invalid": 3, "incomplete": 4}[report["verdict"]] == run.returncode
    outcomes = [(check["name"], check["outcome"]) for check in report["checks"]]
    deciding = [name for wanted in ("failed", "missing") for name, outcome in outcomes if outcome == wanted]
    return (report["verdict"], deciding[0] if deciding else None)


@pytest.fixture(scope="session")
def lethe():
    binary = os.environ.get("LETHE_BIN")
    if not binary:
        pytest.skip("LETHE_BIN names no binary")
    if subprocess.run([binary, "receipt", "verify", "--help"], capture_output=True).returncode != 0:
        pytest.skip("the binary has no `receipt verify`")
    return binary


def test_mutants_get_one_verdict_from_the_second_reader_and_the_command_line(lethe, mutant_folder, second_verdicts):
    def ask(name):
        return lethe_verdict(lethe, mutant_folder / name, mutant_folder / name.replace(".receipt.", ".trust."))

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, (name for name, _ in second_verdicts)))
    assert not disagreements(second_verdicts, answers)


def test_fixtures_get_the_expected_verdict_from_the_command_line(lethe):
    answers = {case.file: lethe_verdict(lethe, case.receipt_path, case.trust_path) for case in CASES}
    assert answers == {case.file: (case.verdict, case.check) for case in CASES}
