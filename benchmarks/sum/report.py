"""Figures from costs: the table of all engines, the goals, and what is stored."""

from collections.abc import Mapping

from benchmarks.figures import Figure, figure
from benchmarks.sum import arithmetic
from benchmarks.sum.alone import Cost, Shape
from benchmarks.sum.grid import CKKS, ENGINES, MASKED, PLAIN, Table

MAIN = Shape(10, 10**6)
"""What the goals are about."""
NVFLARE = {Shape(3, 10**5): (3.34, 59e6), Shape(3, 10**6): (9.64, 471e6)}
"""Seconds and bytes of a round of NVFlare 2.9's own job with homomorphic encryption, as last measured: for where it
can't be measured beside."""
_MEGABYTE = 1e6
Peer = Mapping[Shape, tuple[float, float]]
Kinds = Mapping[str, Mapping[str, float]]
Rounds = Mapping[Shape, Kinds]
"""Rounds over the exchange by shape, by kind: seconds, cpu, bytes."""


def columns(cost: Cost, length: int) -> tuple[tuple[str, float, str], ...]:
    """A cost as figures: what, value, unit."""
    return (
        ("CPU of one institution", cost.cpu["institution"] * 1000, "ms"),
        ("CPU of the coordinator", cost.cpu["coordinator"] * 1000, "ms"),
        ("sent by one institution", cost.sent / length, "B/par"),
        ("received by one institution", cost.received / length, "B/par"),
        ("memory of one institution", cost.memory["institution"] / 2**20, "MiB"),
        ("memory of the coordinator", cost.memory["coordinator"] / 2**20, "MiB"),
    )


def of_grid(table: Table) -> list[Figure]:
    """Every cost, against that of plain summation."""
    figures = []
    for (name, shape), cost in table.items():
        base = table.get((PLAIN, shape)) if name != PLAIN else None
        limits = columns(base, shape.length) if base else None
        for place, (what, value, unit) in enumerate(columns(cost, shape.length)):
            about = f"{name}, {shape.institutions} × {shape.length}: {what}"
            figures.append(figure(about, value, unit, limits[place][1] if limits else None))
    return figures


def show_grid(table: Table) -> None:
    """A line for each engine and shape."""
    print(f"{'':34} {'CPU, ms':>21} {'bytes per parameter':>21} {'peak memory, MiB':>21}")
    print(
        f"{'institutions × parameters':34}"
        + f"{'institution':>12}{'coordin.':>10}{'sent':>12}{'received':>10}"
        + f"{'institution':>12}{'coordin.':>10}"
    )
    for shape in dict.fromkeys(shape for _, shape in table):
        print(f"{shape.institutions} × {shape.length:,}")
        for name in ENGINES:
            if (name, shape) in table:
                cells = [value for _, value, _ in columns(table[name, shape], shape.length)]
                widths = (12, 10, 12, 10, 12, 10)
                print(
                    f"    {name:30}"
                    + "".join(f"{cell:{width},.2f}" for cell, width in zip(cells, widths, strict=True))
                )


def cpu_goals(table: Table) -> list[Figure]:
    """Bytes and CPU at MAIN; nothing where it was not measured."""
    if not {(MASKED, MAIN), (CKKS, MAIN)} <= set(table):
        return []
    masked, peer = table[MASKED, MAIN], table[CKKS, MAIN]
    count, length = MAIN.institutions, MAIN.length
    sent = masked.sent / length
    pairs = (
        ("everybody", masked.total_cpu(count), peer.total_cpu(count)),
        ("one institution", masked.cpu["institution"], peer.cpu["institution"]),
        ("sealing one update", masked.sealing, peer.sealing),
        (
            "cryptography of one upload",
            arithmetic.measured(arithmetic.masking, MAIN),
            arithmetic.measured(arithmetic.encryption, MAIN),
        ),
    )
    return [
        figure("bytes per parameter that an institution sends", sent, "B", 4.0, "≤ 4.01", sent <= 4.01),
        *(
            figure(
                f"CPU, {who}: as many times less than CKKS", theirs / ours, "×", None, "≥ 80", theirs >= 80 * ours
            )
            for who, ours, theirs in pairs
        ),
    ]


def round_goals(rounds: Rounds, peer: Peer = NVFLARE) -> list[Figure]:
    """Whole rounds over the exchange, sealed against plain, and against NVFlare's."""
    figures = []
    for shape, kinds in rounds.items():
        sealed, plain = kinds["sealed_round"], kinds["plain_round"]
        name = f"round over the exchange, {shape.institutions} × {shape.length}"
        goal, within = ("≤ 150 %", sealed["seconds"] <= 1.5 * plain["seconds"]) if shape == MAIN else ("", None)
        figures += [
            figure(f"{name}: time", sealed["seconds"], "s", plain["seconds"], goal, within),
            figure(f"{name}: CPU of everybody", sealed["cpu"], "s", plain["cpu"]),
            figure(f"{name}: all messages", sealed["bytes"] / _MEGABYTE, "MB", plain["bytes"] / _MEGABYTE),
        ]
        if shape in peer:
            seconds, size = peer[shape]
            faster, fewer = seconds / sealed["seconds"], size / sealed["bytes"]
            figures += [
                figure("  NVFlare's with HE: time", seconds, "s"),
                figure("  NVFlare's with HE: all messages", size / _MEGABYTE, "MB"),
                figure("  times faster than NVFlare's with HE", faster, "×", None, "≥ 30", faster >= 30),
                figure("  times fewer bytes than NVFlare's with HE", fewer, "×", None, "≥ 15", fewer >= 15),
            ]
    return figures
