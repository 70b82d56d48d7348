"""The inventory's test vector in docs/receipts.md §4 is what the code beside it computes."""

import inventory
import pymerkle


def rows():
    for line in inventory.SECTION.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[3].isdigit():
            bucket, key, version, stored, etag, commitment, entry = cells
            filled = b"" if commitment == "none" else bytes([int(commitment.split()[-1], 16)]) * 32
            yield (bucket, key, "" if version == "none" else version, int(stored), etag, filled), bytes.fromhex(entry)


def test_documented_vector_is_what_the_documented_code_computes():
    wanted = [entry for _, entry in rows()]
    assert len(wanted) == 3
    assert [inventory.entry(bytes(range(32)), *fields) for fields, _ in rows()] == wanted
    assert f"have the root `{inventory.root(wanted).hex()}`" in inventory.SECTION
    assert inventory.root([]).hex().startswith("e3b0c442")
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries(wanted)
    assert tree.get_root() == inventory.root(wanted)
