"""The harness's own rules: what counts as a regression, and what the check of the expected outcomes notices."""

import json
import tomllib

import pytest

from . import document, expected, report
from .areas import area
from .runs import Outcome
from .suites import HERE


def outcome(word: str, message: str = "") -> Outcome:
    return Outcome(word, 0.1, message)


@pytest.mark.parametrize(
    ("direct", "lethe", "kind"),
    [
        ("passed", "passed", "passed_both"),
        ("failed", "passed", "lethe_only"),
        ("passed", "failed", "regressions"),
        ("failed", "failed", "failed_both"),
        ("skipped", "failed", None),
        ("passed", "skipped", None),
    ],
)
def test_pair_of_outcomes_has_its_class(direct, lethe, kind):
    assert report.Pair(outcome(direct), outcome(lethe)).kind == kind


def test_summary_counts_every_class_and_no_skipped_test():
    words = [("passed", "passed"), ("passed", "passed"), ("passed", "failed"), ("failed", "passed"), ("skipped", "skipped")]
    both = {f"test_s3.py::test_{n}": report.Pair(outcome(d), outcome(v)) for n, (d, v) in enumerate(words)}
    assert report.summary(both) == "conformance: passed_both=2 lethe_only=1 regressions=1 failed_both=0"


def test_runs_of_different_tests_are_not_compared():
    with pytest.raises(RuntimeError, match="test_b"):
        report.pairs({"test_a": outcome("passed")}, {"test_a": outcome("passed"), "test_b": outcome("passed")})


def test_report_reads_back_as_it_was_written(tmp_path):
    both = {"test_s3.py::test_cors_x": report.Pair(outcome("passed"), outcome("failed", "assert 501 == 200"))}
    report.write(tmp_path / "report.json", {"suite": "a copy"}, both)
    facts, read = report.read(tmp_path / "report.json")
    assert read == both and facts["suite"] == "a copy" and facts["counts"] == {"regressions": 1}
    assert json.loads((tmp_path / "report.json").read_text())["tests"]["test_s3.py::test_cors_x"]["area"] == "CORS"


@pytest.mark.parametrize(
    ("test", "label"),
    [("test_put_obj_with_tags", "tagging"), ("test_bucket_list_delimiter_percentage", "listings"), ("test_100_continue", "requests and headers")],
)
def test_area_follows_from_the_name(test, label):
    assert area(f"test_s3.py::{test}") == label


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ({"t": "passed"}, {"t": outcome("passed")}, []),
        ({"t": "passed"}, {"t": outcome("failed", "assert 1 == 2\nand more")}, ["t: expected passed, failed now: assert 1 == 2"]),
        ({"t": "failed"}, {"t": outcome("passed")}, ["t: expected failed, passed now"]),
        ({"t": "skipped"}, {"t": outcome("failed")}, ["t: expected skipped, failed now"]),
        ({"t": "varies: a race"}, {"t": outcome("failed")}, []),
        ({"t": "passed"}, {}, ["t: expected passed, was not run"]),
        ({}, {"t": outcome("passed")}, ["t: new, passed"]),
    ],
)
def test_difference_from_what_is_expected_is_named_in_either_direction(wanted, found, said):
    assert expected.differences(wanted, found) == said


def test_update_keeps_what_varies_and_replaces_the_rest(tmp_path):
    file = tmp_path / "expected.txt"
    before = {"a": "varies: a race", "b": "failed", "gone": "passed"}
    expected.write(before, {"b": outcome("passed"), "a": outcome("failed")}, file)
    assert expected.read(file) == {"a": "varies: a race", "b": "passed"}


@pytest.mark.parametrize("line", ["t  varies", "t  fine", "t", "t  passed: really"])
def test_line_without_a_known_outcome_is_refused(tmp_path, line):
    (tmp_path / "expected.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match="not a test with its outcome"):
        expected.read(tmp_path / "expected.txt")


def test_expected_outcomes_of_the_repository_are_sorted_and_well_formed():
    tests = list(expected.read())
    assert len(tests) > 400 and tests == sorted(tests)


def test_regression_has_the_first_reason_that_names_it_or_none():
    reasons = [document.Reason("etag", "no MD5", ("test_*_etag",)), document.Reason("rest", "other", ("test_put_*",))]
    assert document.reason_of("test_s3.py::test_put_etag", reasons).name == "etag"
    assert document.reason_of("test_s3.py::test_put_tags[a]", reasons).name == "rest"
    assert document.reason_of("test_s3.py::test_get", reasons) is None


def test_every_left_out_marker_and_every_reason_says_why():
    for chosen in tomllib.loads((HERE / "selection.toml").read_text()).values():
        assert all((chosen["without"] | chosen.get("without_names", {})).values())
    for reason in document.reasons():
        assert reason.text and reason.tests
