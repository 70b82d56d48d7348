"""The two things that are measured: SeaweedFS alone, and Lethe on a SeaweedFS, each with the suite's three accounts."""

import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boto3
from testbed.certificates import Authority
from testbed.seaweedfs import ACTIONS, SeaweedFS
from testbed.target import Gateway

from .suites import Account

ACCOUNTS = ("main", "alt", "tenant")
COMMAND_SECONDS = 120


@dataclass
class Store:
    """A running store."""

    name: str
    address: tuple[str, int]
    ca: Path
    location: str
    accounts: dict[str, Account]
    servers: list

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def direct(directory: Path) -> Store:
    """SeaweedFS alone, over TLS as Lethe is: clients sign and send bodies otherwise without."""
    accounts = {
        name: Account(f"{name}-id", f"{name} account", f"{name}accesskey", secrets.token_hex(16)) for name in ACCOUNTS
    }
    identities = [
        {
            "name": name, "actions": ACTIONS, "credentials": [{"accessKey": a.access_key, "secretKey": a.secret_key}],
            "account": {"id": a.user_id, "displayName": a.display_name, "emailAddress": f"{name}@example.com"},
        }
        for name, a in accounts.items()
    ]  # fmt: skip
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "ca"), identities)
    return Store("direct", ("127.0.0.1", store.ports["s3"]), store.ca, "us-east-1", accounts, [store])


def lethe(directory: Path, region_kind: str) -> Store:
    """Lethe with its regions on a SeaweedFS, or embedded; `alt` and `tenant` are tenants beside the first one."""
    gateway = Gateway(directory, region_kind)
    try:
        first = gateway.tenants["acme"]
        keys = {"main": (first.access_key_id, first.secret_access_key)}
        for name in ACCOUNTS[1:]:
            command(gateway, "tenant", "create", f"conformance-{name}", "--region", first.region)
            made = command(gateway, "credential", "create", f"conformance-{name}")
            keys[name] = (made["access_key_id"], made["secret_access_key"])
        accounts = {name: named(gateway, *pair) for name, pair in keys.items()}
    except BaseException:
        gateway.stop()
        raise
    return Store("lethe", gateway.address, gateway.ca, first.region, accounts, [gateway])


def command(gateway: Gateway, *argv: str) -> dict:
    """What a `lethe` command that succeeds prints."""
    done = subprocess.run([str(gateway.binary), *argv, "--dev-dir", str(gateway.dir), "-o", "json"], capture_output=True,
                          text=True, timeout=COMMAND_SECONDS, check=False)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"lethe {argv} failed: {done.stderr}")
    return json.loads(done.stdout)


def named(gateway: Gateway, access_key: str, secret_key: str) -> Account:
    """The account behind a key, by the owner that listings name."""
    client = boto3.client("s3", endpoint_url=gateway.endpoint, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
                          verify=str(gateway.ca), region_name="us-east-1")  # fmt: skip
    owner = client.list_buckets()["Owner"]
    return Account(owner["ID"], owner.get("DisplayName", ""), access_key, secret_key)
