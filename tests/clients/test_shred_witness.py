"""The log's witnesses, end to end: set up as docs/operations.md says, killed, hanging, lied to, and restored logs shown to them."""

import base64
import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from test_serve import eventually, issue, refusal
from testbed.certificates import Authority
from testbed.installation import REGION, Serving
from testbed.process import free_port
from testbed.seaweedfs import SeaweedFS
from testbed.shredding import STAGES, Shredding, receipt_stages, wait_until_purged
from testbed.target import REPOSITORY
from testbed.witness import Hanging, Witness, run_script, signed_checkpoint, signing_key, size_of

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("witnesses"), pytest.mark.timeout(500)]

NAMES = ("victim", "second", "third", "survivor")
# A gateway's lease in these tests, and what a loaded machine takes.
BACK_SECONDS = 90


def walk_through(language: str) -> list[str]:
    """The blocks of the set-up in docs/operations.md, in their order."""
    section = (REPOSITORY / "docs/operations.md").read_text().split("### Two witnesses, step by step\n")[1].split("\n### ")[0]
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    return ["\n".join(line.strip() for line in block.splitlines()) for block in found]


@dataclass
class Site:
    """A domain with two gateways and two witnesses, both of which must cosign."""

    made: Shredding
    here: Serving
    there: Serving
    witnesses: list[Witness]
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.made.directory / "eu-log"

    @property
    def keys(self) -> Path:
        return self.made.directory / "eu-keys"

    @property
    def origin(self) -> str:
        return (self.log / "checkpoint").read_text().split("\n")[0]

    def operator(self) -> dict[str, str]:
        """What the shell of the gateways' operator has set."""
        return {"LETHE_ADMIN_ENDPOINT": self.here.admin_endpoint, "LETHE_ADMIN_CA": str(self.made.ca),
                "LETHE_ADMIN_TOKEN_FILE": str(self.made.tokens["operator"])}  # fmt: skip

    def shred(self, name: str) -> None:
        """Terminates a tenant, approves it twice, and waits until everything of it is gone."""
        made = self.made
        made.json("tenant", "terminate", name, gateway=self.here)
        for role in ("carol", "dave"):
            done = made.run("tenant", "approve", name, gateway=self.here, role=role)
            assert done.returncode == 0, done.stderr
        wait_until_purged(lambda: made.json("shred", "status", gateway=self.here), self.ids[name])

    def verify(self, name: str) -> tuple[int, dict]:
        """A tenant's receipt as of now: exit code and report of the verification."""
        receipt, trust = self.made.directory / f"{name}.receipt.json", self.made.directory / "trust.json"
        for argv in (("receipt", "get", name, "--to", str(receipt)), ("receipt", "trust", "eu", "--to", str(trust))):
            done = self.made.run(*argv, gateway=self.here)
            assert done.returncode == 0, done.stderr
        assert receipt_stages(receipt) == list(STAGES)
        done = self.made.run("receipt", "verify", str(receipt), "--trust", str(trust))
        return done.returncode, json.loads(done.stdout)

    def log_verify(self, *argv: str, gateway: Serving | None = None) -> tuple[int, dict[str, dict], str]:
        """Exit code, checks by name, and what was said of `lethe log verify`."""
        done = self.made.run("log", "verify", *argv, gateway=gateway)
        report = json.loads(done.stdout) if done.stdout else {"checks": []}
        return done.returncode, {check["name"]: check for check in report["checks"]}, done.stderr

    def cosigned_by_all(self) -> bool:
        text = (self.log / "checkpoint").read_text()
        return all(witness.newest(self.origin).startswith(text.split("\n\n")[0]) for witness in self.witnesses)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Follows the set-up of docs/operations.md on a domain that serves already."""
    directory = tmp_path_factory.mktemp("shred-witness")
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    made = Shredding(directory / "site", store, grace_days=0)
    running = Site(made, None, None, [])
    try:
        made.first = made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        running.here = made.serve()
        show_key, make_key, run_witness, *_ = walk_through("sh")
        run_script(show_key, made.directory, running.operator())
        (section,) = walk_through("toml")
        for number, name in ((1, "w1"), (2, "w2")):
            place, written, port = directory / name, f"127.0.0.1:945{number}", free_port()
            place.mkdir()
            shutil.copy(made.directory / "log.pub", place)
            run_script(make_key.replace("w1", name), place)
            script = run_witness.replace("w1", name).replace("127.0.0.1:9451", f"127.0.0.1:{port}")
            running.witnesses.append(Witness(place, name, port, script))
            assert written in section and f"W{number}.PUB" in section
            section = section.replace(written, f"127.0.0.1:{port}")
            section = section.replace(f"W{number}.PUB", (place / f"{name}.pub").read_text().strip())
        for witness in running.witnesses:
            witness.start()
        running.here.stop()
        made.file.write_text(made.file.read_text().replace("lease_s = 30\n", f"lease_s = 30\n{section}\n"))
        running.here.start()
        changes = [(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in made.ports]
        running.there = made.serve(made.changed("there.toml", *changes))
        for name in NAMES:
            running.ids[name] = made.json("tenant", "create", name, "--region", REGION, gateway=running.here)["id"]
            issue(made, running.here, name, name)
            running.here.client(name).create_bucket(Bucket=f"{name}-docs")
            running.here.client(name).put_object(Bucket=f"{name}-docs", Key="words", Body=name.encode() * 1000)
        yield running
    finally:
        for witness in running.witnesses:
            witness.stop()
        made.stop()
        store.stop()


def test_setup_as_written_works(site):
    """The last blocks of the set-up; those before are the fixture."""
    assert (site.made.directory / "log.pub").read_text().strip() == site.made.first["log_key"]
    look, check = walk_through("sh")[3:]
    said = run_script(look, site.made.directory)
    for name in ("w1", "w2"):
        assert f"domain eu: witness witness.example/{name}" in said, said
    eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
    run_script(check, site.made.directory, site.operator())
    second = site.witnesses[1]
    second.stop()
    said = site.made.refused("doctor", "--config", "lethe.toml", code=2)
    assert "1 of" in said, said
    second.start()


def test_shred_under_two_witnesses_is_verified_in_every_stage(site):
    site.shred("victim")
    eventually(lambda: site.verify("victim")[0] == 0, "a complete receipt", BACK_SECONDS)
    code, report = site.verify("victim")
    assert (code, report["verdict"]) == (0, "verified")
    assert {check["outcome"] for check in report["checks"]} == {"ok"}
    for name in ("cosignatures", "witnessed-time", "statement-logged"):
        assert [check["receipt"] for check in report["checks"] if check["name"] == name] == [0, 1, 2], name
    receipts = json.loads((site.made.directory / "victim.receipt.json").read_text())["receipts"]
    for receipt in receipts:
        for name in ("w1", "w2"):
            assert f"— witness.example/{name} " in receipt["logged"]["checkpoint"]
    trust = json.loads((site.made.directory / "trust.json").read_text())
    assert trust["witnessThreshold"] == 2 and len(trust["witnesses"]) == 2


def test_receipts_with_a_witness_down_are_incomplete_and_complete_when_it_is_back(site):
    made, second = site.made, site.witnesses[1]
    before = made.json("receipt", "trust", "eu", gateway=site.here)["issuers"][-1]["keyid"]
    done = made.run("receipt", "trust", "eu", "--rotate", gateway=site.there)
    assert done.returncode == 0, done.stderr
    site.there.stop()
    held = second.newest(site.origin)
    second.kill()
    site.shred("second")
    eventually(lambda: names(site.verify("second")[1], "missing") == {"cosignatures"}, "the receipts in the log", BACK_SECONDS)
    code, report = site.verify("second")
    assert (code, report["verdict"]) == (4, "incomplete")
    assert names(report, "failed") == set()
    second.start()
    assert size_of(second.newest(site.origin)) >= size_of(held), "a kill loses nothing of what it signed"
    eventually(lambda: site.verify("second")[0] == 0, "a complete receipt", BACK_SECONDS)
    assert names(site.verify("second")[1], "missing") == set()
    # The key was rotated at the other gateway, while this one ran.
    receipts = json.loads((made.directory / "second.receipt.json").read_text())["receipts"]
    signers = {receipt["envelope"]["signatures"][0]["keyid"] for receipt in receipts}
    issuers = json.loads((made.directory / "trust.json").read_text())["issuers"]
    assert len(issuers) == 2 and issuers[0]["keyid"] == before and signers == {issuers[1]["keyid"]}
    site.there.start()


def names(report: dict, outcome: str) -> set[str]:
    return {check["name"] for check in report["checks"] if check["outcome"] == outcome}


def test_witness_that_hangs_stops_neither_shreds_nor_new_keys(site):
    second = site.witnesses[1]
    second.stop()
    hanging = Hanging(second.port)
    try:
        site.shred("third")
        site.made.json("tenant", "create", "later", "--region", REGION, gateway=site.here)
        assert site.verify("third")[0] == 4
        assert hanging.asked > 0
    finally:
        hanging.stop()
    second.start()
    eventually(lambda: site.verify("third")[0] == 0, "a complete receipt", BACK_SECONDS)


def test_killed_witness_remembers_and_signs_no_fork(site):
    """Shown by somebody who has the log's own key."""
    first, origin = site.witnesses[0], site.origin
    eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
    (file,) = (site.made.directory / "eu-signing").glob("log-*.key")
    key, held = signing_key(file), first.newest(origin)
    size = size_of(held)
    for restarted in (False, True):
        if restarted:
            first.kill()
            first.start()
        assert first.newest(origin) == held
        other = hashlib.sha256(b"another tree").digest()
        smaller = signed_checkpoint(origin, size - 1, other, key)
        assert first.add(0, [], signed_checkpoint(origin, size, other, key))[0] == 409
        assert first.add(size, [], signed_checkpoint(origin, size, other, key))[0] == 409
        assert first.add(size - 1, [], smaller) == (409, f"{size}\n")
        assert first.add(size, [], smaller)[0] == 400
        assert first.add(size, [other] * 3, signed_checkpoint(origin, size + 4, other, key))[0] == 422
        stranger = Ed25519PrivateKey.generate()
        assert first.add(size, [other], signed_checkpoint(origin, size + 1, other, stranger))[0] == 403
        assert first.add(0, [], signed_checkpoint("lethe/us/0123456789abcdef", 1, other, key))[0] == 404
        assert first.newest(origin) == held
    # What it did sign it signs again.
    status, line = first.add(size, [], held)
    assert status == 200 and line.startswith("— witness.example/w1 ")


