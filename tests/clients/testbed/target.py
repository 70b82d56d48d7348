"""What a test talks to: an endpoint, its CA, and two tenants."""

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from .process import Child, free_port
from .seaweedfs import ADMIN, OTHER, SeaweedFS

REPOSITORY = Path(__file__).resolve().parents[3]
# With an S3 region the first start races hundreds of writes on it (`region check`).
READY_SECONDS = 180


@dataclass(frozen=True)
class Tenant:
    """One tenant's credential."""

    id: str
    region: str
    access_key_id: str
    secret_access_key: str


def binary() -> Path:
    """The gateway's binary: LETHE_BIN, or the debug build."""
    path = Path(os.environ.get("LETHE_BIN", REPOSITORY / "target/debug/lethe")).resolve()
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: run `cargo build`, or name the binary in LETHE_BIN")
    return path


class Target:
    """An S3 endpoint. `kind` is `embedded`, `seaweedfs` or `direct`; `store` is the SeaweedFS behind it, if any."""

    kind: str
    endpoint: str
    ca: Path | None
    tenants: dict[str, Tenant]
    store: SeaweedFS | None

    def __init__(self):
        self._clients = {}

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.endpoint.split("://")[1].rstrip("/").split(":")
        return host, int(port)

    def client(self, tenant: str = "acme", **config):
        """boto3's S3 client of a tenant; path-style and without retries, so that every answer is seen."""
        key = (tenant, tuple(sorted((name, str(value)) for name, value in config.items())))
        if key not in self._clients:
            who = self.tenants[tenant]
            settings = {
                "retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60,
                "s3": {"addressing_style": "path"}, "max_pool_connections": 32, "signature_version": "s3v4",
            } | config  # fmt: skip
            self._clients[key] = boto3.client(
                "s3", endpoint_url=self.endpoint, region_name=who.region, aws_access_key_id=who.access_key_id,
                aws_secret_access_key=who.secret_access_key, verify=str(self.ca) if self.ca else None,
                config=Config(**settings),
            )  # fmt: skip
        return self._clients[key]

    def environment(self, home: Path, tenant: str = "acme") -> dict[str, str]:
        """The environment of a command-line client: a tenant's credential, the CA, and nothing of the caller's."""
        who = self.tenants[tenant]
        env = {
            "PATH": f"{Path(os.sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home),
            "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": who.access_key_id, "AWS_SECRET_ACCESS_KEY": who.secret_access_key,
            "AWS_DEFAULT_REGION": who.region, "AWS_REGION": who.region, "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        if self.ca:
            env |= {"AWS_CA_BUNDLE": str(self.ca), "SSL_CERT_FILE": str(self.ca), "RCLONE_CA_CERT": str(self.ca)}
        return env

    def stop(self) -> None:
        raise NotImplementedError


class Direct(Target):
    """Plain SeaweedFS: shows that a test is right about S3 before the gateway is judged by it."""

    kind = "direct"

    def __init__(self, directory: Path):
        super().__init__()
        self.store = SeaweedFS(directory / "seaweedfs")
        self.endpoint, self.ca = self.store.endpoint, None
        self.tenants = {
            "acme": Tenant("acme", "us-east-1", *ADMIN),
            "globex": Tenant("globex", "us-east-1", *OTHER),
        }

    def stop(self) -> None:
        self.store.stop()


class Gateway(Target):
    """`lethe dev` in a directory of its own, on embedded regions or on SeaweedFS."""

    def __init__(self, directory: Path, kind: str, log_level: str | None = None, settings: str = ""):
        """`settings` are sections of a configuration file for `lethe dev`."""
        super().__init__()
        self.kind = kind
        self.log_level = log_level
        self.settings = settings
        self.binary = binary()
        self.directory = directory
        self.dir = directory / "lethe"
        directory.mkdir(parents=True, exist_ok=True)
        self.store = SeaweedFS(directory / "seaweedfs") if kind == "seaweedfs" else None
        self.listen = {"s3": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
        self.child: Child
        self.start()

    def start(self) -> None:
        """Starts the gateway on the same directory and ports as before, and waits until it is ready."""
        argv = [
            str(self.binary), "dev", "--dir", str(self.dir),
            "--s3-listen", self.listen["s3"], "--admin-listen", self.listen["admin"],
        ]  # fmt: skip
        if self.store or self.settings:
            path = self.directory / "dev.toml"
            path.write_text(self.settings + (self._upstream_regions() if self.store else self._embedded_regions()))
            argv += ["--config", str(path)]
        described = self.dir / "dev.json"
        described.unlink(missing_ok=True)
        env = {name: os.environ[name] for name in ("PATH", "HOME", "RUST_BACKTRACE") if name in os.environ}
        if self.log_level:
            env["LETHE_LOG_LEVEL"] = self.log_level
        self.child = Child(argv, self.directory, "lethe", env)
        try:
            self.child.wait_until(lambda: self._read(described), "dev.json", READY_SECONDS)
            self.child.wait_until(self._is_ready, "a 200 from /readyz", READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def _embedded_regions(self) -> str:
        return "".join(
            f'[regions.{name}]\ndomain = "{domain}"\nbackend = {{ kind = "embedded", path = "{self.dir / "regions" / name}" }}\n'
            for name, domain in (("eu-central-1", "eu"), ("us-east-1", "us"))
        )

    def _upstream_regions(self) -> str:
        credentials = self.directory / "upstream-credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
        )
        credentials.chmod(0o600)
        # No test reads the pair: embedded, it costs no check.
        text = (
            '[regions.eu-west-3]\ndomain = "eu"\npair = "eu-central-1"\n'
            f'backend = {{ kind = "embedded", path = "{self.dir / "regions/eu-west-3"}" }}\n'
        )
        for name, domain, pair in (("eu-central-1", "eu", "eu-west-3"), ("us-east-1", "us", None)):
            text += f'[regions.{name}]\ndomain = "{domain}"\n' + (f'pair = "{pair}"\n' if pair else "")
            text += (
                f'backend = {{ kind = "s3", endpoint = "{self.store.endpoint}", region = "us-east-1", '
                f'bucket_prefix = "{name.replace("-", "")}", credentials_file = "{credentials}", '
                "allow_plain_http = true, lifecycle = true }\n"
            )
        return text

    def _read(self, described: Path) -> bool:
        try:
            facts = json.loads(described.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        self.endpoint = facts["s3_endpoint"].rstrip("/")
        self.admin_endpoint = facts["admin_endpoint"].rstrip("/")
        self.admin_token = facts["admin_token"]
        self.ca = (self.dir / facts["ca_cert"]).resolve()
        self.tenants = {
            t["id"]: Tenant(t["id"], t["region"], t["access_key_id"], t["secret_access_key"]) for t in facts["tenants"]
        }
        self._clients = {}
        return True

    def _is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca)) if self.admin_endpoint.startswith("https") else None
        try:
            with urllib.request.urlopen(f"{self.admin_endpoint}/readyz", timeout=5, context=context) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def use(self, label: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        """Makes `client(label)` one that has this credential, until the next start."""
        self.tenants[label] = Tenant(label, region, access_key_id, secret_access_key)
        self._clients = {key: client for key, client in self._clients.items() if key[0] != label}

    def kill_and_restart(self) -> None:
        """kill -9, then a start on the same directory."""
        self.child.kill()
        self.start()

    def log(self) -> bytes:
        return self.child.stdout.read_bytes() + self.child.stderr.read_bytes()

    def stop(self) -> None:
        self.child.stop()
        if self.store:
            self.store.stop()


def start(kind: str, directory: Path) -> Target:
    """Starts a target of a kind."""
    started = time.monotonic()
    target = Direct(directory) if kind == "direct" else Gateway(directory, kind)
    print(f"{kind} ready after {time.monotonic() - started:.1f} s at {target.endpoint}")
    return target
