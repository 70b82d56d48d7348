"""PostgreSQL servers of a test's own, reached over TCP with a password, as a platform team has them."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .process import Child, free_port

USER, PASSWORD = "lethe", "p@ss:w/rd%20"


def programs() -> Path:
    """Where initdb and postgres are."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not on_path and not found:
        raise RuntimeError("PostgreSQL is not installed (`make test` installs it)")
    return Path(on_path).resolve().parent if on_path else found[-1].parent


def unprivileged() -> dict:
    """What `subprocess` needs so that the server does not run as root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("no user to run PostgreSQL as")


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Postgres:
    """One server with one database, owned by a role that is no superuser."""

    def __init__(self, database: str):
        # Not below pytest's directories: those are closed to the server's user.
        self.directory = Path(tempfile.mkdtemp(prefix="lethe-pg-", dir="/tmp"))
        self.identity = unprivileged()
        if self.identity:
            os.chown(self.directory, self.identity["user"], self.identity["group"])
        self.port, self.database = free_port(), database
        self.url = f"postgres://{USER}@127.0.0.1:{self.port}/{database}"
        self._data = self.directory / "data"
        made = self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth-local=trust",
                         "--auth-host=scram-sha-256", "-E", "UTF8", "--no-sync")  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.start()
        self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        self.sql(f"CREATE DATABASE {database} OWNER {USER}")

    def _run(self, program: str, *argv: str) -> subprocess.CompletedProcess:
        return subprocess.run([programs() / program, *argv], cwd="/", capture_output=True, text=True, timeout=120,
                              check=False, **self.identity)  # fmt: skip

    def start(self) -> None:
        argv = [
            str(programs() / "postgres"), "-D", str(self._data), "-k", str(self.directory), "-c", f"port={self.port}",
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=80",
        ]  # fmt: skip
        self.child = Child(argv, self.directory, "postgres", identity=self.identity)
        self.child.wait_until(lambda: self._psql("SELECT 1").returncode == 0, "PostgreSQL", 60)

    def _psql(self, sql: str) -> subprocess.CompletedProcess:
        return self._run("psql", "-X", "-q", "-h", str(self.directory), "-p", str(self.port), "-U", "postgres",
                         "-d", "postgres", "-c", sql)  # fmt: skip

    def sql(self, text: str) -> None:
        done = self._psql(text)
        assert done.returncode == 0, done.stderr

    def rows(self, text: str) -> list[str]:
        """What a question to the server's one database answers, a line a row."""
        done = self._run("psql", "-X", "-q", "-A", "-t", "-h", str(self.directory), "-p", str(self.port), "-U", "postgres",
                         "-d", self.database, "-c", text)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    @contextmanager
    def frozen(self):
        """The server and every connection's process stand still for a while: nothing is refused, and nothing answers."""
        first = self.child.popen.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        pids = [first, *(int(pid) for pid in children)]
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    def pause(self) -> None:
        """A fast shutdown: connections are closed."""
        self.child.popen.send_signal(signal.SIGINT)
        self.child.popen.wait(timeout=30)

    def stop(self) -> None:
        if self.child.popen.poll() is None:
            self.pause()
        shutil.rmtree(self.directory, ignore_errors=True)
