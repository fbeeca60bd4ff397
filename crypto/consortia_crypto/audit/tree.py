"""The Merkle tree of RFC 9162 §2.1 over SHA-256: leaf and node hashes, the root, inclusion proofs.

Functions take leaf hashes, not leaves, so that whoever holds a long list keeps 32 bytes of each item. A proof is
the list of sibling hashes from the leaf upwards; it reveals nothing of the other leaves but those hashes, which is
why guessable leaves need a salt or a keyed pseudonym inside.
"""

import hashlib
from collections.abc import Sequence

HASH_LENGTH = 32
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf, 32 bytes; the prefix keeps a leaf from passing for a node."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The tree's root, 32 bytes; of no leaves at all, the hash of nothing."""
    if not leaf_hashes:
        return hashlib.sha256().digest()
    level = list(leaf_hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes that lead from leaf ``index`` to the root. Raises IndexError outside the tree."""
    if not 0 <= index < len(leaf_hashes):
        raise IndexError(index)
    proof = []
    level = list(leaf_hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level = _parents(level)
        index //= 2
    return proof


def includes(tree_root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows ``leaf`` (a leaf hash) at ``index`` of the tree of ``size`` leaves.

    RFC 9162 §2.1.3.2. Any ``proof`` may be given; a false one is answered with False.
    """
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    reached = leaf
    for sibling in proof:
        if len(sibling) != HASH_LENGTH or last == 0:
            return False
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and reached == tree_root


def _parents(level: list[bytes]) -> list[bytes]:
    """The next level; a node without a sibling moves up as it is, which gives RFC 9162's left-full split."""
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return parents + level[-1:] if len(level) % 2 else parents
