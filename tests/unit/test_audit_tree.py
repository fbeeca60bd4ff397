"""The Merkle tree against the vectors that implementations of RFC 6962 and RFC 9162 share."""

import pytest

from consortia_crypto.audit import tree

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_shared_vectors(size):
    hashes = [tree.leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert tree.root(hashes).hex() == ROOTS[size]


def test_a_leaf_outside_the_tree_has_no_proof():
    hashes = [tree.leaf_hash(leaf) for leaf in LEAVES]
    for index in (-1, 8):
        with pytest.raises(IndexError):
            tree.inclusion_proof(hashes, index)
        assert not tree.includes(tree.root(hashes), 8, index, hashes[0], [])


HASHES = [tree.leaf_hash(leaf) for leaf in LEAVES]
SHORT, LONG = HASHES[1][:-1], HASHES[1] + b"\0"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
def test_a_proof_stands_for_no_size_that_makes_paths_of_another_length(size):
    """Whoever signs a root can sign it with any size; a path that ends early or late must not pass."""
    root, proof = tree.root(HASHES[:size]), tree.inclusion_proof(HASHES[:size], 0)
    assert tree.proved_root(size, 0, HASHES[0], proof) == root
    for other in (2 * size, 4 * size, (size + 1) // 2 if size > 1 else 2**62):
        assert tree.proved_root(other, 0, HASHES[0], proof) is None
        assert not tree.includes(root, other, 0, HASHES[0], proof)


def test_a_root_made_up_for_a_proof_of_another_length_is_not_consistent():
    old, sibling = tree.root(HASHES[:2]), HASHES[2]
    made_up = tree.node_hash(old, sibling)
    assert tree.is_consistent(2, old, 3, made_up, [sibling])
    for size in (5, 6, 8, 9, 2**62):
        assert not tree.is_consistent(2, old, size, made_up, [sibling])
    twice = tree.node_hash(made_up, sibling)
    assert not tree.is_consistent(2, old, 3, twice, [sibling, sibling])


def test_a_proof_that_starts_too_deep_in_the_old_tree_is_not_consistent():
    """It reaches the old root, only one step too late, and a new root that no tree of 7 leaves has."""
    old, left, junk = tree.root(HASHES[:6]), tree.root(HASHES[:4]), HASHES[7]
    deep = [HASHES[5], junk, HASHES[4], left]
    made_up = tree.node_hash(left, tree.node_hash(HASHES[4], tree.node_hash(HASHES[5], junk)))
    assert tree.node_hash(left, tree.node_hash(HASHES[4], HASHES[5])) == old
    assert not tree.is_consistent(6, old, 7, made_up, deep)


@pytest.mark.parametrize("odd", [b"", SHORT, LONG])
def test_a_root_made_up_over_something_that_is_no_hash_proves_nothing(odd):
    leaf = HASHES[0]
    assert not tree.includes(odd, 1, 0, odd, [])
    assert tree.proved_root(1, 0, odd, []) is None
    assert not tree.includes(tree.node_hash(leaf, odd), 2, 0, leaf, [odd])
    assert not tree.includes(tree.node_hash(odd, leaf), 2, 0, odd, [leaf])
    assert not tree.is_consistent(1, leaf, 2, tree.node_hash(leaf, odd), [odd])
    assert not tree.is_consistent(1, odd, 2, tree.node_hash(odd, leaf), [leaf])
    assert not tree.is_consistent(1, odd, 1, odd, [])


def test_a_leaf_does_not_pass_for_a_node():
    left, right = (tree.leaf_hash(leaf) for leaf in LEAVES[:2])
    assert tree.leaf_hash(left + right) != tree.node_hash(left, right)
