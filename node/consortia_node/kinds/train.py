"""``train`` at the institution: preparation from joint sums, rounds of a fit, a test, and the finished model.

Every institution opens the same sums and draws the same conclusions from them, so all hold the same model after
each round without telling anybody. What is summed in a round is the model's business (consortia_node.learning).
"""

from collections.abc import Mapping
from random import SystemRandom
from typing import cast

import pyarrow as pa

from consortia_common.content import Content
from consortia_common.documents.base import Number
from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds.train import Parameters
from consortia_node.errors import TotalRefusedError
from consortia_node.kinds import Outcome, Step, Work
from consortia_node.learning import assessing, describing, preparing, private_preparing
from consortia_node.learning.fit_trees import BoostingRounds
from consortia_node.learning.learning import Learning, learning_of
from consortia_node.learning.noising import Noising
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Rows, of_table
from consortia_node.sources.places import SUBJECT
from consortia_node.stats.gather import require_few_rows


def prepare(work: Work, request: Content) -> Outcome:
    """Counts and moments of every column, to be summed."""
    del request
    parameters = _parameters(work)
    rows, noising = _rows(work, parameters.dataset), _noising(work)
    if noising is None:
        return Outcome(summand=preparing.words(rows, parameters))
    return Outcome(summand=private_preparing.words(rows, parameters, noising))


def spread(work: Work, request: Content) -> Outcome:
    """Counts in fine bins, to be summed, from which all choose the bins of trees."""
    del request
    return Outcome(summand=cast("BoostingRounds", _learning(work)).tally(_rows(work, _parameters(work).dataset)))


def train(work: Work, request: Content) -> Outcome:
    """Take in the total of the round before; this institution's share of this round is to be summed."""
    del request
    _take_in(work, work.turn - 1)
    rows = _rows(work, _parameters(work).dataset)
    return Outcome(summand=_learning(work).contribute(work.values, rows, work.turn))


def evaluate(work: Work, request: Content) -> Outcome:
    """Take in the last round; how the model does on this institution's test part is to be summed."""
    del request
    parameters = _parameters(work)
    _take_in(work, parameters.model.rounds_in_all)
    rows = _rows(work, str(parameters.test_dataset))
    return Outcome(summand=assessing.words(_model(work), rows, parameters.model.task))


def conclude(work: Work, request: Content) -> Outcome:
    """The result: the model, how the fit went, and how the model did on all test parts together."""
    del request
    parameters, evaluation = _parameters(work), {}
    if parameters.test_dataset:
        total, task = work.total("evaluation"), parameters.model.task
        evaluation = assessing.reported(total, task, (Number("0.5"),), work.min_cell)
    else:
        _take_in(work, parameters.model.rounds_in_all)
    _, training = _learning(work).finish(work.values)
    return Outcome(
        result={
            "kind": "train",
            "parties": list(work.spec.parties),
            "rows": _prepared(work).rows,
            "model": _model(work, evaluation).model_dump(mode="json"),
            "training": training,
            "evaluation": evaluation,
            **({"noise": promise} if (promise := _promise(work)) else {}),
        }
    )


def _take_in(work: Work, turn: int) -> None:
    """Draw the conclusions from the total of round ``turn``; before the first, agree on the bins of trees."""
    parameters, learning = _parameters(work), _learning(work)
    if turn == 0:
        if "spread" in parameters.sums():
            cast("BoostingRounds", learning).agree(work.values, work.total("spread"))
        return
    name = parameters.model.given(turn)
    tensors = parameters.sums()[name].tensors
    learning.absorb(work.values, work.real_total(name, turn) if tensors else work.total(name, turn), turn)


def _learning(work: Work) -> Learning:
    parameters, prepared = _parameters(work), _prepared(work)
    step, remember = work.server_step, work.remember
    return learning_of(
        parameters, prepared, work.institution, work.min_cell, step, remember, noising=_noising(work)
    )


def _noising(work: Work) -> Noising | None:
    return Noising.of(work.spec, SystemRandom())


def _prepared(work: Work) -> Prepared:
    parameters = _parameters(work)
    fitted = private_preparing.fitted if parameters.noise else preparing.fitted
    prepared = fitted(work.total("prepared"), parameters)
    if prepared.rows < work.min_cell:
        raise TotalRefusedError(f"there are fewer than {work.min_cell} rows in all")
    return prepared


def _model(work: Work, metrics: Mapping[str, object] | None = None) -> Model:
    fit, _ = _learning(work).finish(work.values)
    return describing.model_of(work.spec, _prepared(work), fit, metrics or {}, _promise(work))


def _promise(work: Work) -> Mapping[str, str]:
    noising = _noising(work)
    return noising.said(tested=_parameters(work).test_dataset is not None) if noising else {}


def _rows(work: Work, dataset: str) -> Rows:
    parameters = _parameters(work)
    columns = parameters.reads(work.institution)[0].columns

    def read() -> Rows:
        frame = work.frame(dataset, columns)
        noise = parameters.noise if dataset == parameters.dataset else None
        if noise:
            require_few_rows(frame, SUBJECT, noise.rows_per_customer)
        table: pa.Table = frame.collect("pyarrow").to_native()
        rows = of_table(table, parameters, dataset)
        return private_preparing.bounded(rows, parameters) if noise else rows

    return work.remember(f"rows of {dataset}", read)


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.prepare": Step(prepare, reads=True),
    "query.spread": Step(spread, reads=True),
    "train": Step(train, reads=True),
    "evaluate": Step(evaluate, reads=True),
    "query.conclude": Step(conclude),
}
