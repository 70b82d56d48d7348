"""Merkle proofs by RFC 9162 §2.1.3.2 and §2.1.4.2, whose trees are RFC 6962's."""

import hashlib


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def included(entry, index, size, proof, root):
    """Whether `proof` leads from the entry at `index` to `root`."""
    if index >= size:
        return False
    fn, sn, current = index, size - 1, leaf_hash(entry)
    for step in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            current = node_hash(step, current)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            current = node_hash(current, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and current == root


def grown(first_size, first_root, second_size, second_root, proof):
    """Whether `proof` shows that the second tree only grew from the first."""
    if first_size == second_size:
        return first_root == second_root and not proof
    if not 0 < first_size < second_size or not proof:
        return False
    path = list(proof)
    if first_size & (first_size - 1) == 0:
        path.insert(0, first_root)
    fn, sn = first_size - 1, second_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(step, first), node_hash(step, second)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == first_root and second == second_root
