"""The Merkle tree of RFC 9162 §2.1 over SHA-256: hashes, roots, inclusion and consistency proofs.

Functions take leaf hashes, not leaves, so that whoever holds a long list keeps 32 bytes of each item. A proof is a
list of subtree hashes, from the leaves upwards; it reveals nothing of the other leaves but those hashes, which is
why guessable leaves need a salt or a keyed pseudonym inside.

Provers raise IndexError outside the tree. Verifiers take anything: hashes of a wrong length, sizes that no tree
has, and proofs with something before, after or between what belongs there are answered with False.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_LENGTH = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""
MAX_SIZE = 2**63 - 1
"""No tree has more leaves."""
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf, 32 bytes; the prefix keeps a leaf from passing for a node."""
    return hashlib.sha256(_LEAF + data).digest()


def leaf_hashes(items: Iterable[bytes]) -> list[bytes]:
    """``leaf_hash`` of each item, without the cost of as many calls."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + data).digest() for data in items]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The tree's root, 32 bytes; of no leaves at all, the hash of nothing."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes that lead from leaf ``index`` to the root. Raises IndexError outside the tree."""
    return [root(leaf_hashes[start:end]) for start, end in inclusion_ranges(len(leaf_hashes), index)]


def inclusion_proofs(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """The inclusion proof of every leaf, for no more hashing than the root alone costs."""
    proofs: list[list[bytes]] = [[] for _ in leaf_hashes]
    level, height = list(leaf_hashes), 0
    while len(level) > 1:
        for index, proof in enumerate(proofs):
            sibling = (index >> height) ^ 1
            if sibling < len(level):
                proof.append(level[sibling])
        level, height = _parents(level), height + 1
    return proofs


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """What shows that the first ``old_size`` leaves have not changed; empty if there are no others.

    Raises IndexError unless 1 ≤ ``old_size`` ≤ the number of leaves.
    """
    return [root(leaf_hashes[start:end]) for start, end in consistency_ranges(old_size, len(leaf_hashes))]


def inclusion_ranges(size: int, index: int) -> list[tuple[int, int]]:
    """The ranges of leaves [start, end) whose roots are the inclusion proof; RFC 9162 §2.1.3.1."""
    if not 0 <= index < size:
        raise IndexError(index)
    ranges = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """The ranges of leaves [start, end) whose roots are the consistency proof; RFC 9162 §2.1.4.1."""
    if not 1 <= old_size <= new_size:
        raise IndexError(old_size)
    ranges = []
    start, end = 0, new_size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # the old tree's root itself is known to the verifier, a part of it is not
        ranges.append((start, end))
    return ranges[::-1]


def proved_root(size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root of the tree of ``size`` leaves in which ``proof`` puts ``leaf`` at ``index``; None if in none.

    RFC 9162 §2.1.3.2. ``leaf`` is a leaf hash. The root is worth what is known of it from elsewhere.
    """
    if not 0 <= index < size <= MAX_SIZE or not _are_hashes(leaf, *proof):
        return None
    node, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            node, last = _skip_lone(node, last)
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    return reached if last == 0 else None


def includes(tree_root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows ``leaf`` (a leaf hash) at ``index`` of the tree of ``size`` leaves."""
    return _are_hashes(tree_root) and proved_root(size, index, leaf, proof) == tree_root


def is_consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the new tree only adds leaves to the old one. RFC 9162 §2.1.4.2.

    Every tree continues the empty one, but saying so proves nothing: ``old_size`` 0 is answered with False.
    """
    if not 1 <= old_size <= new_size <= MAX_SIZE or not _are_hashes(old_root, new_root, *proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    return bool(path) and _replay(old_size, new_size, path) == (old_root, new_root)


def _replay(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots of the old and the new tree that ``path`` leads to; None if it has another length than it must."""
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            node, last = _skip_lone(node, last)
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _skip_lone(node: int, last: int) -> tuple[int, int]:
    """Climb past the levels at which ``node`` has no sibling and moves up as it is."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2): how many leaves are in the left subtree."""
    return 1 << (size - 1).bit_length() - 1


def _parents(level: list[bytes]) -> list[bytes]:
    """The next level; a node without a sibling moves up as it is, which gives RFC 9162's left-full split."""
    sha256, pairs = hashlib.sha256, zip(level[::2], level[1::2], strict=False)
    parents = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return parents + level[-1:] if len(level) % 2 else parents


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_LENGTH for value in values)