# `lethe log verify`.


@pytest.fixture
def copied(site, tmp_path):
    """A copy of the log that is cosigned by all, with the trust file."""
    eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
    done = site.made.run("receipt", "trust", "eu", "--to", "trust.json", gateway=site.here)
    assert done.returncode == 0, done.stderr

    def same() -> bool:
        return len({(site.log / name).read_text().split("\n\n")[0] for name in ("checkpoint", "cosigned")}) == 1

    eventually(same, "the stored cosignatures", BACK_SECONDS)
    return Path(shutil.copytree(site.log, tmp_path / "log"))


def test_log_verify_of_a_good_log_holds_from_everywhere(site, copied):
    by_config = ("--domain", "eu", "--config", "lethe.toml")
    for source, gateway in ((("--dir", str(copied)), None), (by_config, None), (("--domain", "eu"), site.there)):
        code, checks, said = site.log_verify(*source, "--trust", "trust.json", gateway=gateway)
        assert code == 0, said
        assert {check["outcome"] for check in checks.values()} == {"ok"}
    public = (site.made.directory / "log.pub").read_text().strip()
    code, checks, said = site.log_verify("--dir", str(copied), "--log-key", public)
    assert code == 0, "without a witness's key no cosignature is asked for"
    code, checks, said = site.log_verify("--dir", str(copied))
    assert code == 4 and checks["checkpoint"]["outcome"] == "missing", said
    assert site.log_verify("--dir", str(copied), "--log-key", public, "--witness-threshold", "1")[0] == 1


