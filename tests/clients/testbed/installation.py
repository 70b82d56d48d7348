"""Lethe as a platform team runs it: a `lethe.toml`, the stores that it names, and the commands on it."""

import hashlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from .certificates import Authority
from .postgres import PASSWORD, Postgres
from .process import Child, free_port
from .seaweedfs import ADMIN, SeaweedFS
from .target import Target, Tenant, binary

COMMAND_SECONDS = 240
READY_SECONDS = 60
REGION = "eu-central-1"

CONFIGURATION = """\
[s3]
listen = "127.0.0.1:S3_PORT"
tls = { cert = "s3.pem", key = "s3-key.pem" }

[admin]
listen = "127.0.0.1:ADMIN_PORT"
tls = { cert = "admin.pem", key = "admin-key.pem" }

[[admin.principals]]
name = "alice"
role = "operator"
token_sha256 = "OPERATOR"

[[admin.principals]]
name = "bob"
role = "auditor"
token_sha256 = "AUDITOR"

[gateway]
serves = ["eu-central-1"]

[directory]
DIRECTORY

[domains.eu]
jurisdiction = "EU"
public_endpoint = "https://127.0.0.1:S3_PORT"
DOMAIN_STORES
root = { kind = "file", path = "ROOT" }
lease_s = 30

[regions.eu-central-1]
domain = "eu"
pair = "eu-west-3"
backend = BACKEND

[regions.eu-west-3]
domain = "eu"

[limits]
drain_deadline_s = 20
"""


class Installation:
    """One domain `eu` with one region, `eu-central-1`, and up to two gateways on it.

    `stores` is `sqlite` or `postgres` (catalog and directory on one server, the key store on another); with a SeaweedFS
    the region is that, over TLS, else an embedded one.
    """

    def __init__(self, directory: Path, stores: str, store: SeaweedFS | None = None):
        self.directory, self.stores, self.store = directory, stores, store
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / "lethe.toml"
        self.gateways: list[Serving] = []
        self.servers: list[Postgres] = []
        self.tokens = {}
        for role in ("operator", "auditor"):
            self.tokens[role] = directory / f"{role}-token"
            self.tokens[role].write_text(secrets.token_hex(16) + "\n")
        # The root must not lie on the key store's volume, and /dev/shm is another one everywhere.
        self.root = Path(tempfile.mkdtemp(prefix="lethe-root-", dir="/dev/shm"))
        self.authority = Authority(directory / "ca")
        self.ca = self.authority.certificate
        self.ports = (free_port(), free_port())
        try:
            self.file.write_text(self._configuration())
        except BaseException:
            self.stop()
            raise
        for name in ("s3", "admin"):
            self.authority.issue(directory, name)

    def _configuration(self) -> str:
        if self.stores == "postgres":
            self.servers = [Postgres("catalog"), Postgres("keys")]
            (self.directory / "password").write_text(PASSWORD + "\n")
            directory = f'url = "{self.servers[0].url}"\npassword_file = "password"'
            stores = (
                f'catalog = "{self.servers[0].url}"\ncatalog_password_file = "password"\n'
                f'key_store = "{self.servers[1].url}"\nkey_store_password_file = "password"'
            )
        else:
            directory = 'url = "sqlite:directory/directory.db"'
            stores = 'catalog = "sqlite:eu/catalog.db"\nkey_store = "sqlite:eu-keys/keys.db"'
        if self.store:
            credentials = self.directory / "upstream-credentials"
            credentials.write_text(f"[default]\naws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n")
            backend = (f'{{ kind = "s3", endpoint = "{self.store.endpoint}", region = "us-east-1", '
                       f'credentials_file = "upstream-credentials", ca = "{self.store.ca}" }}')  # fmt: skip
        else:
            backend = '{ kind = "embedded", path = "regions/eu-central-1" }'
        text = CONFIGURATION
        for name, value in {
            "S3_PORT": self.ports[0], "ADMIN_PORT": self.ports[1], "DIRECTORY": directory, "DOMAIN_STORES": stores,
            "ROOT": self.root / "eu", "BACKEND": backend, "OPERATOR": self.token_sha256("operator"),
            "AUDITOR": self.token_sha256("auditor"),
        }.items():  # fmt: skip
            text = text.replace(name, str(value))
        return text

    def token(self, role: str = "operator") -> str:
        return self.tokens[role].read_text().strip()

    def token_sha256(self, role: str) -> str:
        return hashlib.sha256(self.token(role).encode()).hexdigest()

    def changed(self, name: str, *changes: tuple[str, str]) -> Path:
        """A copy of the configuration with each text replaced by another."""
        text = self.file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = self.directory / name
        path.write_text(text)
        return path

    def run(self, *argv: str, gateway: "Serving | None" = None, role: str = "operator", ca: Path | None = None,
            output: str = "json") -> subprocess.CompletedProcess:  # fmt: skip
        """Runs a command to its end; one for the admin API asks `gateway`."""
        env = {name: os.environ[name] for name in ("PATH", "HOME", "RUST_BACKTRACE") if name in os.environ}
        if gateway:
            env |= {"LETHE_ADMIN_ENDPOINT": gateway.admin_endpoint, "LETHE_ADMIN_CA": str(ca or self.ca),
                    "LETHE_ADMIN_TOKEN_FILE": str(self.tokens[role])}  # fmt: skip
        done = subprocess.run([str(binary()), *argv, "-o", output], cwd=self.directory, stdin=subprocess.DEVNULL, env=env,
                              capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)  # fmt: skip
        said = done.stdout + done.stderr
        assert "panicked" not in said, said
        for secret in (PASSWORD, ADMIN[1], self.token(), self.token("auditor")):
            assert secret not in said
        return done

    def json(self, *argv: str, gateway: "Serving | None" = None):
        """What a command that succeeds prints."""
        done = self.run(*argv, gateway=gateway)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def refused(self, *argv: str, gateway: "Serving | None" = None, code: int | None = None, **options) -> str:
        """What a command says that must fail, and with what exit code."""
        done = self.run(*argv, gateway=gateway, **options)
        assert done.returncode in ((1, 2) if code is None else (code,)), f"{argv}: {done.stdout}{done.stderr}"
        assert done.stderr.splitlines()[-1].startswith("lethe: "), done.stderr
        return done.stderr

    def serve(self, file: Path | None = None) -> "Serving":
        return Serving(self, file or self.file)

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.stop()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.root, ignore_errors=True)


