"""The fixtures of the receipts crate, and random mutants of them."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import mutants
import pytest
import second_reader

RECEIPTS = Path(__file__).resolve().parents[2] / "receipts"
FIXTURES = RECEIPTS / "tests" / "fixtures"
PAGE = RECEIPTS / "verify.html"


@dataclass(frozen=True)
class Case:
    """A receipt file, a trust file, and what every verifier must answer."""

    file: str
    trust: str
    verdict: str
    check: str | None

    @property
    def receipt_path(self):
        return FIXTURES / self.file

    @property
    def trust_path(self):
        return FIXTURES / self.trust

    def receipts(self):
        return json.loads(self.receipt_path.read_bytes())

    def trusted(self):
        return json.loads(self.trust_path.read_bytes())

    def envelopes(self):
        return [receipt["envelope"] for receipt in self.receipts()["receipts"]]

    def public_keys(self, *roles):
        """keyid → the 32 bytes, of the trust file's keys in these roles."""
        trust = self.trusted()
        return {key["keyid"]: base64.b64decode(key["publicKey"]) for role in roles for key in trust[role]}


CASES = [Case(**each) for each in json.loads((FIXTURES / "expected.json").read_text())]
GOOD = [case for case in CASES if case.verdict != "invalid"]


def by_file(case):
    return case.file.removesuffix(".receipt.json")


def pytest_generate_tests(metafunc):
    for name, cases in (("case", CASES), ("good", GOOD)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, cases, ids=by_file)


@pytest.fixture(scope="session")
def mutant_folder(tmp_path_factory):
    """A folder of mutants; its index.json lists {receipt, trust}."""
    folder = tmp_path_factory.mktemp("mutants")
    index = []
    for name, receipt, trust in mutants.all_mutants(FIXTURES):
        pair = {"receipt": f"{name}.receipt.json", "trust": f"{name}.trust.json"}
        (folder / pair["receipt"]).write_bytes(receipt)
        (folder / pair["trust"]).write_bytes(trust)
        index.append(pair)
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def second_verdicts(mutant_folder):
    """What second_reader says about each pair of index.json: [(receipt's name, (verdict, check))]."""
    found = []
    for pair in json.loads((mutant_folder / "index.json").read_text()):
        receipt, trust = ((mutant_folder / pair[name]).read_bytes() for name in ("receipt", "trust"))
        found.append((pair["receipt"], second_reader.verify(receipt, trust).result()))
    return found


def disagreements(second_verdicts, others):
    """The mutants about which others say something else."""
    assert len(others) == len(second_verdicts)
    return [(name, ours, theirs) for (name, ours), theirs in zip(second_verdicts, others) if ours != theirs]