def widest(copied: Path, kind: str) -> Path:
    """The only bundle or lowest tile of a small log: of its partial ones the widest."""
    return max((copied / "tile" / kind / "000.p").iterdir(), key=lambda file: int(file.name))


def flip_a_byte(copied: Path) -> None:
    tile = widest(copied, "0")
    content = bytearray(tile.read_bytes())
    content[5] ^= 1
    tile.write_bytes(content)


def cut_an_entry(copied: Path) -> None:
    bundle = widest(copied, "entries")
    bundle.write_bytes(bundle.read_bytes()[:-1])


def sign_with_another_key(copied: Path) -> None:
    origin, size, root = (copied / "checkpoint").read_text().split("\n")[:3]
    forged = signed_checkpoint(origin, int(size), base64.b64decode(root), Ed25519PrivateKey.generate())
    (copied / "checkpoint").write_text(forged)


def drop_a_cosignature(copied: Path) -> None:
    lines = (copied / "cosigned").read_text().splitlines(keepends=True)
    (copied / "cosigned").write_text("".join(line for line in lines if not line.startswith("— witness.example/w2 ")))


DAMAGES = [
    (flip_a_byte, 3, "tiles", "is not what its entries make"),
    (lambda copied: widest(copied, "0").unlink(), 3, "tiles", "is missing"),
    (cut_an_entry, 3, "tiles", "is missing or malformed: the walk ends there"),
    (sign_with_another_key, 3, "checkpoint", "not signed by a known key"),
    (drop_a_cosignature, 4, "cosigned", "1 known witnesses cosigned the tree"),
    (lambda copied: (copied / "cosigned").unlink(), 4, "cosigned", "there is no cosigned checkpoint"),
    (lambda copied: (copied / "checkpoint").unlink(), 3, "checkpoint", "there is no checkpoint"),
    (lambda copied: next((copied / "statements").iterdir()).write_text("{}"), 3, "statements", "statement "),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=["flipped byte", "missing tile", "cut entry", "another key", "one cosignature less",
                                                 "no cosignatures", "no checkpoint", "statement altered"])  # fmt: skip
