"""Models of every kind with everything that a preparation can do, and rows with everything that a row can hold."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from consortia_common.documents.fitted import Model

NUMBERS = ("income", "age")
CATEGORIES: dict[str, tuple[int | str, ...]] = {"branch": ("north", "south", "Ost-West"), "product": (1, 7)}
KINDS = ("linear", "trees", "network")

reals = st.floats(-50, 50).map(lambda number: repr(round(number, 3)))
scales = st.floats(0.01, 50).map(lambda number: repr(round(number, 3)))


@st.composite
def shapes(draw: st.DrawFn, column: str) -> dict[str, Any]:
    """What is done to a column of numbers."""
    low, high = sorted(draw(st.tuples(st.integers(-40, 0), st.integers(1, 40))))
    return {
        "column": column,
        "fill": draw(st.none() | reals),
        "low": draw(st.none() | st.just(str(low))),
        "high": draw(st.none() | st.just(str(high))),
        "log1p": draw(st.booleans()),
    }


@st.composite
def inputs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Numbers, indicators and weights of evidence, at least one."""
    found = [
        draw(shapes(name)) | {"kind": "number", "mean": draw(reals), "scale": draw(scales)} for name in NUMBERS
    ]
    for name, values in CATEGORIES.items():
        weights = draw(st.lists(reals, min_size=len(values), max_size=len(values)))
        known = {"column": name, "categories": values, "weights": weights, "other": draw(reals)}
        evidence = known | {"kind": "evidence"}
        indicators = [{"kind": "indicator", "column": name, "category": value} for value in values]
        found += draw(st.sampled_from([[evidence], indicators, [evidence, *indicators]]))
    return draw(st.lists(st.sampled_from(found), min_size=1, max_size=7, unique_by=str))


@st.composite
def trees(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One tree of up to five splits."""
    columns = (*NUMBERS, *CATEGORIES)
    grown: list[dict[str, Any]] = [{"value": draw(reals), "rows": 9}]
    for _ in range(draw(st.integers(0, 5))):
        leaves = [place for place, node in enumerate(grown) if "column" not in node]
        node = grown[draw(st.sampled_from(leaves))]
        place = draw(st.integers(0, len(columns) - 1))
        asked: dict[str, Any] = {"upto": draw(st.none() | reals)}
        if columns[place] in CATEGORIES:
            there = range(len(CATEGORIES[columns[place]]))
            asked = {"among": sorted(draw(st.sets(st.sampled_from(there))))}
        node |= {"column": place, "child": len(grown), "missing_left": draw(st.booleans())} | asked
        grown += [{"value": draw(reals), "rows": 4}, {"value": draw(reals), "rows": 5}]
    return grown


@st.composite
def models(draw: st.DrawFn, kind: str) -> Model:
    """A model of that kind of fit."""
    value: dict[str, Any] = {
        "label": "default",
        "link": draw(st.sampled_from(["identity", "logit", "log"])),
        "categories": CATEGORIES,
    }
    if kind == "trees":
        shaped = draw(st.sampled_from([(), NUMBERS[:1], NUMBERS]))
        fit = {
            "columns": (*NUMBERS, *CATEGORIES),
            "start": draw(reals),
            "learning_rate": draw(scales),
            "trees": draw(st.lists(trees(), min_size=1, max_size=3)),
        }
        value |= {"shapes": [draw(shapes(name)) for name in shaped]}
    else:
        value |= {"inputs": draw(inputs())}
        count = len(value["inputs"])
        sizes = (count, *draw(st.lists(st.integers(1, 3), max_size=2)), 1) if kind == "network" else (count,)
        wanted = sum((before + 1) * after for before, after in pairwise(sizes)) or count
        fit = {"weights": draw(st.lists(reals, min_size=wanted, max_size=wanted))}
        if kind == "network":
            fit |= {"sizes": sizes, "activation": draw(st.sampled_from(["relu", "tanh"]))}
            fit |= {"centre": draw(reals), "spread": draw(scales)}
        else:
            fit |= {"intercept": draw(reals)}
    return Model.from_value(value | {"fit": fit | {"type": kind}}, "the test's model")


def rows(seed: int, count: int = 40) -> dict[str, Any]:
    """Columns as a table has them: None where missing, texts and codes, some of them in no list."""
    chance = np.random.default_rng(seed)
    table: dict[str, Any] = {name: chance.normal(0, 30, count).tolist() for name in NUMBERS}
    table["branch"] = chance.choice([*CATEGORIES["branch"], "elsewhere", None], count).tolist()
    table["product"] = chance.choice(np.array([*CATEGORIES["product"], 99, None], object), count).tolist()
    for name in NUMBERS:
        table[name] = [
            None if hole else value for value, hole in zip(table[name], chance.random(count) < 0.2, strict=True)
        ]
    return table
