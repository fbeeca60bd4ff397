"""A log's tree and entries as tiles and bundles on disk (C2SP tlog-tiles), grown at each checkpoint.

Everything here is derived: it is read back from the segments, hashed anew and compared with what the writer knows
before it counts, and can be made again from them at any time. A file is whole or not there; what a checkpoint needs
is on disk before the checkpoint is signed.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn

from consortia_common.audit_disk import Disk, make_folders, put_file, sync_folders
from consortia_common.audit_segments import LogFolder, Position, walk
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import tree
from consortia_crypto.audit.tiles import WIDTH, Bundle, Tile, bundles_of, encode_bundle
from consortia_crypto.audit.tiletree import TileBuilder
from consortia_crypto.errors import TileError


class TileStore:
    """The tiles of one log folder, as of ``size`` entries. For one thread at a time."""

    def __init__(self, folder: LogFolder, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._builder = TileBuilder()
        self._position = Position()
        self._partial: list[Path] = []

    @property
    def size(self) -> int:
        """So many entries are in the tree."""
        return self._builder.size

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self._builder.root()

    def load(self, size: int, root: bytes) -> bool:
        """Go on from the tiles of ``size`` entries on disk; False if they don't lead to ``root``."""
        try:
            builder = TileBuilder.load(size, self._read)
        except (TileError, OSError):
            return False
        if builder.root() != root:
            return False
        self._builder = builder
        self._partial = [self._folder.path / tile.path for tile, _ in builder.partial()]
        if size % WIDTH:
            self._partial.append(self._folder.path / Bundle(size // WIDTH, size % WIDTH).path)
        return True

    def grow(self, leaves: Sequence[bytes]) -> None:
        """Add the entries with these leaf hashes, which must be what the segments hold.

        When this returns, every tile and bundle is on disk. Raises LogStorageError or OSError.
        """
        first, size = self.size, self.size + len(leaves)
        if not leaves:
            return
        folders: set[Path] = set()
        for bundle, entries in self._read_back(first, size):
            hashes = tree.leaf_hashes(entries[max(0, first - bundle.start) :])
            if hashes != list(leaves[max(0, bundle.start - first) : bundle.end - first]):
                _refuse(f"entries {bundle.start} to {bundle.end - 1} read back from disk are not those written")
            self._put(bundle.path, encode_bundle(entries), folders)
        for tile, data in [*self._builder.extend(leaves), *self._builder.partial()]:
            self._put(tile.path, data, folders)
        sync_folders(self._disk, folders)

    def drop_partial(self) -> None:
        """Remove the partial tiles and bundles of smaller trees, which a published checkpoint has replaced."""
        wanted = [tile.path for tile, _ in self._builder.partial()]
        if self.size % WIDTH:
            wanted.append(Bundle(self.size // WIDTH, self.size % WIDTH).path)
        partial = [self._folder.path / path for path in wanted]
        for path in self._partial:
            if path not in partial:
                self._disk.remove(path)
        self._partial = partial

    def read(self, level: int, index: int, width: int) -> bytes:
        """The bytes of a tile, for ``TileTree``. Raises TileError."""
        try:
            return self._read(level, index, width)
        except OSError as error:
            raise TileError(
                f"tile {level}/{index} can't be read: {error.strerror}",
                blame="the disk, or whoever removed the file",
                remedy="rebuild the tiles from the log's entries with `consortia audit fsck`",
            ) from error

    def _read(self, level: int, index: int, width: int) -> bytes:
        return read_tile(self._folder, level, index, width)

    def _read_back(self, first: int, size: int) -> Iterator[tuple[Bundle, list[bytes]]]:
        """The bundles that a log of ``size`` entries has and one of ``first`` does not, from the segments."""
        begun = first // WIDTH * WIDTH
        records = islice(walk(self._folder, begun, self._position), size - begun)
        for bundle in bundles_of(size, first):
            entries = []
            for number, (segment, offset, entry) in enumerate(islice(records, bundle.width)):
                if number == 0:
                    self._position = Position(bundle.start, segment, offset)
                entries.append(entry)
            if len(entries) != bundle.width:
                _refuse(f"entries from {bundle.start + len(entries)} on are missing from the segments")
            yield bundle, entries

    def _put(self, name: str, data: bytes, folders: set[Path]) -> None:
        """Write one file and read it back; its folder is left to be synced."""
        path = self._folder.path / name
        make_folders(self._disk, path.parent, inside=self._folder.path)
        put_file(self._disk, path, data)
        if path.read_bytes() != data:
            _refuse(f"{name} read back from disk is not what was written")
        folders.add(path.parent)


def files_of_tree(folder: LogFolder, size: int, builder: TileBuilder) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every tile and bundle of the tree of the first ``size`` entries, made from the segments.

    ``builder``, an empty one, has all of them in it afterwards. Ends early if there are fewer entries.
    """
    entries = islice((entry for _, _, entry in walk(folder, 0)), size)
    for index in range(-(-size // WIDTH)):
        bundle = list(islice(entries, WIDTH))
        if not bundle:
            break
        yield Bundle(index, len(bundle)).path, encode_bundle(bundle)
        yield from ((tile.path, data) for tile, data in builder.extend(tree.leaf_hashes(bundle)))
    yield from ((tile.path, data) for tile, data in builder.partial())


def read_tile(folder: LogFolder, level: int, index: int, width: int) -> bytes:
    """The bytes of a tile in a log folder; of the full one where that is there. Raises OSError."""
    for tile in (Tile(level, index), Tile(level, index, width)):
        path = folder.path / tile.path
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(2, "no such tile", tile.path)


def _refuse(why: str) -> NoReturn:
    raise LogStorageError(
        f"no checkpoint can be signed: {why}",
        blame="the disk, or whoever changed its files",
        remedy="stop this process, verify the log with `consortia audit verify`, and replace the disk",
    )