def test_log_verify_of_a_damaged_log_says_what_and_fails(site, copied, damage):
    do, code, name, detail = damage
    do(copied)
    found, checks, said = site.log_verify("--dir", str(copied), "--trust", "trust.json")
    assert found == code, said
    assert checks[name]["outcome"] == ("failed" if code == 3 else "missing") and detail in checks[name]["detail"], checks
    assert name in said and detail in said


def test_log_verify_of_a_log_rolled_back_says_so(site, copied):
    """An earlier state of the log is whole in itself: what somebody kept of later tells."""
    newer = copied.parent / "kept"
    shutil.copy(copied / "checkpoint", newer)
    origin, size, _ = newer.read_text().split("\n")[:3]
    (file,) = (site.made.directory / "eu-signing").glob("log-*.key")
    earlier = json.loads((site.made.directory / "victim.receipt.json").read_text())["receipts"][0]["logged"]["checkpoint"]
    body, lines = earlier.split("\n\n")
    assert size_of(earlier) < int(size) and body.startswith(origin)
    own = [line for line in lines.splitlines() if line.startswith(f"— {origin} ")]
    (copied / "checkpoint").write_text(f"{body}\n\n{own[0]}\n")
    code, checks, _ = site.log_verify("--dir", str(copied), "--trust", "trust.json")
    assert code == 3 and "was rolled back" in checks["consistent with the cosigned checkpoint"]["detail"]
    (copied / "cosigned").unlink()
    code, checks, said = site.log_verify("--dir", str(copied), "--trust", "trust.json", "--seen", str(newer))
    seen = checks[f"consistent with {newer}"]
    assert code == 3 and seen["outcome"] == "failed" and "was rolled back" in seen["detail"], said
    forked = signed_checkpoint(origin, 2, hashlib.sha256(b"another tree").digest(), signing_key(file))
    newer.write_text(forked)
    code, checks, said = site.log_verify("--dir", str(copied), "--trust", "trust.json", "--seen", str(newer))
    assert code == 3 and "are not the beginning of the log" in checks[f"consistent with {newer}"]["detail"], said


