"""Throughput and CPU time through the gateway and directly to the SeaweedFS behind it, side by side in one run.

    python -m bench.throughput [--seconds 4]

The rounds alternate, so that both see the same machine. Ratios mean something; absolute figures depend on it.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import Connection, cpu_s
from testbed.seaweedfs import ADMIN
from testbed.target import Target, Tenant, start

KIB, MIB = 1024, 1024 * 1024
# label, bytes, connections
CASES = (("4 KiB", 4 * KIB, 16), ("1 MiB", MIB, 8), ("64 MiB", 64 * MIB, 4))
ROUNDS = 2
KEYS = 8


class Behind(Target):
    """The gateway's SeaweedFS without the gateway."""

    kind = "direct"

    def __init__(self, store):
        super().__init__()
        self.store, self.endpoint, self.ca = store, store.endpoint, None
        self.tenants = {"acme": Tenant("acme", "us-east-1", *ADMIN)}


@dataclass
class Sum:
    """What one side did in one case."""

    requests: int = 0
    seconds: float = 0.0
    gateway_cpu_s: float = 0.0
    store_cpu_s: float = 0.0


def measure(target: Target, gateway, method: str, size: int, connections: int, seconds: float, total: Sum) -> None:
    counts, failures, end = [0] * connections, [], time.monotonic() + seconds
    before = cpu_s(gateway.child.pid), cpu_s(gateway.store.child.pid)

    def work(worker: int) -> None:
        connection = Connection(target, "acme")
        try:
            while time.monotonic() < end or not counts[worker]:
                action = connection.put if method == "PUT" else connection.get
                action("bench", f"{size}-{(worker + counts[worker]) % KEYS}", size)
                counts[worker] += 1
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in range(connections)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    total.seconds += time.monotonic() - began
    total.requests += sum(counts)
    total.gateway_cpu_s += cpu_s(gateway.child.pid) - before[0]
    total.store_cpu_s += cpu_s(gateway.store.child.pid) - before[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="a round of one side")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
    gateway = start("seaweedfs", directory)
    try:
        sides = {"lethe": gateway, "direct": Behind(gateway.store)}
        for side in sides.values():
            side.client().create_bucket(Bucket="bench")
        header = f"{'':16}{'side':8}{'req/s':>9}{'MB/s':>9}{'gateway ms':>12}{'store ms':>10}"
        print(header + "   (CPU a request)")
        for label, size, connections in CASES:
            for method in ("PUT", "GET"):
                sums = {name: Sum() for name in sides}
                if method == "GET":
                    for side in sides.values():
                        for key in range(KEYS):
                            Connection(side, "acme").put("bench", f"{size}-{key}", size)
                for _ in range(ROUNDS):
                    for name, side in sides.items():
                        measure(side, gateway, method, size, connections, arguments.seconds, sums[name])
                report(f"{method} {label} ×{connections}", size, sums)
    finally:
        gateway.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def report(label: str, size: int, sums: dict[str, Sum]) -> None:
    for name, s in sums.items():
        rate = s.requests / s.seconds
        print(
            f"{label:16}{name:8}{rate:9.1f}{rate * size / 1e6:9.1f}"
            f"{s.gateway_cpu_s / s.requests * 1e3:12.2f}{s.store_cpu_s / s.requests * 1e3:10.2f}"
        )
        label = ""
    one, other = sums["lethe"], sums["direct"]
    print(f"{'':16}{'ratio':8}{(one.requests / one.seconds) / (other.requests / other.seconds):9.2f}")


if __name__ == "__main__":
    sys.exit(main())
