"""Counts rows by several keys in one scan.

DuckDB does that by GROUPING SETS, for which narwhals has no word; so this is written for its relations, with names
that are made here. Any other engine counts one key after the other. Keys are small integers; those of several
tallies are packed into one, since a few wide groupings cost less than many narrow ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Frame = nw.LazyFrame[Any]
PACKED = 4096
"""Keys are packed together while they have no more than so many values."""
_COUNT = "_rows"


def count_by(frame: Frame, keys: Mapping[str, tuple[nw.Expr, int]]) -> dict[str, NDArray[np.int64]]:
    """How many rows have each value of each key: an array as long as the key's size.

    A key is an expression over ``frame``, from 0 to below its size and never null.
    """
    packs = _packs({name: size for name, (_, size) in keys.items()})
    names = [f"_pack{number}" for number in range(len(packs))]
    packed = frame.select(**{name: _packed(pack, keys) for name, pack in zip(names, packs, strict=True)})
    counts = {}
    for pack, table in zip(packs, _counted(packed, names), strict=True):
        shape = [keys[name][1] for name in pack]
        cube = np.zeros(int(np.prod(shape)), np.int64)
        cube[table.column(0).to_numpy()] = table.column(1).to_numpy()
        cube = cube.reshape(shape)
        for place, name in enumerate(pack):
            counts[name] = cube.sum(axis=tuple(axis for axis in range(len(pack)) if axis != place))
    return counts


def _packs(sizes: Mapping[str, int]) -> list[list[str]]:
    """The keys in groups: the largest first, each with as many of the smallest as fit."""
    waiting = sorted(sizes, key=lambda name: sizes[name], reverse=True)
    packs = []
    while waiting:
        pack = [waiting.pop(0)]
        values = sizes[pack[0]]
        while waiting and values * sizes[waiting[-1]] <= PACKED:
            values *= sizes[waiting[-1]]
            pack.append(waiting.pop())
        packs.append(pack)
    return packs


def _packed(pack: Sequence[str], keys: Mapping[str, tuple[nw.Expr, int]]) -> nw.Expr:
    value = keys[pack[0]][0]
    for name in pack[1:]:
        key, size = keys[name]
        value = value * size + key
    return value.cast(nw.Int32)


def _counted(packed: Frame, names: Sequence[str]) -> list[pa.Table]:
    """For each name a table of its values and their rows."""
    native = packed.to_native()
    if isinstance(native, duckdb.DuckDBPyRelation):
        listed = ", ".join(names)
        sets = ", ".join(f"({name})" for name in names)
        every = native.aggregate(f"{listed}, count(*) AS {_COUNT}", f"GROUPING SETS ({sets})").to_arrow_table()
        return [every.select([name, _COUNT]).filter(every[name].is_valid()) for name in names]
    return [
        packed.group_by(name).agg(nw.len().alias(_COUNT)).collect("pyarrow").to_native().select([name, _COUNT])
        for name in names
    ]
