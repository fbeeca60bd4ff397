"""The Merkle tree of a log through its tiles: proofs from few reads, and growing without a rebuild.

``TileTree`` believes what the tiles say; a proof made from altered tiles is simply false, and whoever checks it
against a signed root finds out. ``TileBuilder`` keeps the right edge of every level, at most 255 hashes of each.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Self

from consortia_crypto.audit import tree
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.audit.tiles import HEIGHT, WIDTH, Tile, decode_tile, encode_tile, tile_at

ReadTile = Callable[[int, int, int], bytes]
"""Called with level, index and width; returns that tile's bytes, or the full tile's where it is at hand."""
_KEPT = 64


class TileTree:
    """A tree of ``size`` leaves whose tiles ``read_tile`` fetches. All methods raise TileError at a bad tile."""

    def __init__(self, size: int, read_tile: ReadTile) -> None:
        self.size = size
        self._read = read_tile
        self._hashes = lru_cache(_KEPT)(self._fetch)

    def leaf(self, index: int) -> bytes:
        """The leaf hash at ``index``. Raises IndexError outside the tree."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self._node(0, index)

    def root(self) -> bytes:
        """The tree's root."""
        return self.frontier().root()

    def frontier(self) -> Frontier:
        """The right edge, from which the tree can grow."""
        return Frontier(self.size, self._perfect(0, self.size))

    def inclusion_proof(self, index: int) -> list[bytes]:
        """As tree.inclusion_proof."""
        return [self._range(start, end) for start, end in tree.inclusion_ranges(self.size, index)]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """As tree.consistency_proof: that this tree continues that of its first ``old_size`` leaves."""
        return [self._range(start, end) for start, end in tree.consistency_ranges(old_size, self.size)]

    def _range(self, start: int, end: int) -> bytes:
        """The root over the leaves [start, end), a range out of RFC 9162's recursion."""
        *others, root = self._perfect(start, end)
        for node in reversed(others):
            root = tree.node_hash(node, root)
        return root

    def _perfect(self, start: int, end: int) -> list[bytes]:
        """The roots of the perfect subtrees that make up the range, the largest first."""
        nodes = []
        while start < end:
            height = (end - start).bit_length() - 1
            nodes.append(self._node(height, start >> height))
            start += 1 << height
        return nodes

    def _node(self, height: int, index: int) -> bytes:
        """The root of the perfect subtree number ``index`` of those of 2^height leaves."""
        level, rest = divmod(height, HEIGHT)
        number, first = divmod(index << rest, WIDTH)
        return tree.root(self._hashes(level, number)[first : first + (1 << rest)])

    def _fetch(self, level: int, index: int) -> list[bytes]:
        tile = tile_at(self.size, level, index)
        return decode_tile(self._read(tile.level, tile.index, tile.width), tile.width)


class TileBuilder:
    """Makes the tiles of a growing tree. Not safe for several threads at once."""

    def __init__(self) -> None:
        self._edges: list[list[bytes]] = []
        self._counts: list[int] = []

    @classmethod
    def load(cls, size: int, read_tile: ReadTile) -> Self:
        """One that continues a tree of ``size`` leaves, reading one tile of each level. Raises TileError."""
        builder = cls()
        level = 0
        while count := size >> HEIGHT * level:
            index, width = divmod(count, WIDTH)
            data = read_tile(level, index, width) if width else b""
            builder._edges.append(decode_tile(data, width) if width else [])
            builder._counts.append(count)
            level += 1
        return builder

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._counts[0] if self._counts else 0

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[Tile, bytes]]:
        """Add leaf hashes; the tiles that became full, each after those below it."""
        full: list[tuple[Tile, bytes]] = []
        self._add(0, list(leaves), full)
        return full

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are not full, as a checkpoint at this size needs them."""
        rows = zip(self._counts, self._edges, strict=True)
        return [
            (Tile(level, count // WIDTH, len(edge)), encode_tile(edge))
            for level, (count, edge) in enumerate(rows)
            if edge
        ]

    def root(self) -> bytes:
        """The tree's root."""
        reached: list[bytes] = []
        for edge in self._edges:
            reached = [tree.root([*edge, *reached])] if edge or reached else []
        return reached[0] if reached else tree.EMPTY_ROOT

    def _add(self, level: int, hashes: list[bytes], full: list[tuple[Tile, bytes]]) -> None:
        """Add hashes to one level, and the roots of the tiles that become full to the one above."""
        if hashes and level == len(self._edges):
            self._edges.append([])
            self._counts.append(0)
        start = 0
        while start < len(hashes):
            edge = self._edges[level]
            taken = hashes[start : start + WIDTH - len(edge)]
            edge += taken
            start += len(taken)
            self._counts[level] += len(taken)
            if len(edge) == WIDTH:
                full.append((Tile(level, self._counts[level] // WIDTH - 1), encode_tile(edge)))
                self._edges[level] = []
                self._add(level + 1, [tree.root(edge)], full)
