"""The Merkle tree against the recursive definition in RFC 9162 §2.1, word for word."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from consortia_crypto.audit import tree

hashes = st.lists(st.binary(max_size=4).map(tree.leaf_hash), min_size=1, max_size=70)


def split(size):
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def reference_root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + reference_root(leaves[:k]) + reference_root(leaves[k:])).digest()


def reference_proof(leaves, index):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*reference_proof(leaves[:k], index), reference_root(leaves[k:])]
    return [*reference_proof(leaves[k:], index - k), reference_root(leaves[:k])]


@given(hashes, st.data())
def test_root_and_proof_are_the_definitions(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = tree.root(leaves), tree.inclusion_proof(leaves, index)
    assert root == reference_root(leaves)
    assert proof == reference_proof(leaves, index)
    assert tree.includes(root, len(leaves), index, leaves[index], proof)


@given(hashes, st.data())
def test_a_wrong_leaf_place_size_or_proof_is_not_included(leaves, data):
    size, root = len(leaves), tree.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(leaves, index)
    assert not tree.includes(root, size, index, tree.leaf_hash(b"another"), proof)
    assert not tree.includes(root, size, index, leaves[index], [*proof, bytes(32)])
    assert not tree.includes(root, size, size, leaves[index], proof)
    if proof:
        assert not tree.includes(root, size, index, leaves[index], proof[:-1])
        assert not tree.includes(root, size, index, leaves[index], [b"", *proof[1:]])


@given(st.binary(max_size=32), st.integers(-2, 100), st.integers(-2, 100), st.binary(max_size=40),
       st.lists(st.binary(max_size=40), max_size=10))  # fmt: skip
def test_any_claim_is_answered(root, size, index, leaf, proof):
    assert tree.includes(root, size, index, leaf, proof) in (True, False)
