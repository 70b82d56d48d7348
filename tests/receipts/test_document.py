"""The commands of docs/receipts.md §10 do what is said there, as they stand there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CASES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "receipts.md"


def block(language):
    section = DOCUMENT.read_text().split("## 10. Check it yourself with other tools")[1]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert len(found) == 1
    return found[0]


def run(folder, file, command, script):
    case = next(case for case in CASES if case.file == file)
    shutil.copy(case.receipt_path, folder / "receipt.json")
    shutil.copy(case.trust_path, folder / "trust.json")
    return subprocess.run(command, input=script, cwd=folder, capture_output=True, text=True)


def shell(folder, file):
    return run(folder, file, ["bash", "-euo", "pipefail"], block("sh"))


def python(folder, file):
    return run(folder, file, [sys.executable, "-"], block("python"))


@pytest.mark.parametrize("file", ["erased.receipt.json", "purged-after-a-rotation.receipt.json"])
def test_documented_openssl_commands_verify_a_good_receipt(tmp_path, file):
    ran = shell(tmp_path, file)
    assert ran.returncode == 0, ran.stderr
    assert "Signature Verified Successfully" in ran.stdout + ran.stderr


@pytest.mark.parametrize("file", ["altered-field.receipt.json", "signatures-swapped.receipt.json"])
def test_documented_openssl_commands_refuse_a_forged_receipt(tmp_path, file):
    assert shell(tmp_path, file).returncode != 0


@pytest.mark.parametrize("file", ["erased.receipt.json", "purged-after-a-rotation.receipt.json"])
def test_documented_python_verifies_a_good_receipt(tmp_path, file):
    ran = python(tmp_path, file)
    assert ran.returncode == 0, ran.stderr
    for sentence in ("signed by issuer", "in the log: ", "checkpoint signed by lethe/eu/", "checkpoint signed by witness-2"):
        assert ran.stdout.count(sentence) >= 2, ran.stdout


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("altered-field.receipt.json", "VerificationError"),
        ("proof-swapped.receipt.json", "InvalidProof"),
        ("proof-cut.receipt.json", "InvalidProof"),
        ("cosignature-redated.receipt.json", "InvalidSignature"),
        ("checkpoint-of-the-stage-before.receipt.json", "InvalidChallenge"),
        ("key-proofs-swapped.receipt.json", "InvalidProof"),
    ],
)
def test_documented_python_refuses_a_forged_receipt(tmp_path, file, error):
    ran = python(tmp_path, file)
    assert ran.returncode != 0, ran.stdout
    assert error in ran.stderr.splitlines()[-1], ran.stderr