# Restored stores. These stop the gateways that all tests above use, so they stay below them.


@contextmanager
def replaced(place: Path, by: Path | None):
    """Another directory, or none, in the place of one, for a while."""
    aside = place.with_name(place.name + "-aside")
    place.rename(aside)
    if by:
        shutil.copytree(by, place)
    try:
        yield
    finally:
        if place.exists():
            shutil.rmtree(place)
        aside.rename(place)


@pytest.fixture(scope="module")
def early(site):
    """Copies of log and key store from before one more tenant, with both gateways stopped and everything cosigned."""
    for gateway in (site.there, site.here):
        gateway.stop()
    kept = {name: site.made.directory.parent / f"early-{name}" for name in ("log", "keys")}
    shutil.copytree(site.log, kept["log"])
    shutil.copytree(site.keys, kept["keys"])
    site.here.start()
    kept["backup"] = site.made.json("key-store", "backup", "eu", gateway=site.here)["file"]
    site.made.json("tenant", "create", "newest", "--region", REGION, gateway=site.here)
    eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
    site.here.stop()
    return kept


def data_only(site) -> Path:
    """A configuration of a gateway that serves data, and has no secret key of the log."""
    published = site.made.directory / "published"
    if not published.exists():
        published.mkdir()
        shutil.copy(site.made.directory / "eu-signing/signing.json", published)
    return site.made.changed("data.toml", ("[gateway]\n", '[gateway]\nroles = ["data"]\n'),
                             ('path = "eu-signing"', 'path = "published"'))  # fmt: skip


def serves(site, file: Path) -> str:
    """Starts a gateway, reads through it and stops it; answers what it logged."""
    gateway = site.made.serve(file)
    try:
        gateway.tenants = site.here.tenants
        read = gateway.client("survivor").get_object(Bucket="survivor-docs", Key="words")["Body"].read()
        assert read == b"survivor" * 1000
        return gateway.log()
    finally:
        gateway.stop()


def is_refused(site, file: Path) -> str:
    return site.made.refused("serve", "--config", str(file), code=2)


def test_data_gateway_compares_an_old_key_store_with_the_log(site, early):
    file = data_only(site)
    (file.parent / "published/signing.json").chmod(0o600)
    serves(site, file)
    with replaced(site.keys, early["keys"]):
        said = is_refused(site, file)
        assert "entries of the log" in said and "an older copy was restored" in said, said


def test_data_gateway_without_the_log_compares_with_its_witnesses(site, early):
    file = data_only(site)
    with replaced(site.log, None):
        assert "compared with its witnesses alone" in serves(site, file)
        with replaced(site.keys, early["keys"]):
            said = is_refused(site, file)
            assert "an older copy was restored" in said, said
        said = is_refused(site, site.made.file)
        assert "it has no checkpoint" in said and "bring log and witnesses back" in said, "one that grows the log needs it"
        for witness in site.witnesses:
            witness.stop()
        said = is_refused(site, file)
        assert "it has no checkpoint" in said and "bring log and witnesses back" in said, said
    # The log alone is enough, with a warning.
    assert "could not be asked for the newest checkpoint" in serves(site, file)
    for witness in site.witnesses:
        witness.start()


def test_gateway_with_a_log_that_was_rolled_back_is_refused(site, early):
    with replaced(site.log, early["log"]):
        for file in (site.made.file, data_only(site)):
            said = is_refused(site, file)
            assert "the key store knows" in said and "it was rolled back" in said, said
        with replaced(site.keys, early["keys"]):
            for file in (site.made.file, data_only(site)):
                said = is_refused(site, file)
                assert "a witness has seen" in said and "it was rolled back" in said, said


def test_doctor_counts_what_no_backup_holds(site, early):
    done = site.made.run("doctor", "--config", "lethe.toml")
    assert done.returncode == 0, done.stderr
    (backup,) = [one for one in json.loads(done.stdout) if one["subject"] == "domain eu: key backup"]
    assert backup["ok"] and "1 KEKs, newer than the newest backup" in backup["problem"], "the tenant that was made since"


