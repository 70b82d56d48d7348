"""Child processes and ports, each with a bound on how long it is waited for."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PORT_FIRST = int(os.environ.get("LETHE_TEST_PORT_FIRST", "18000"))
PORTS_PER_WORKER = 100
_next_port = 0


def free_port() -> int:
    """A port that nothing listens on, from this pytest worker's own hundred."""
    global _next_port
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    base = PORT_FIRST + PORTS_PER_WORKER * int(worker)
    for _ in range(PORTS_PER_WORKER):
        port = base + _next_port % PORTS_PER_WORKER
        _next_port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {base} on")


class Child:
    """A child process with its output in files; ended by its own pid."""

    def __init__(self, argv: list[str], directory: Path, name: str, env: dict[str, str] | None = None,
                 identity: dict | None = None):  # fmt: skip
        self.stdout = directory / f"{name}.stdout"
        self.stderr = directory / f"{name}.stderr"
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self.popen = subprocess.Popen(
                argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, **(identity or {})
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output_tail(self) -> str:
        texts = []
        for path in (self.stdout, self.stderr):
            texts.append(f"--- {path.name}\n" + path.read_text(errors="replace")[-3000:])
        return "\n".join(texts)

    def wait_until(self, ready, what: str, seconds: float) -> None:
        """Polls `ready` until it is true; fails when the process ends or the time does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise RuntimeError(
                    f"ended with {self.popen.returncode} before {what}\n{self.output_tail()}"
                )
            if ready():
                return
            time.sleep(0.1)
        raise RuntimeError(f"no {what} within {seconds} s\n{self.output_tail()}")

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(timeout=10)

    def stop(self, seconds: float = 15) -> None:
        """SIGTERM, then SIGKILL."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                self.kill()
