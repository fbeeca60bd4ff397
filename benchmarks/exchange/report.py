"""PURE: the figures' lines: how costs grow with the network, and what was to be reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.exchange.costs import Costs
from benchmarks.figures import Figure, figure

MIB = 1 << 20
ROUND_SECONDS = 0.1
FLOWER_TIMES = 100
THROUGHPUT = 0.7
MOST_IN_A_SUM = 50
"""In larger networks, so many of the nodes take part in sums: the most that a job spec may ask."""
GROWTH = 1.3
"""How much more than in proportion a round's cost may grow from one size to the next."""


def growth(costs: Mapping[int, Costs], limits: Mapping[int, float]) -> list[Figure]:
    """A line for each cost and size. ``limits``: seconds of a round over plaintext streams, by size."""
    lines: list[Figure] = []
    for size, cost in costs.items():
        (round_, *_) = cost.plain.values()
        lines += [
            figure(f"{size} nodes: until all are attached", cost.attach, "s"),
            figure(f"{size} nodes: idle, CPU of the coordinator", cost.idle_cpu * 100, "% core"),
            figure(f"{size} nodes: statistics job, {_of(size)}", cost.statistics.seconds, "s"),
            figure(f"{size} nodes: statistics job, {_of(size)}, CPU", cost.statistics.cpu, "s"),
            figure(
                f"{size} nodes: round, plaintext streams beside", round_.seconds * 1000, "ms", limits[size] * 1000
            ),
            figure(f"{size} nodes: round, CPU of the coordinator", round_.cpu * 1000, "ms"),
            figure(f"{size} nodes: sealed round, {_of(size)}", cost.sealed.seconds * 1000, "ms"),
            figure(f"{size} nodes: sealed round, {_of(size)}, CPU", cost.sealed.cpu * 1000, "ms"),
        ]
    return [*lines, *_steeper(costs)]


def _of(size: int) -> str:
    return f"{min(size, MOST_IN_A_SUM)} of them"


@dataclass(frozen=True)
class Limits:
    """Seconds in which messages of ``size`` bytes go to three nodes and back, with nothing done to them."""

    size: int
    plaintext: float
    tls: float


def goals(costs: Mapping[int, Costs], large: Limits, peer: float | None) -> list[Figure]:
    """What was to be reached. ``peer``: Flower's seconds of a round."""
    first, last = costs[min(costs)], costs[max(costs)]
    short, *_, long = first.plain.values()
    lines = [
        figure(
            "round without training at 3 nodes",
            short.seconds * 1000,
            "ms",
            goal=f"< {ROUND_SECONDS * 1000:.0f} ms",
            met=short.seconds < ROUND_SECONDS,
        ),
        figure(
            "throughput at 3 nodes, plaintext streams beside",
            2 * 3 * large.size / long.seconds / MIB,
            "MiB/s",
            2 * 3 * large.size / large.plaintext / MIB,
            f"≥ {THROUGHPUT:.0%}",
            met=large.plaintext / long.seconds >= THROUGHPUT,
        ),
        figure(
            "throughput at 3 nodes, streams under the same TLS beside",
            2 * 3 * large.size / long.seconds / MIB,
            "MiB/s",
            2 * 3 * large.size / large.tls / MIB,
        ),
        figure(
            f"memory of the coordinator per idle node, {max(costs)} nodes",
            last.memory / MIB,
            "MiB",
            goal="< 1 MiB",
            met=last.memory < MIB,
        ),
    ]
    if peer is not None:
        met = peer / short.seconds >= FLOWER_TIMES
        beside = f"1/{FLOWER_TIMES} of it"
        lines.append(figure("round at 3 nodes, Flower's engine beside", short.seconds, "s", peer, beside, met=met))
    return lines


def _steeper(costs: Mapping[int, Costs]) -> list[Figure]:
    """Whether a round's CPU grows faster than the network."""
    lines = []
    for (small, before), (large, after) in pairwise(costs.items()):
        for what, early, late in (
            ("round", next(iter(before.plain.values())).cpu, next(iter(after.plain.values())).cpu),
            ("sealed round", before.sealed.cpu, after.sealed.cpu),
        ):
            if what == "sealed round" and large > MOST_IN_A_SUM:
                continue
            times = late / early / (large / small)
            met = times <= GROWTH
            name = f"{what}: CPU per node, {large} nodes against {small}"
            lines.append(figure(name, times, "times", goal=f"≤ {GROWTH} times", met=met))
    return lines
