"""The Merkle tree against the recursive definition in RFC 9162 §2.1, word for word; and its growing edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_crypto.audit import tree
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.errors import TileError
from tests.tools import vectors

leaves = st.lists(st.binary(max_size=4), min_size=1, max_size=70)
hash_like = st.binary(min_size=32, max_size=32)


@given(leaves, st.data())
def test_root_and_inclusion_proof_are_the_definitions(items, data):
    index = data.draw(st.integers(0, len(items) - 1))
    hashes = tree.leaf_hashes(items)
    root, proof = tree.root(hashes), tree.inclusion_proof(hashes, index)
    assert root == vectors.mth(items)
    assert proof == vectors.path(index, items) == tree.inclusion_proofs(hashes)[index]
    assert tree.includes(root, len(items), index, hashes[index], proof)
    assert tree.proved_root(len(items), index, hashes[index], proof) == root


@given(leaves, st.data())
def test_consistency_proof_is_the_definition(items, data):
    old = data.draw(st.integers(1, len(items)))
    hashes = tree.leaf_hashes(items)
    proof = tree.consistency_proof(hashes, old)
    assert proof == vectors.proof(old, items)
    assert tree.is_consistent(old, vectors.mth(items[:old]), len(items), vectors.mth(items), proof)


@given(leaves, st.data())
def test_a_wrong_leaf_place_size_or_proof_is_not_included(items, data):
    hashes = tree.leaf_hashes(items)
    size, root = len(items), tree.root(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(hashes, index)
    other = data.draw(hash_like)
    assert not tree.includes(root, size, index, other, proof)
    assert not tree.includes(other, size, index, hashes[index], proof)
    assert not tree.includes(root, size, size, hashes[index], proof)
    assert not tree.includes(root, 0, 0, hashes[index], proof)
    for wrong in damaged(data, proof):
        assert not tree.includes(root, size, index, hashes[index], wrong)


@given(leaves, st.data())
def test_a_wrong_root_size_or_proof_is_not_consistent(items, data):
    hashes = tree.leaf_hashes(items)
    new, root = len(items), tree.root(hashes)
    old = data.draw(st.integers(1, new))
    old_root, proof = tree.root(hashes[:old]), tree.consistency_proof(hashes, old)
    other = data.draw(hash_like)
    assert not tree.is_consistent(old, other, new, root, proof)
    assert not tree.is_consistent(old, old_root, new, other, proof)
    assert not tree.is_consistent(0, tree.EMPTY_ROOT, new, root, [])
    assert old == new or not tree.is_consistent(new, root, old, old_root, proof)
    for wrong in damaged(data, proof):
        assert not tree.is_consistent(old, old_root, new, root, wrong)


def damaged(data, proof):
    """The proof with something added, missing, altered or exchanged, in every place where that can be."""
    place = data.draw(st.integers(0, len(proof)))
    yield [*proof[:place], data.draw(hash_like), *proof[place:]]
    yield [*proof[:place], b"", *proof[place:]]
    for i, item in enumerate(proof):
        yield proof[:i] + proof[i + 1 :]
        yield [*proof[:i], item[:-1], *proof[i + 1 :]]
        yield [*proof[:i], item + b"\0", *proof[i + 1 :]]
        yield [*proof[:i], bytes([item[0] ^ 1]) + item[1:], *proof[i + 1 :]]
        if i and item != proof[0]:
            yield [item, *proof[1:i], proof[0], *proof[i + 1 :]]


@given(st.binary(max_size=40), st.integers(-2, 2**64), st.integers(-2, 2**64), st.binary(max_size=40),
       st.lists(st.binary(min_size=30, max_size=34) | hash_like, max_size=70))  # fmt: skip
def test_any_claim_is_answered(root, size, index, leaf, proof):
    assert tree.includes(root, size, index, leaf, proof) in (True, False)
    assert tree.is_consistent(index, leaf, size, root, proof) in (True, False)


@given(leaves, leaves)
def test_the_edge_grows_to_the_same_root(first, second):
    frontier = Frontier()
    frontier.extend(tree.leaf_hashes(first))
    before = frontier.copy()
    again = Frontier(frontier.size, frontier.nodes)
    again.extend(tree.leaf_hashes(second))
    assert again.root() == vectors.mth(first + second)
    assert before.root() == frontier.root() == vectors.mth(first)


@given(st.integers(-1, 300), st.lists(st.binary(min_size=31, max_size=33), max_size=9))
def test_an_edge_that_is_none_is_refused(size, nodes):
    sound = size >= 0 and len(nodes) == size.bit_count() and all(len(node) == 32 for node in nodes)
    if not sound:
        with pytest.raises(TileError):
            Frontier(size, nodes)
