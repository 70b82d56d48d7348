"""What the documents say, held against the repository."""

import ast
import re

import pytest

from testbed.target import REPOSITORY

pytestmark = pytest.mark.no_server
CLIENT_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
RUST_TEST = re.compile(r"`((?:src|tests|envelope|keys)/[\w/]+\.rs)::(\w+)`")
DOCS = ("semantics.md", "threat-model.md", "architecture.md", "operations.md")


def document(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text()


def functions(path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", DOCS)
def test_every_test_that_a_document_names_exists(name):
    text = document(name)
    for file, test in CLIENT_TEST.findall(text):
        assert test in functions(REPOSITORY / "tests/clients" / file), f"{file}::{test}"
    for file, test in RUST_TEST.findall(text):
        assert re.search(rf"fn {test}\b", (REPOSITORY / file).read_text()), f"{file}::{test}"


def test_every_difference_from_s3_names_a_test():
    rows = [line for line in document("semantics.md").splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    rows = [row for row in rows if not row.startswith("| What")]
    assert len(rows) > 20
    for row in rows:
        assert CLIENT_TEST.search(row) or RUST_TEST.search(row), f"names no test: {row}"


def test_operations_lists_exactly_the_limits_and_backend_keys_of_the_example():
    """The example itself is read by a test of the gateway, unknown keys being errors."""
    example = (REPOSITORY / "lethe.example.toml").read_text()
    limits = set(re.findall(r"^#?:? ?(\w+) = ", example.split("[limits]")[1].split("[log]")[0], re.MULTILINE))
    backend = example.split("[regions.eu-central-1.backend]")[1].split("[regions.eu-west-3]")[0]
    backend = set(re.findall(r"^#?:? ?(\w+) = ", backend, re.MULTILINE)) - {"kind"}
    text = document("operations.md")
    assert set(re.findall(r"^\| `limits\.(\w+)`", text, re.MULTILINE)) == limits
    assert set(re.findall(r"^\| `…backend\.(\w+)`", text, re.MULTILINE)) == backend


def test_every_fuzz_target_has_a_body_a_binary_and_a_row():
    fuzz = REPOSITORY / "fuzz"
    named = {}
    for path in (fuzz / "fuzz_targets").glob("*.rs"):
        (named[path.stem],) = re.findall(r"\b(lethe\w*)::fuzzing::(\w+)\(", path.read_text())
    bodies = {
        (crate, body)
        for crate, files in (("lethe", ("src/fuzzing.rs", "src/edge/fuzzing.rs", "src/edge/fuzzing/admission.rs")),
                             *((f"lethe_{each}", (f"{each}/src/fuzzing.rs",)) for each in ("envelope", "keys", "receipts")))
        for file in files
        for body in re.findall(r"^pub fn (\w+)\(", (REPOSITORY / file).read_text(), re.MULTILINE)
    }  # fmt: skip
    assert set(named.values()) == bodies
    assert all(target == body for target, (_, body) in named.items())
    assert set(re.findall(r'^name = "(\w+)"', (fuzz / "Cargo.toml").read_text(), re.MULTILINE)) == set(named)
    rows = [line for line in (fuzz / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])} == set(named)


def test_readme_names_its_two_commands_and_ci_runs_the_second():
    readme = (REPOSITORY / "README.md").read_text()
    first_block = readme.split("```")[1]
    assert [line.split("#")[0].strip() for line in first_block.splitlines()[1:] if line.strip()] == [
        "cargo run --release -- dev",
        "make test",
    ]
    assert "make test" in (REPOSITORY / ".ci/run").read_text()


@pytest.mark.parametrize("name", ("README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{d}" for d in DOCS)))
def test_links_within_the_repository_lead_somewhere(name):
    path = REPOSITORY / name
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
