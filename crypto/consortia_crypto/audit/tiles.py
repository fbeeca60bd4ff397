"""A log's tree and entries as static files, after C2SP tlog-tiles: where each lies, and what may lie there.

A tile holds 256 consecutive hashes of the tree: leaf hashes at level 0, and at each level above, the roots of full
tiles below. Tiles of fewer hashes stand only at the right edge. A bundle holds the 256 entries of a level 0 tile.
What is in a full tile never changes. ``TileTree`` reads, ``TileBuilder`` writes, neither touches a disk.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from consortia_crypto.audit.tree import HASH_LENGTH, MAX_SIZE
from consortia_crypto.errors import TileError

WIDTH = 256
HEIGHT = 8
MAX_LEVEL = 7
"""A tree of at most 2^63 − 1 leaves has no tile above this level."""
MAX_BUNDLED_ENTRY = 0xFFFF
_PATH = re.compile(r"tile/(entries|[0-7])/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, order=True)
class Tile:
    """Where a tile stands: ``width`` hashes from number ``256 * index`` on of those at ``level``."""

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MAX_LEVEL or self.end << (HEIGHT * self.level) > MAX_SIZE:
            raise _refused("no tree reaches that far")
        _check_place(self.index, self.width)

    @property
    def start(self) -> int:
        """The number of its first hash among those of its level."""
        return self.index * WIDTH

    @property
    def end(self) -> int:
        """The number after that of its last hash."""
        return self.start + self.width

    @property
    def path(self) -> str:
        """Where it is served: ``tile/0/x001/234``, or with ``.p/17`` behind if it is 17 hashes wide."""
        return f"tile/{self.level}/{_numbered(self.index, self.width)}"


@dataclass(frozen=True, order=True)
class Bundle:
    """Where a bundle stands: ``width`` entries from number ``256 * index`` on."""

    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        _check_place(self.index, self.width)

    @property
    def start(self) -> int:
        """The number of its first entry."""
        return self.index * WIDTH

    @property
    def end(self) -> int:
        """The number after that of its last entry."""
        return self.start + self.width

    @property
    def path(self) -> str:
        """Where it is served: ``tile/entries/x001/234``, or with ``.p/17`` behind if it has 17 entries."""
        return f"tile/entries/{_numbered(self.index, self.width)}"


def parse_path(path: str) -> Tile | Bundle:
    """The tile or bundle that lies at ``path``. Raises TileError; each has one path only."""
    match = _PATH.fullmatch(path)
    if match is None or len(match[2]) > 32:
        raise _refused("it is not at the path of one")
    index = int(match[2].replace("x", "").replace("/", "") + match[3])
    width = int(match[4]) if match[4] else WIDTH
    place = Bundle(index, width) if match[1] == "entries" else Tile(int(match[1]), index, width)
    if place.path != path:
        raise _refused("its path is not written in the one proper way")
    return place


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """The tiles of a tree of ``size`` leaves that one of ``since`` leaves does not have, from level 0 upwards."""
    for level in range(MAX_LEVEL + 1):
        have, need = since >> HEIGHT * level, size >> HEIGHT * level
        if need > have:
            yield from (Tile(level, index, width) for index, width in _places(need, have))


def bundles_of(size: int, since: int = 0) -> Iterator[Bundle]:
    """The bundles of a log of ``size`` entries that one of ``since`` entries does not have."""
    if size > since:
        yield from (Bundle(index, width) for index, width in _places(size, since))


def tile_at(size: int, level: int, index: int) -> Tile:
    """Tile ``index`` of ``level`` as a tree of ``size`` leaves has it. Raises TileError if it has none there."""
    return Tile(level, index, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def encode_tile(hashes: Sequence[bytes]) -> bytes:
    """A tile's bytes."""
    return b"".join(hashes)


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """The first ``width`` hashes of a tile; ``data`` may be the full tile instead. Raises TileError."""
    if len(data) not in (width * HASH_LENGTH, WIDTH * HASH_LENGTH):
        raise _refused("it has not the size that it must have")
    return [data[i : i + HASH_LENGTH] for i in range(0, width * HASH_LENGTH, HASH_LENGTH)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """A bundle's bytes: each entry behind its length in two bytes, big-endian. TileError if one is too long."""
    bundle = list(entries)
    if max(map(len, bundle), default=0) > MAX_BUNDLED_ENTRY:
        raise _refused(f"an entry is longer than {MAX_BUNDLED_ENTRY} bytes")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in bundle])


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The ``width`` entries of a bundle, which ``data`` must be to the last byte. Raises TileError."""
    entries: list[bytes] = []
    offset = 0
    while offset < len(data) and len(entries) < width:
        start = offset + 2
        offset = start + int.from_bytes(data[offset:start], "big")
        entries.append(data[start:offset])
    if offset != len(data) or len(entries) != width:
        raise _refused(f"it is not {width} whole entries")
    return entries


def _places(size: int, since: int) -> Iterator[tuple[int, int]]:
    """Index and width of what holds the items ``since`` to ``size``."""
    for index in range(since // WIDTH, -(-size // WIDTH)):
        yield index, min(WIDTH, size - index * WIDTH)


def _numbered(index: int, width: int) -> str:
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return number if width == WIDTH else f"{number}.p/{width}"


def _check_place(index: int, width: int) -> None:
    if index < 0 or not 1 <= width <= WIDTH or index * WIDTH + width > MAX_SIZE:
        raise _refused("no tree has one there")


def _refused(why: str) -> TileError:
    return TileError(
        f"a tile or entry bundle was refused: {why}",
        blame="whoever stored or sent it",
        remedy="rebuild the tiles from the log's entries with `consortia audit fsck`, or ask for another copy",
    )
