"""Witnesses of a log: the real ones, one that hangs, and forged tree heads to show them."""

import base64
import hashlib
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .process import Child
from .target import binary

READY_SECONDS = 60
LOG_KEY = 1


class Witness:
    """A `lethe witness` with a directory of its own, begun by the script that an operator would run there."""

    def __init__(self, directory: Path, name: str, port: int, script: str):
        self.directory, self.name, self.port, self.script = directory, name, port, script
        self.url = f"http://127.0.0.1:{port}"
        self.child: Child | None = None

    def start(self) -> None:
        # The shell gives its place to the program, so that a kill of this pid is a kill of the witness.
        argv = ["bash", "-euo", "pipefail", "-c", f"exec {self.script}"]
        self.child = Child(argv, self.directory, self.name, command_environment(self.directory))
        self.child.wait_until(lambda: self.get("/checkpoint/0")[0] == 404, "an answer of the witness", READY_SECONDS)

    def kill(self) -> None:
        self.child.kill()

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def get(self, path: str) -> tuple[int, str]:
        return self._exchange(urllib.request.Request(self.url + path))

    def newest(self, origin: str) -> str:
        """Its newest checkpoint of a log; empty where it has none."""
        status, text = self.get("/checkpoint/" + hashlib.sha256(origin.encode()).hexdigest())
        assert status in (200, 404), text
        return text if status == 200 else ""

    def add(self, old_size: int, proof: list[bytes], checkpoint: str) -> tuple[int, str]:
        lines = [f"old {old_size}", *(base64.b64encode(one).decode() for one in proof), "", checkpoint]
        return self._exchange(urllib.request.Request(self.url + "/add-checkpoint", data="\n".join(lines).encode()))

    def _exchange(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


class Hanging:
    """A witness's address where connections are taken and nothing is ever said."""

    def __init__(self, port: int):
        self._listener = socket.create_server(("127.0.0.1", port))
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def asked(self) -> int:
        return len(self._held)

    def _run(self) -> None:
        while True:
            try:
                self._held.append(self._listener.accept()[0])
            except OSError:
                return

    def stop(self) -> None:
        # Wakes the thread that accepts, which a close alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)
        for connection in self._held:
            connection.close()


def command_environment(directory: Path, more: dict[str, str] | None = None) -> dict[str, str]:
    """What an operator's shell has: `lethe` on the path."""
    tools = directory / "bin"
    tools.mkdir(exist_ok=True)
    program = tools / "lethe"
    if not program.is_symlink():
        program.symlink_to(binary())
    return {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(directory), "LANG": "C.UTF-8"} | (more or {})


def run_script(script: str, directory: Path, more: dict[str, str] | None = None) -> str:
    """Runs what the documentation says, and wants it to succeed."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=directory, stdin=subprocess.DEVNULL,
                          env=command_environment(directory, more), capture_output=True, text=True, timeout=240,
                          check=False)  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def size_of(checkpoint: str) -> int:
    return int(checkpoint.split("\n")[1])


def signing_key(file: Path) -> Ed25519PrivateKey:
    """The private key of a file `PRIVATE+KEY+<name>+<id>+<base64>`."""
    material = base64.b64decode(file.read_text().strip().split("+", 4)[4])
    assert material[0] == LOG_KEY
    return Ed25519PrivateKey.from_private_bytes(material[1:])


def signed_checkpoint(origin: str, size: int, root: bytes, key: Ed25519PrivateKey) -> str:
    """A tree head as the log's signed note (docs/receipts.md §3)."""
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    note_id = hashlib.sha256(f"{origin}\n".encode() + bytes([LOG_KEY]) + public).digest()[:4]
    line = base64.b64encode(note_id + key.sign(body.encode())).decode()
    return f"{body}\n— {origin} {line}\n"
