"""A lean S3 client for load: one connection a thread, bodies streamed from one shared block."""

import http.client
import time
from dataclasses import dataclass, field
from pathlib import Path

from testbed.signed import connect, path_of, sign
from testbed.target import Target

BLOCK = bytes(range(256)) * 1024
UNSIGNED = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
TRIES = 60


class Refused(Exception):
    """An answer that is neither success nor SlowDown."""


@dataclass
class Connection:
    """One keep-alive connection of one tenant."""

    target: Target
    tenant: str
    slow_downs: int = 0
    _http: http.client.HTTPConnection | None = field(default=None, repr=False)

    def put(self, bucket: str, key: str, size: int) -> None:
        self._repeat("PUT", bucket, key, size)

    def get(self, bucket: str, key: str, size: int) -> None:
        self._repeat("GET", bucket, key, size)

    def _repeat(self, method: str, bucket: str, key: str, size: int) -> None:
        for _ in range(TRIES):
            status = self._once(method, bucket, key, size)
            if status == 200:
                return
            if status != 503:
                raise Refused(f"{method} {key}: {status}")
            self.slow_downs += 1
            time.sleep(0.5)
        raise Refused(f"{method} {key}: 503 after {TRIES} tries")

    def _once(self, method: str, bucket: str, key: str, size: int) -> int:
        if self._http is None:
            self._http = connect(self.target, timeout=300)
        headers = UNSIGNED | ({"Content-Length": str(size)} if method == "PUT" else {})
        request_target, signed = sign(self.target, method, path_of(bucket, key), headers=headers, tenant=self.tenant)
        wire = self._http
        wire.putrequest(method, request_target, skip_accept_encoding=True, skip_host=False)
        for name, value in signed.items():
            if name.lower() != "host":
                wire.putheader(name, value)
        wire.endheaders()
        refused_early = False
        if method == "PUT":
            try:
                for start in range(0, size, len(BLOCK)):
                    wire.send(memoryview(BLOCK)[: min(len(BLOCK), size - start)])
            except ConnectionError:
                refused_early = True
        try:
            answer = wire.getresponse()
            received, buffer = 0, bytearray(64 * 1024)
            while count := answer.readinto(buffer):
                received += count
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if refused_early:
                return 503
            raise
        if answer.will_close or answer.status != 200:
            self.close()
        if method == "GET" and answer.status == 200 and received != size:
            raise Refused(f"GET {key}: {received} of {size} bytes")
        return answer.status

    def close(self) -> None:
        if self._http:
            self._http.close()
        self._http = None


def peak_rss_bytes(pid: int) -> int:
    """VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM")


def cpu_s(pid: int) -> float:
    """User and system time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
