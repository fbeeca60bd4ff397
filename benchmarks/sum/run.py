"""``make bench-sum``: every engine's costs, whole rounds over the exchange, and who learns what from whom.

``python -m benchmarks.sum.run [--quick | --full] [--nvflare PYTHON]``, see ``--help``. Times are good for something
only on a machine that does nothing else; CPU times suffer less.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure, figure, show, store
from benchmarks.sum import grid, leaks, nvflare, plot, report, sealed
from benchmarks.sum.alone import Shape

ROUNDS = ((Shape(10, 10**6), 5), (Shape(3, 10**6), 8), (Shape(3, 10**5), 12))
"""Over the exchange: the shape, and how many rounds a job has."""


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store, draw."""
    options = _options(arguments)
    shapes = grid.FULL if options.full else grid.SHAPES
    if options.quick:
        shapes = tuple(replace(shape, length=shape.length // 10) for shape in shapes)
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rounds = _rounds(quick=options.quick)
    peer = _nvflare(options.nvflare) if options.nvflare else report.NVFLARE
    table = grid.measure(shapes, full=options.full)
    report.show_grid(table)
    figures = [*report.cpu_goals(table), *_epochs(), *report.round_goals(rounds, peer)]
    print()
    show(figures, "sealed", "plain")
    print("\nWho learns what:\n")
    leaks.show()
    print(f"stored in {store([*figures, *report.of_grid(table)], 'sum')}")
    print(plot.draw(table))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sum.run", description="Measure sealed sums.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    size.add_argument("--full", action="store_true", help="the whole grid of institutions and parameters")
    parser.add_argument(
        "--nvflare",
        type=Path,
        default=os.environ.get("BENCH_NVFLARE"),
        metavar="PYTHON",
        help="the interpreter of an environment with nvflare[HE], to measure its job too; default: $BENCH_NVFLARE",
    )
    return parser.parse_args(arguments)


def _epochs() -> list[Figure]:
    return [
        figure(f"CPU of one institution, keys of a job with {count} parties", sealed.epoch_cost(count) * 1000, "ms")
        for count in (3, 10, 50)
    ]


def _nvflare(interpreter: Path) -> report.Peer:
    print(f"· NVFlare: {nvflare.CLIENTS} clients", file=sys.stderr)
    return nvflare.measure(interpreter.absolute())


def _rounds(*, quick: bool) -> report.Rounds:
    """Each shape in a fresh process of its own."""
    found = {}
    for shape, count in ROUNDS:
        asked = (replace(shape, length=shape.length // 10), 4) if quick else (shape, count)
        found[asked[0]] = _in_fresh_process(*asked)
    return found


def _in_fresh_process(shape: Shape, rounds: int) -> report.Kinds:
    print(f"· the exchange: {shape.institutions} institutions, {shape.length:,} values", file=sys.stderr)
    words = ["-m", "benchmarks.sum.exchange", str(shape.institutions), str(shape.length), str(rounds)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the rounds over the exchange failed:\n{done.stderr[-2000:]}")
    read: report.Kinds = json.loads(done.stdout.splitlines()[-1])
    return read


if __name__ == "__main__":
    main(sys.argv[1:])
