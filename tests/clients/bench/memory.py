"""Peak memory of the gateway under many uploads and downloads at once. Fails above the bound.

    python -m bench.memory [--transfers 200] [--size-mib 64] [--bound-mib 400] [--kind embedded|seaweedfs]
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.load import Connection, peak_rss_bytes
from testbed.target import start

MIB = 1024 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=200, help="as many uploads, and as many downloads, at once")
    parser.add_argument("--size-mib", type=int, default=64)
    parser.add_argument("--bound-mib", type=int, default=400)
    parser.add_argument("--kind", default="embedded", choices=("embedded", "seaweedfs"))
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lethe-bench-memory-"))
    target = start(arguments.kind, directory)
    try:
        return run(target, arguments)
    finally:
        target.stop()
        shutil.rmtree(directory, ignore_errors=True)


def run(target, arguments) -> int:
    size, tenants = arguments.size_mib * MIB, ("acme", "globex")
    for tenant in tenants:
        target.client(tenant).create_bucket(Bucket="bench")
        Connection(target, tenant).put("bench", "source", size)
    idle = peak_rss_bytes(target.child.pid)
    gate = threading.Barrier(2 * arguments.transfers + 1)
    failures, connections = [], []

    def transfer(number: int, upload: bool) -> None:
        connection = Connection(target, tenants[number % 2])
        connections.append(connection)
        gate.wait()
        try:
            if upload:
                connection.put("bench", f"upload-{number}", size)
            else:
                connection.get("bench", "source", size)
        except Exception as error:
            failures.append(f"{'PUT' if upload else 'GET'} {number}: {error!r}")
        finally:
            connection.close()

    threading.stack_size(512 * 1024)
    threads = [
        threading.Thread(target=transfer, args=(number, upload), daemon=True)
        for number in range(arguments.transfers)
        for upload in (True, False)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    peak = peak_rss_bytes(target.child.pid)
    moved = 2 * arguments.transfers - len(failures)
    print(f"transfers      {arguments.transfers} uploads and {arguments.transfers} downloads of {arguments.size_mib} MiB")
    print(f"finished       {moved} in {seconds:.1f} s, {moved * size / seconds / 1e6:.0f} MB/s")
    print(f"SlowDown       {sum(c.slow_downs for c in connections)} answers, each tried again")
    print(f"VmHWM before   {idle / MIB:.0f} MiB")
    print(f"VmHWM          {peak / MIB:.0f} MiB (bound {arguments.bound_mib} MiB)")
    for failure in failures[:10]:
        print(failure)
    return 1 if failures or peak > arguments.bound_mib * MIB else 0


if __name__ == "__main__":
    sys.exit(main())
