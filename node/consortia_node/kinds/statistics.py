"""``statistics`` at the institution: tables of exact sums over its own rows, and the result from the opened totals.

The engine that holds the rows computes the sums; what is added to them (noise) and concluded from them is in
consortia_node.stats. Small groups are left out of the result there, so that neither they nor their difference from
the total can be told.
"""

import json
from collections.abc import Mapping
from random import SystemRandom
from typing import cast

import numpy as np

from consortia_common.content import Content
from consortia_common.documents.kinds.statistics import Parameters
from consortia_common.statistics.layout import Layout
from consortia_common.statistics.privacy import share_of_noise
from consortia_node.kinds import Frame, Integers, Outcome, Step, Work
from consortia_node.moments import rounded
from consortia_node.sources.places import SUBJECT
from consortia_node.sources.tally import count_by
from consortia_node.stats import gather, quantiles
from consortia_node.stats.expressions import Bracket
from consortia_node.stats.noise import noised
from consortia_node.stats.place import place
from consortia_node.stats.quantiles import Search
from consortia_node.stats.result import Result
from consortia_node.stats.table import Table
from consortia_node.stats.words import from_words, to_words

_OWN = "statistics.own"
PLACE_FILE = "place.json"


def tabulate(work: Work, request: Content) -> Outcome:
    """This institution's table."""
    del request
    parameters = _parameters(work)
    frame = _frame(work)
    if parameters.noise:
        gather.require_few_rows(frame, SUBJECT, parameters.noise.rows_per_customer)
    numbers = gather.table(frame, parameters, count_by)
    if parameters.place:
        work.values[_OWN] = json.dumps(numbers).encode()
    return _summand(work, numbers, parameters.layout())


def refine(work: Work, request: Content) -> Outcome:
    """For each quantile the bins of the bracket that the last total shows to hold it."""
    del request
    parameters = _parameters(work)
    brackets = {column: quantiles.brackets_of(found) for column, found in _searches(work, work.turn).items()}
    numbers = gather.refined(_frame(work), parameters, brackets, count_by)
    return _summand(work, numbers, parameters.refined())


def conclude(work: Work, request: Content) -> Outcome:
    """The result, the same at all; and this institution's own place, which stays here."""
    del request
    parameters = _parameters(work)
    total = _total(work)
    rounds = parameters.quantiles.rounds + 1 if parameters.quantiles else 1
    told = Result(total, work.min_cell).document(_searches(work, rounds))
    result = {"kind": "statistics", "parties": list(work.spec.parties), **told, **_noise(work)}
    files = {}
    if parameters.place:
        own = Table(json.loads(work.values[_OWN]), parameters)
        mine = {"institution": work.institution, **place(own, total, told, work.min_cell)}
        files[PLACE_FILE] = json.dumps(mine, indent=1, ensure_ascii=False).encode()
    return Outcome(result=result, files=files)


def _summand(work: Work, numbers: list[int], layout: Layout) -> Outcome:
    parameters = _parameters(work)
    if parameters.noise:
        numbers = noised(numbers, layout, parameters, _share(work), SystemRandom())
    return Outcome(summand=to_words(numbers, layout))


def _share(work: Work) -> float:
    return share_of_noise(_parameters(work).sigma(), len(work.spec.parties), work.spec.colluders)


def _noise(work: Work) -> dict[str, object]:
    """What was promised. ``sigma``: of a count, without the noise of those who conspire or dropped out."""
    parameters = _parameters(work)
    if parameters.noise is None:
        return {}
    told = {
        "epsilon": float(parameters.noise.epsilon),
        "delta": float(parameters.noise.delta),
        "sigma": rounded(parameters.sigma(), 6),
        "rows_per_customer": parameters.noise.rows_per_customer,
    }
    return {"noise": told}


def _total(work: Work) -> Table:
    parameters = _parameters(work)
    return Table(from_words(work.total("table"), parameters.layout()), parameters)


def _searches(work: Work, turn: int) -> dict[str, list[Search | None]]:
    """How far each quantile is known before round ``turn`` of refinement."""
    parameters, asked = _parameters(work), _parameters(work).quantiles
    if asked is None:
        return {}
    table = _total(work)
    found = {
        column: [
            quantiles.begun(*parameters.fixed_range(column), table.distribution(column), share, work.min_cell)
            for share in asked.at
        ]
        for column in asked.columns
    }
    for earlier in range(1, turn):
        total = np.split(work.total("refined", earlier), len(asked.columns))
        for column, counts in zip(asked.columns, total, strict=True):
            found[column] = _closer(found[column], counts, parameters.bins, work.min_cell)
    return found


def _closer(searches: list[Search | None], counts: Integers, bins: int, smallest: int) -> list[Search | None]:
    brackets: list[Bracket] = quantiles.brackets_of(searches)
    return [
        quantiles.closer(search, quantiles.counts_of(counts, brackets, number, bins), smallest) if search else None
        for number, search in enumerate(searches)
    ]


def _frame(work: Work) -> Frame:
    parameters = _parameters(work)
    return work.frame(parameters.dataset, parameters.reads(work.institution)[0].columns)


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.tabulate": Step(tabulate, reads=True, scans=True),
    "query.refine": Step(refine, reads=True, scans=True),
    "query.conclude": Step(conclude),
}
