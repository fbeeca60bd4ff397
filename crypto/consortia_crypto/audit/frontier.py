"""The right edge of a growing Merkle tree: the roots of its perfect subtrees, and nothing else.

A tree of n leaves is cut into perfect subtrees, one for each bit set in n, the largest first. Their roots are all
that is needed to append leaves and to know the root: O(log n) memory, two hashes for an append on average.
"""

from collections.abc import Iterable, Sequence
from typing import Self

from consortia_crypto.audit import tree
from consortia_crypto.errors import TileError


class Frontier:
    """A tree of which only the right edge is kept. Not safe for several threads at once."""

    __slots__ = ("_nodes", "_size")

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        """The edge of a tree of ``size`` leaves; ``nodes`` as in ``Frontier.nodes``. Raises TileError."""
        if not 0 <= size <= tree.MAX_SIZE or len(nodes) != size.bit_count():
            raise _refused("it has not one hash for each bit of its size")
        if any(len(node) != tree.HASH_LENGTH for node in nodes):
            raise _refused("a hash has the wrong length")
        self._size = size
        self._nodes = list(nodes)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, that of the most leaves first."""
        return tuple(self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size = self._size
        while size & 1:
            leaf = tree.node_hash(self._nodes.pop(), leaf)
            size >>= 1
        self._nodes.append(leaf)
        self._size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in their order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        if not self._nodes:
            return tree.EMPTY_ROOT
        *others, root = self._nodes
        for node in reversed(others):
            root = tree.node_hash(node, root)
        return root

    def copy(self) -> Self:
        """Another one that grows by itself."""
        return type(self)(self._size, self._nodes)


def _refused(why: str) -> TileError:
    return TileError(
        f"not the edge of a tree: {why}",
        blame="whoever stored it",
        remedy="rebuild it from the log's entries with `consortia audit fsck`",
    )
