"""Which engine is measured with how many institutions and values; slow ones with fewer, never by guessing."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.sum import ckks, plain, sealed, secagg
from benchmarks.sum.alone import Cost, Ledger, Shape
from benchmarks.sum.vectors import write_update

PLAIN, MASKED, LATTICE, CKKS, SECAGG = "plain float32", "masked", "lattice", "CKKS", "SecAgg+"
_SMALL = Shape(3, 4096)


@dataclass(frozen=True)
class Engine:
    """One way to add; ``most`` is how many values of all institutions together it is given."""

    play: Callable[[Ledger, Path], None]
    most: int
    full: int
    """As ``most``, for the whole grid."""
    warm: bool = True
    """Whether it may be run once in the process that forks; TenSEAL starts threads, which a fork would lose."""


ENGINES: Mapping[str, Engine] = {
    PLAIN: Engine(plain.play, 3 * 10**8, 10**9),
    MASKED: Engine(partial(sealed.play, engine="masked"), 3 * 10**8, 10**9),
    LATTICE: Engine(partial(sealed.play, engine="lattice"), 10**7, 3 * 10**7, warm=False),
    CKKS: Engine(ckks.play, 10**7, 3 * 10**7, warm=False),
    SECAGG: Engine(secagg.play, 10**7, 10**8),
}
SHAPES = (
    *(Shape(10, 10**power) for power in (4, 5, 6, 7)),
    *(Shape(3, 10**power) for power in (5, 6, 8)),
    Shape(50, 10**5),
)
FULL = tuple(Shape(count, 10**power) for count in (3, 5, 10, 20, 50) for power in (4, 5, 6, 7, 8))
Table = Mapping[tuple[str, Shape], Cost]


def measure(shapes: tuple[Shape, ...], *, full: bool = False, only: tuple[str, ...] = tuple(ENGINES)) -> Table:
    """What a round costs, by engine and shape, as far as each engine goes."""
    table = {}
    for name in only:
        engine = ENGINES[name]
        most = engine.full if full else engine.most
        if engine.warm:
            _play(engine, Ledger(_SMALL, apart=False))
        for shape in shapes:
            if shape.institutions * shape.length <= most:
                print(f"· {name}: {shape.institutions} institutions, {shape.length:,} values", file=sys.stderr)
                table[name, shape] = _play(engine, Ledger(shape))
    return table


def _play(engine: Engine, ledger: Ledger) -> Cost:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        write_update(Path(folder) / "update", ledger.shape.length)
        engine.play(ledger, Path(folder))
        return ledger.cost()
