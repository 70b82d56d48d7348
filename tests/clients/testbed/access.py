"""Credentials that may do only some things, made by the gateway's own commands."""

import json
import os
import subprocess
from pathlib import Path

from .target import Gateway, binary

COMMAND_SECONDS = 120


def lethe(target: Gateway, *argv: str, succeeds: bool | None = True) -> subprocess.CompletedProcess:
    """Runs a command on a development gateway."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "RUST_BACKTRACE") if name in os.environ}
    env["LETHE_DEV_DIR"] = str(target.dir)
    done = subprocess.run([str(binary()), *argv, "-o", "json"], cwd=Path(target.directory), stdin=subprocess.DEVNULL, env=env,
                          capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)  # fmt: skip
    assert succeeds is None or (done.returncode == 0) == succeeds, f"{argv}: {done.stdout}{done.stderr}"
    assert "panicked" not in done.stderr
    return done


def grant(allow: str | None = None, *scope: str, expires: str | None = None) -> list[str]:
    """The flags that name a grant."""
    flags = [] if allow is None else ["--allow", allow]
    for entry in scope:
        flags += ["--scope", entry]
    return flags if expires is None else [*flags, "--expires", expires]


def issue(target: Gateway, label: str, allow: str | None = None, *scope: str, tenant: str = "acme",
          expires: str | None = None) -> str:  # fmt: skip
    """Makes a credential that `client(label)` uses; its access-key id."""
    done = lethe(target, "credential", "create", tenant, *grant(allow, *scope, expires=expires))
    issued = json.loads(done.stdout)
    target.use(label, target.tenants[tenant].region, issued["access_key_id"], issued["secret_access_key"])
    return issued["access_key_id"]


def update(target: Gateway, access_key_id: str, *flags: str, tenant: str = "acme") -> dict:
    """Changes what a credential may do."""
    return json.loads(lethe(target, "credential", "update", tenant, access_key_id, *flags).stdout)
