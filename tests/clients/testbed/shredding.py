"""Terminations and shreds as operators run them, and the load that other tenants put on meanwhile."""

import base64
import json
import os
import secrets
import subprocess
import threading
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from .installation import Installation
from .target import Gateway, binary

COMMAND_SECONDS = 120
# With a killed gateway's lease (30 s) twice, and what a loaded machine takes.
SHRED_SECONDS = 200
STAGES = ("revoked", "erased", "purged")


class Operator:
    """The commands of `lethe`, asked of a `lethe dev`."""

    def __init__(self, gateway: Gateway):
        self.gateway = gateway

    def run(self, *argv: str, output: str = "json") -> subprocess.CompletedProcess:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "RUST_BACKTRACE") if name in os.environ}
        done = subprocess.run([str(binary()), *argv, "-o", output, "--dev-dir", str(self.gateway.dir)], env=env,
                              cwd=self.gateway.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS, check=False)  # fmt: skip
        assert "panicked" not in done.stdout + done.stderr
        return done

    def works(self, *argv: str, output: str = "json") -> str:
        done = self.run(*argv, output=output)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *argv: str):
        return json.loads(self.works(*argv))

    def refused(self, *argv: str, code: int = 2) -> str:
        done = self.run(*argv)
        assert done.returncode == code, f"{argv}: {done.returncode} {done.stdout}{done.stderr}"
        assert done.stderr.splitlines()[-1].startswith("lethe: "), done.stderr
        return done.stderr

    def tenant(self, name: str, bucket: str, region: str = "eu-central-1") -> str:
        """Makes a tenant with a bucket, which `gateway.client(name)` then uses; answers its id."""
        made = self.json("tenant", "create", name, "--region", region)
        issued = self.json("credential", "create", name)
        self.gateway.use(name, region, issued["access_key_id"], issued["secret_access_key"])
        self.gateway.client(name).create_bucket(Bucket=bucket)
        return made["id"]


def receipt_stages(file: Path) -> list[str]:
    """The stages that a receipt file holds, in its order."""
    return [statement["predicate"]["stage"] for statement in statements(file)]


def statements(file: Path) -> list[dict]:
    """The statements in a receipt file."""
    receipts = json.loads(file.read_text())["receipts"]
    return [json.loads(base64.b64decode(receipt["envelope"]["payload"])) for receipt in receipts]


def wait_until_purged(status, tenant: str, seconds: float = SHRED_SECONDS) -> dict:
    """Polls `status` until the shred of a tenant is over; answers its row."""
    deadline = time.monotonic() + seconds
    while True:
        rows = [row for row in status() if tenant in row["tenants"]]
        if rows and rows[0]["state"] == "purged":
            return rows[0]
        assert time.monotonic() < deadline, f"not shredded within {seconds} s: {rows}"
        time.sleep(0.2)


class Load:
    """Reads, writes and lists in a loop, until its end; every error is kept."""

    def __init__(self, clients: dict, buckets: dict[str, str]):
        self.clients, self.buckets = clients, buckets
        self.errors: list[str] = []
        self.turns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._stop.is_set():
            for name, client in self.clients.items():
                content = f"{name} {self.turns}".encode() * 100
                where = {"Bucket": self.buckets[name], "Key": f"load-{self.turns % 20}"}
                try:
                    client.put_object(Body=content, **where)
                    read = client.get_object(**where)["Body"].read()
                    client.list_objects_v2(Bucket=where["Bucket"])
                    if read != content:
                        self.errors.append(f"{name}: read something else than was written")
                except (ClientError, BotoCoreError) as error:
                    self.errors.append(f"{name}: {error!r}")
            self.turns += 1


class Shredding(Installation):
    """An installation whose domain shreds: two approvers, carol and dave, log, signing keys and key backup."""

    def __init__(self, directory: Path, store=None, grace_days: int = 1, stores: str = "sqlite"):
        self.grace_days = grace_days
        super().__init__(directory, stores, store)

    def _configuration(self) -> str:
        for role in ("carol", "dave"):
            self.tokens[role] = self.directory / f"{role}-token"
            self.tokens[role].write_text(secrets.token_hex(16) + "\n")
        approvers = "".join(
            f'[[admin.principals]]\nname = "{name}"\nrole = "approver"\ntoken_sha256 = "{self.token_sha256(name)}"\n'
            for name in ("carol", "dave")
        )
        shredding = (
            'signing = { kind = "dir", path = "eu-signing" }\nlog = { kind = "dir", path = "eu-log" }\n'
            'key_backup = { kind = "dir", path = "eu-key-backup" }\n'
            f'shred = {{ grace_days = {self.grace_days}, window = "none", root_backup_days = 0 }}\n'
        )
        text = super()._configuration().replace("[gateway]\n", approvers + "\n[gateway]\n")
        return text.replace("lease_s = 30\n", "lease_s = 30\n" + shredding)
