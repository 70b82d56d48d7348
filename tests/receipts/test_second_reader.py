"""The verifier written from docs/receipts.md gives the verdicts of the fixtures, by the same deciding check."""

import json
import subprocess
import sys
from pathlib import Path

import second_reader
from conftest import CASES


def test_fixtures_hold_good_and_at_least_thirty_forged_receipts():
    verdicts = [case.verdict for case in CASES]
    assert verdicts.count("invalid") >= 30
    assert verdicts.count("verified") >= 5
    assert len({case.check for case in CASES if case.verdict == "invalid"}) >= 30


def test_second_reader_gives_the_expected_verdict_by_the_expected_check(case):
    report = second_reader.verify(case.receipt_path.read_bytes(), case.trust_path.read_bytes())
    assert report.result() == (case.verdict, case.check), report.checks


def test_second_reader_as_a_program_exits_with_the_documents_codes():
    program = [sys.executable, Path(second_reader.__file__)]
    wanted = {"verified": 0, "invalid": 3, "incomplete": 4}
    for case in (CASES[0], CASES[1], CASES[-1]):
        run = subprocess.run([*program, case.receipt_path, case.trust_path], capture_output=True, text=True)
        assert run.returncode == wanted[case.verdict], run.stderr
        assert json.loads(run.stdout)["check"] == case.check
    assert subprocess.run(program, capture_output=True).returncode == 1
    assert subprocess.run([*program, "no such file", CASES[0].trust_path], capture_output=True).returncode == 2
