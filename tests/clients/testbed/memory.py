"""Another process's memory, searched for byte patterns: what a core dump of it would hold."""

import re
from pathlib import Path

BLOCK = 16 * 1024 * 1024
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (r)(w)")


def may_read(pid: int) -> bool:
    """Whether this process may look: a gateway's own user may not, root may."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb"):
            return True
    except OSError:
        return False


def found(pid: int, patterns: dict[str, bytes]) -> dict[str, int]:
    """How often each pattern is in the readable and writable mappings of a process; needs the rights of a debugger."""
    longest = max(map(len, patterns.values()))
    counts, read = dict.fromkeys(patterns, 0), 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if not (mapping := MAPPING.match(line)):
                continue
            at, end, tail = int(mapping[1], 16), int(mapping[2], 16), b""
            while at < end:
                try:
                    memory.seek(at)
                    block = memory.read(min(BLOCK, end - at))
                except OSError:
                    break  # A guard page, or a mapping that is gone by now.
                if not block:
                    break
                at, read = at + len(block), read + len(block)
                for name, pattern in patterns.items():
                    counts[name] += occurrences(tail + block, pattern, len(tail))
                tail = block[-(longest - 1) :]
    assert read > 1024 * 1024, "no memory of the process could be read"
    return counts


def occurrences(data: bytes, pattern: bytes, known: int) -> int:
    """How often a pattern ends behind the first `known` bytes, which an earlier search has seen."""
    count, at = 0, data.find(pattern)
    while at >= 0:
        count += at + len(pattern) > known
        at = data.find(pattern, at + 1)
    return count
