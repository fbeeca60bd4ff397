"""Tiles and bundles: proofs out of them are those of the whole tree, however they grew."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.audit import tree
from consortia_crypto.audit.tiles import (
    Bundle,
    Tile,
    bundles_of,
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    parse_path,
    tile_at,
    tiles_of,
)  # fmt: skip
from consortia_crypto.audit.tiletree import TileBuilder, TileTree
from consortia_crypto.errors import TileError

HASHES = tree.leaf_hashes(b"%d" % number for number in range(66_000))
sizes = st.integers(1, 800) | st.sampled_from([255, 256, 257, 511, 512, 513, 768])
shared = settings(deadline=None)


class Disk:
    """Tiles by path, as a log folder holds them. A tile that is there already must come again as it is."""

    def __init__(self):
        self.files = {}

    def write(self, tiles):
        for tile, data in tiles:
            assert self.files.setdefault(tile.path, data) == data
            assert len(data) == tile.width * 32

    def read(self, level, index, width):
        return self.files[Tile(level, index, width).path]


def grown(*steps):
    """A disk and a builder after so many leaves in each step, with a checkpoint's tiles written after each."""
    disk, builder = Disk(), TileBuilder()
    for size in steps:
        disk.write(builder.extend(HASHES[builder.size : size]))
        disk.write(builder.partial())
    return disk, builder


def check(seen, disk, index, old):
    """All that can be asked of the tree ``seen`` is what the list of its leaves says."""
    hashes = HASHES[: seen.size]
    assert seen.root() == tree.root(hashes)
    assert seen.leaf(index) == hashes[index]
    assert seen.inclusion_proof(index) == tree.inclusion_proof(hashes, index)
    assert seen.consistency_proof(old) == tree.consistency_proof(hashes, old)


@pytest.fixture(scope="module")
def large():
    """What has three levels of tiles, with checkpoints around the point where the third begins."""
    return grown(65_535, 65_536, 65_537, 66_000)[0]


@shared
@given(sizes, st.data())
def test_proofs_from_tiles_are_the_same(size, data):
    disk, builder = grown(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    check(TileTree(size, disk.read), disk, index, old)
    assert builder.root() == tree.root(HASHES[:size])
    assert set(disk.files) == {tile.path for tile in tiles_of(size)}


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 66_000])
def test_proofs_from_three_levels_of_tiles_are_the_same(large, size):
    for index, old in [(0, 1), (size - 1, size), (65_300, 65_280), (256, 32_768)]:
        check(TileTree(size, large.read), large, index, old)
    builder = TileBuilder.load(size, large.read)
    assert builder.size == size
    assert builder.root() == tree.root(HASHES[:size])


def test_a_full_tile_serves_for_a_partial_one(large):
    def full(level, index, width):
        return large.files.get(f"tile/{level}/{index:03d}") or large.read(level, index, width)

    assert TileTree(65_535, full).root() == tree.root(HASHES[:65_535])


@shared
@given(st.lists(sizes, min_size=1, max_size=4).map(sorted))
def test_growing_after_loading_is_growing(steps):
    disk, builder = grown(*steps)
    again = TileBuilder.load(steps[0], disk.read)
    disk.write(again.extend(HASHES[steps[0] : steps[-1]]))
    disk.write(again.partial())
    assert (again.size, again.root(), again.partial()) == (builder.size, builder.root(), builder.partial())
    assert TileTree(steps[-1], disk.read).frontier().root() == builder.root()
    assert set(disk.files) == {tile.path for old, new in pairwise([0, *steps]) for tile in tiles_of(new, old)}


@shared
@given(sizes, st.data())
def test_an_altered_hash_at_the_edge_is_seen_in_the_root(size, data):
    disk, builder = grown(size)
    tile = data.draw(st.sampled_from([tile for tile, _ in builder.partial()]))
    altered = bytearray(disk.files[tile.path])
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= 1
    disk.files[tile.path] = bytes(altered)
    assert TileTree(size, disk.read).root() != builder.root()
    assert TileBuilder.load(size, disk.read).root() != builder.root()


