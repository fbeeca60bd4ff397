"""What is asked: each statistic as parameters of a job, and as the query that a bank would put to its own table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

from benchmarks.statistics.data import CATEGORIES, LABEL, LETTERS, RANGES, REALS, WHOLES

BINS = 20
_BARE = {"dataset": "table", "bins": BINS}


@dataclass(frozen=True)
class Question:
    """``query`` has {table} where the table is."""

    name: str
    parameters: Mapping[str, Any]
    query: str


def _described(columns: Iterable[str]) -> str:
    return ", ".join(f"count({c}), sum({c}), avg({c}), var_samp({c}), stddev_samp({c})" for c in columns)


def _bin(column: str) -> str:
    low, high = RANGES[column]
    return f"least({BINS - 1}, floor(({column} - {low}) * {BINS} / {high - low}))"


def _union(parts: Iterable[str]) -> str:
    return " UNION ALL ".join(parts)


def _asked(divided: Iterable[str], **parameters: Any) -> dict[str, Any]:
    """With the ranges and categories of these columns."""
    named = list(divided)
    ranges = {name: list(RANGES[name]) for name in named if name in RANGES}
    categories = {name: list(LETTERS[:3]) for name in named if name in CATEGORIES}
    return {**_BARE, **parameters, "ranges": ranges, "categories": categories}


NUMBERS = (*REALS, *WHOLES)
_PAIRS = [f"covar_samp({a}, {b}), corr({a}, {b})" for a, b in combinations_with_replacement(REALS, 2)]
_CROSSED = [("t0", "t1"), ("t1", "t2"), ("t0", "t2")]

QUESTIONS = (
    Question(
        "count, sum, mean, variance, std of 16 columns",
        _asked((), columns=list(NUMBERS)),
        f"SELECT count(*), {_described(NUMBERS)} FROM {{table}}",
    ),
    Question(
        "the same of 4, by 3 columns",
        _asked(CATEGORIES, columns=list(REALS[:4]), by=list(CATEGORIES), label=LABEL),
        f"SELECT t0, t1, t2, count(*), avg(y::INT), {_described(REALS[:4])} FROM {{table}} GROUP BY ALL",
    ),
    Question(
        "histograms of 8 columns, with min and max",
        _asked(REALS, histograms=list(REALS)),
        _union(f"SELECT '{c}', {_bin(c)} AS bin, count(*) FROM {{table}} GROUP BY ALL" for c in REALS),
    ),
    Question(
        "quartiles of 4 columns, 2 rounds",
        _asked(REALS[:4], quantiles={"columns": list(REALS[:4]), "rounds": 2}),
        "SELECT " + ", ".join(f"quantile_disc({c}, [0.25, 0.5, 0.75])" for c in REALS[:4]) + " FROM {table}",
    ),
    Question(
        "covariance and correlation of 8 columns",
        _asked((), correlations=list(REALS)),
        f"SELECT {', '.join(_PAIRS)} FROM {{table}}",
    ),
    Question(
        "3 cross tables with chi²",
        _asked(CATEGORIES, crosstabs=[list(pair) for pair in _CROSSED]),
        _union(f"SELECT {a}, {b}, count(*) FROM {{table}} GROUP BY ALL" for a, b in _CROSSED),
    ),
    Question(
        "information value of 4 columns, KS",
        _asked(REALS[:4], information=list(REALS[:4]), label=LABEL),
        _union(f"SELECT {_bin(c)} AS bin, y, count(*) FROM {{table}} GROUP BY ALL" for c in REALS[:4]),
    ),
)