class Serving(Target):
    """A running `lethe serve`."""

    kind = "serve"

    def __init__(self, installation: Installation, file: Path):
        super().__init__()
        self.installation, self.file = installation, file
        self.ca, self.store, self.tenants = installation.ca, None, {}
        listens = [line.split('"')[1] for line in file.read_text().splitlines() if line.startswith("listen = ")]
        self.endpoint, self.admin_endpoint = (f"https://{address}" for address in listens)
        installation.gateways.append(self)
        self.start()

    def start(self) -> None:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "RUST_BACKTRACE") if name in os.environ}
        argv = [str(binary()), "serve", "--config", str(self.file)]
        self.child = Child(argv, self.installation.directory, f"serve-{self.file.stem}", env)
        try:
            self.child.wait_until(self.is_ready, "a 200 from /readyz", READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def is_ready(self) -> bool:
        return self.get("/readyz", token=None)[0] == 200

    def get(self, path: str, token: str | None) -> tuple[int, bytes]:
        """A GET of the admin API: its status (0 when nothing answers) and body."""
        context = ssl.create_default_context(cafile=str(self.ca))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.admin_endpoint + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def use(self, label: str, access_key_id: str, secret_access_key: str) -> None:
        """Makes `client(label)` one that has this credential."""
        self.tenants[label] = Tenant(label, REGION, access_key_id, secret_access_key)
        self._clients = {key: client for key, client in self._clients.items() if key[0] != label}

    def log(self) -> str:
        return self.child.stdout.read_text() + self.child.stderr.read_text()

    def stop(self) -> None:
        self.child.stop(seconds=30)