@shared
@given(sizes, st.data())
def test_a_tile_of_another_length_is_refused(size, data):
    disk, _ = grown(size)
    index = data.draw(st.integers(0, size - 1))
    tile = tile_at(size, 0, index // 256)
    cut = data.draw(st.integers(0, len(disk.files[tile.path]) - 1))
    disk.files[tile.path] = disk.files[tile.path][:cut]
    with pytest.raises(TileError):
        TileTree(size, disk.read).leaf(index)


def test_a_leaf_outside_the_tree_has_no_hash():
    disk, _ = grown(5)
    for index in (-1, 5):
        with pytest.raises(IndexError):
            TileTree(5, disk.read).leaf(index)


@given(st.integers(0, 7), st.integers(0, 2**62), st.integers(1, 256))
def test_a_path_says_where(level, index, width):
    with contextlib.suppress(TileError):  # so far out that no tree reaches
        tile = Tile(level, index, width)
        assert parse_path(tile.path) == tile
        assert (tile.start, tile.end) == (index * 256, index * 256 + width)
    with contextlib.suppress(TileError):
        bundle = Bundle(index, width)
        assert parse_path(bundle.path) == bundle
        assert (bundle.start, bundle.end) == (index * 256, index * 256 + width)


@given(st.text(max_size=40) | st.from_regex(r"tile/(entries|[0-9]{1,2})/(x?[0-9]{2,4}/?){1,12}(\.p/[0-9]{1,4})?"))
def test_any_path_is_one_place_or_refused(path):
    with contextlib.suppress(TileError):
        assert parse_path(path).path == path


@pytest.mark.parametrize("path", [
    "tile/8/000", "tile/00/000", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/001/x000", "tile/0/000.p/0",
    "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000/", "/tile/0/000", "tile/0/000\n", "tile/0/x001/x000",
    "tile/0/٠٠٠", "tile/7/128", "tile/entries/000.p/", "tile/entries/" + "x999/" * 9 + "999",
])  # fmt: skip
def test_a_path_of_another_spelling_is_refused(path):
    with pytest.raises(TileError):
        parse_path(path)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_bundles_hold_all_entries_since(size, since):
    bundles = list(bundles_of(size, since))
    assert bool(bundles) == (size > since)
    if bundles:
        assert bundles[0].start <= since < bundles[0].end
        assert bundles[-1].end == size
        assert all(one.end == other.start for one, other in pairwise(bundles))


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_bundles_come_back(entries):
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for wrong, width in [(data + b"\0", len(entries)), (data, len(entries) + 1), (data[:-1], len(entries))]:
        with pytest.raises(TileError):
            decode_bundle(wrong if entries else b"x", width)


def test_an_entry_too_long_for_a_bundle_is_refused():
    assert decode_bundle(encode_bundle([b"x" * 0xFFFF]), 1) == [b"x" * 0xFFFF]
    with pytest.raises(TileError):
        encode_bundle([b"x" * 0x10000])


@given(st.binary(max_size=300), st.integers(0, 256))
def test_garbage_is_a_bundle_that_comes_back_or_refused(data, width):
    with contextlib.suppress(TileError):
        assert encode_bundle(decode_bundle(data, width)) == data


@given(st.integers(1, 256), st.binary(max_size=70))
def test_a_tile_is_as_long_as_it_must_be(width, tail):
    data = encode_tile(HASHES[:width])
    assert decode_tile(data, width) == HASHES[:width]
    if tail and width < 250:
        with pytest.raises(TileError):
            decode_tile(data + tail, width)


@pytest.mark.parametrize(("level", "index", "width"), [
    (-1, 0, 1), (8, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (7, 0, 128), (0, 2**55, 1),
])  # fmt: skip
def test_a_tile_that_no_tree_has_is_refused(level, index, width):
    with pytest.raises(TileError):
        Tile(level, index, width)
