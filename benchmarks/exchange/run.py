"""``make bench-exchange``: what the exchange costs as the network grows, beside its limit and its peer.

``python -m benchmarks.exchange.run [--quick]``, see ``--help``. Coordinator and nodes share the machine: with
200 nodes most of it goes to playing the nodes. Good for something only on a machine that does nothing else.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.exchange import flower, plain, report
from benchmarks.exchange.costs import Costs
from benchmarks.exchange.measure import measure
from benchmarks.exchange.streams import Shape
from benchmarks.figures import show, store
from benchmarks.sum import kinds

SIZES = (3, 10, 50, 200)
LENGTH = 100_000
LARGE = 4_000_000
"""Parameters of the message whose throughput is measured, at three nodes."""
ROUNDS = 6
FLOWER_ROUNDS = 3


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store."""
    options = _options(arguments)
    sizes = SIZES[:2] if options.quick else SIZES
    kinds.add()
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    costs = {size: _measured(size, large=size == SIZES[0]) for size in sizes}
    limits = {size: _limit(size, LENGTH) for size in sizes}
    _say("streams, a large message")
    shape = Shape(SIZES[0], 4 * LARGE, ROUNDS)
    large = report.Limits(4 * LARGE, plain.measure(shape), plain.measure_tls(shape))
    peer = None if options.without_flower else _peer()
    figures = [*report.growth(costs, limits), *report.goals(costs, large, peer)]
    print()
    show(figures, "exchange", "beside")
    print(f"stored in {store(figures, 'exchange')}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exchange.run", description="Measure the exchange.")
    parser.add_argument("--quick", action="store_true", help="3 and 10 nodes only, to see that it works")
    parser.add_argument("--without-flower", action="store_true", help="leave out the peer, which takes minutes")
    return parser.parse_args(arguments)


def _measured(size: int, *, large: bool) -> Costs:
    _say(f"the exchange: {size} nodes")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        return measure(Path(folder), size, (LENGTH, LARGE) if large else (LENGTH,), ROUNDS)


def _limit(size: int, length: int) -> float:
    return plain.measure(Shape(size, 4 * length, ROUNDS))


def _peer() -> float:
    _say(f"Flower: {flower.NODES} nodes")
    return flower.measure(LENGTH, FLOWER_ROUNDS)


def _say(what: str) -> None:
    print(f"· {what}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
