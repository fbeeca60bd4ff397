"""Who learns what from whom in each compared system, and what else its users give up: the other half of its price.

What is said of NVFlare and Flower is what their code does at the versions that are locked here or were measured.
The same table stands in docs/sealed-sum.md.
"""

import textwrap

COLUMNS = ("plain", "CKKS, one shared key", "SecAgg+ (flwr)", "Consortia, masked", "Consortia, lattice")
TABLE = (
    (
        "coordinator alone learns",
        "every update",
        "nothing",
        "the sum; every update if it hands out keys of its own, since nobody signs them",
        "nothing",
        "nothing",
    ),
    (
        "one institution alone learns",
        "the sum",
        "the sum; any update whose ciphertext it gets hold of",
        "the sum",
        "the sum",
        "the sum",
    ),
    (
        "coordinator + 1 institution learn",
        "every update",
        "every update: each institution has the key to all",
        "the sum, if the coordinator is honest",
        "the sum",
        "the sum",
    ),
    (
        "coordinator + k institutions learn",
        "every update",
        "every update, k = 1 is enough",
        "the sum, while they are below the threshold and the coordinator is honest about keys and drop-outs",
        "one sum of at least t − k ≥ 2 others, also if the coordinator lies",
        "the same",
    ),
    (
        "an altered total is noticed",
        "no",
        "no",
        "no",
        "yes; if an institution helps to alter it, by the hashes that all signed",
        "the same",
    ),
    ("drop-outs", "any", "any", "up to N − t", "up to N − t, at any step", "up to N − t, at any step"),
    (
        "recorded traffic, later a quantum computer",
        "is open anyway",
        "stays closed",
        "opens: ECDH on P-384",
        "stays closed: ML-KEM-768 with X25519",
        "the same",
    ),
)
"""Rows: the question, then the answer for each of COLUMNS."""
_WIDTH = 24


def show() -> None:
    """The table, for a person."""
    for row in (("", *COLUMNS), *TABLE):
        cells = [textwrap.wrap(cell, _WIDTH) or [""] for cell in row]
        for line in range(max(map(len, cells))):
            print("  ".join(f"{cell[line] if line < len(cell) else '':{_WIDTH}}" for cell in cells).rstrip())
        print()


def markdown() -> str:
    """The table, for the documentation."""
    rows = (("", *COLUMNS), ("---",) * (1 + len(COLUMNS)), *TABLE)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