def test_lost_log_is_written_again_by_the_command_that_the_refusal_names(site, early):
    """Key store and catalog remember every entry: the same tree head comes back, and what was proven and cosigned before still holds."""
    command = "lethe log rebuild --domain eu"
    rebuild = (*command.split()[1:], "--config", "lethe.toml")
    checkpoint = (site.log / "checkpoint").read_bytes()
    statements = {file.name: file.read_bytes() for file in (site.log / "statements").iterdir()}
    with replaced(site.log, None):
        assert command in is_refused(site, site.made.file)
        with replaced(site.keys, early["keys"]):
            said = site.made.refused(*rebuild, code=2)
            assert "the key store does not know entry" in said, said
            assert not (site.log / "checkpoint").exists()
        site.witnesses[0].stop()
        said = site.made.refused(*rebuild, code=2)
        assert "witness.example/w1" in said and "--without-silent-witnesses" in said, said
        made = site.made.json(*rebuild, "--without-silent-witnesses")
        assert made["witnesses_asked"] == 1
        site.witnesses[0].start()
        made = site.made.json(*rebuild)
        assert made["was_there"] and made["witnesses_asked"] == 2
        assert made["entries"] == size_of(checkpoint.decode()) and made["statements"] == len(statements)
        assert (site.log / "checkpoint").read_bytes() == checkpoint
        assert {file.name: file.read_bytes() for file in (site.log / "statements").iterdir()} == statements
        site.here.start()
        eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
        code, report = site.verify("victim")
        assert code == 0, report
        code, checks, said = site.log_verify("--domain", "eu", "--config", "lethe.toml", "--trust", "trust.json")
        assert code == 0, said
        site.here.stop()


def test_backup_is_not_restored_while_the_log_is_gone(site, early):
    restore = ("key-store", "restore", "eu", early["backup"], "--config", "lethe.toml")
    with replaced(site.keys, None):
        said = site.made.refused(*restore, code=2)
        assert "an older copy" in said, "a tenant was made since"
        with replaced(site.log, None):
            said = site.made.refused(*restore, code=2)
            assert "a witness has seen" in said and "its store holds 0" in said, said
            for witness in site.witnesses:
                witness.stop()
            said = site.made.refused(*restore, code=2)
            assert "the log has no checkpoint" in said and "--accept-behind" in said, said
    for witness in site.witnesses:
        witness.start()


def test_log_that_was_rolled_back_and_grown_otherwise_is_refused_by_its_witnesses(site, early):
    held = [witness.newest(site.origin) for witness in site.witnesses]
    for witness in site.witnesses:
        witness.stop()
    with replaced(site.log, early["log"]), replaced(site.keys, early["keys"]):
        # While every witness is away nothing contradicts it.
        site.here.start()
        for name in ("forked", "forked-too"):
            site.made.json("tenant", "create", name, "--region", REGION, gateway=site.here)
        assert size_of((site.log / "checkpoint").read_text()) > size_of(held[0])
        for witness in site.witnesses:
            witness.start()
        refused = "a witness refuses the log: it was rolled back or forked"
        eventually(lambda: all(any(refused in line and name in line for line in site.here.log().splitlines())
                               for name in ("witness.example/w1", "witness.example/w2")), "the refusals in the log", BACK_SECONDS)  # fmt: skip
        assert [witness.newest(site.origin) for witness in site.witnesses] == held
        assert not re.search("^— witness", (site.log / "cosigned").read_text(), re.MULTILINE) or (
            size_of((site.log / "cosigned").read_text()) < size_of((site.log / "checkpoint").read_text())
        )
        site.here.stop()
        for file in (site.made.file, data_only(site)):
            said = is_refused(site, file)
            assert "has seen another log of the same name" in said, said
    site.here.start()
    assert refusal(lambda: site.here.client("survivor").head_bucket(Bucket="survivor-docs")) is None
    eventually(site.cosigned_by_all, "cosignatures of all", BACK_SECONDS)
