"""``train`` at the institution: preparation from joint sums, rounds of a fit, a test, and the finished model.

Every institution opens the same sums and draws the same conclusions from them, so all hold the same model after
each round without telling anybody. What is summed in a round is the model's business (consortia_node.learning).
"""

from collections.abc import Mapping
from random import SystemRandom
from typing import cast

import numpy as np
import pyarrow as pa

from consortia_common.content import Content
from consortia_common.documents.base import Number
from consortia_common.documents.fitted import Fit, Model
from consortia_common.documents.kinds.train import Parameters
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.kinds import OVER, Floats, Integers, Outcome, Step, Work
from consortia_node.learning import assessing, describing, preparing, private_preparing, stopping
from consortia_node.learning.fit_trees import BoostingRounds
from consortia_node.learning.learning import Learning, learning_of
from consortia_node.learning.noising import Noising
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts, Rows, drawn, of_table
from consortia_node.sources.places import SUBJECT
from consortia_node.stats.gather import require_few_rows


def prepare(work: Work, request: Content) -> Outcome:
    """Counts and moments of every column, to be summed."""
    del request
    parts, parameters, noising = _parts(work), _parameters(work), _noising(work)
    if noising is None:
        return Outcome(summand=preparing.words(parts.learned, len(parts.held_out), parameters))
    return Outcome(summand=private_preparing.words(parts.learned, parameters, noising))


def spread(work: Work, request: Content) -> Outcome:
    """Counts in fine bins, to be summed, from which all choose the bins of trees."""
    del request
    return Outcome(summand=cast("BoostingRounds", _learning(work)).tally(_parts(work).learned))


def train(work: Work, request: Content) -> Outcome:
    """Take in the total of the round before; this institution's share of this round is to be summed.

    Once the fit is over there is nothing to add; that it is, the node tells with the answer.
    """
    del request
    before = stopping.curve(work.values)
    _take_in(work, work.turn - 1)
    points = stopping.curve(work.values)
    progress = {"curve": stopping.outline(points)} if points != before else None
    return Outcome(summand=_share(work), progress=progress)


def _share(work: Work) -> Floats | Integers:
    if OVER not in work.values:
        return _learning(work).contribute(work.values, _parts(work), work.turn)
    parameters = _parameters(work)
    shape = parameters.sums()[parameters.model.given(work.turn)]
    return np.zeros(shape.length) if shape.tensors else np.zeros(shape.length, np.int64)


def evaluate(work: Work, request: Content) -> Outcome:
    """Take in the last round; how the model does on this institution's test part is to be summed."""
    del request
    parameters = _parameters(work)
    _take_in(work, parameters.model.rounds_in_all)
    fit, _ = _finished(work)
    return Outcome(summand=assessing.words(_model(work, fit, {}), _test_rows(work), parameters.model.task))


def conclude(work: Work, request: Content) -> Outcome:
    """The result: the model, how the fit went, and how the model did on all test parts together."""
    del request
    parameters, evaluation = _parameters(work), {}
    if parameters.test_dataset:
        total, task = work.total("evaluation"), parameters.model.task
        evaluation = assessing.reported(total, task, (Number("0.5"),), work.min_cell)
    else:
        _take_in(work, parameters.model.rounds_in_all)
    fit, training = _finished(work)
    model = _model(work, fit, {**evaluation, "curve": stopping.outline(stopping.curve(work.values))})
    return Outcome(
        result={
            "kind": "train",
            "parties": list(work.spec.parties),
            "rows": _prepared(work).rows,
            "model": model.model_dump(mode="json"),
            "training": training,
            "evaluation": evaluation,
            **({"noise": promise} if (promise := _promise(work)) else {}),
        }
    )


def _take_in(work: Work, turn: int) -> None:
    """Draw the conclusions from the total of round ``turn``, unless the fit was over before it; before the first,
    agree on the bins of trees."""
    parameters, learning = _parameters(work), _learning(work)
    if OVER in work.values:
        return
    if turn == 0:
        if "spread" in parameters.sums():
            cast("BoostingRounds", learning).agree(work.values, work.total("spread"))
        return
    name = parameters.model.given(turn)
    tensors = parameters.sums()[name].tensors
    learning.absorb(work.values, work.real_total(name, turn) if tensors else work.total(name, turn), turn)
    if learning.is_over(work.values):
        work.values[OVER] = b"1"


def _finished(work: Work) -> tuple[Fit, dict[str, object]]:
    return work.remember("finished", lambda: _learning(work).finish(work.values))


def _learning(work: Work) -> Learning:
    parameters, prepared = _parameters(work), _prepared(work)
    step, remember = work.server_step, work.remember
    return learning_of(
        parameters, prepared, work.institution, work.min_cell, step, remember, noising=_noising(work)
    )


def _noising(work: Work) -> Noising | None:
    return Noising.of(work.spec, SystemRandom())


def _prepared(work: Work) -> Prepared:
    parameters, total = _parameters(work), work.total("prepared")

    def fitted() -> Prepared:
        if parameters.noise:
            return private_preparing.fitted(total, parameters)
        return preparing.fitted(total, parameters, work.min_cell)

    prepared = work.remember("prepared", fitted)
    if prepared.rows < work.min_cell:
        raise TotalRefusedError(f"there are fewer than {work.min_cell} rows in all")
    if _parameters(work).model.stopping and prepared.held_out < max(work.min_cell, 1):
        raise StepError(
            f"all parties hold out fewer rows than the {max(work.min_cell, 1)} of which a loss is released",
            blame="the job spec",
            remedy="submit the job again with a larger share in early_stopping, or without it",
        )
    return prepared


def _model(work: Work, fit: Fit, metrics: Mapping[str, object]) -> Model:
    privacy, origin = _promise(work), _origin(work)
    return describing.model_of(work.spec, _prepared(work), fit, metrics, privacy=privacy, origin=origin)


def _promise(work: Work) -> Mapping[str, str]:
    noising = _noising(work)
    return noising.said(tested=_parameters(work).test_dataset is not None) if noising else {}


def _origin(work: Work) -> dict[str, object]:
    """Where the model comes from, and who receives it."""
    spec, parameters = work.spec, _parameters(work)
    return {
        "job": work.job_id,
        "agreement": spec.agreement,
        "purpose": spec.purpose,
        "lawful_basis": work.lawful_basis,
        "parties": spec.parties,
        "recipients": work.recipients,
        "dataset": parameters.dataset,
        "test_dataset": parameters.test_dataset or "",
        "spec": spec.hash(),
    }


def _parts(work: Work) -> Parts:
    """The rows to learn from, and those held out."""
    parameters = _parameters(work)
    rule, seed = parameters.model.stopping, getattr(parameters.model, "seed", 0)

    def read() -> Parts:
        table = _table(work, parameters.dataset)
        rows = of_table(table, parameters, parameters.dataset)
        if parameters.noise:
            rows = private_preparing.bounded(rows, parameters)
        nobody = np.zeros(len(rows), bool)
        return Parts.of(rows, drawn(table[SUBJECT].to_pylist(), rule.share, seed) if rule else nobody)

    return work.remember("parts", read)


def _test_rows(work: Work) -> Rows:
    parameters = _parameters(work)
    dataset = str(parameters.test_dataset)
    return work.remember("test rows", lambda: of_table(_table(work, dataset), parameters, dataset))


def _table(work: Work, dataset: str) -> pa.Table:
    parameters = _parameters(work)
    frame = work.frame(dataset, parameters.reads(work.institution)[0].columns)
    if parameters.noise and dataset == parameters.dataset:
        require_few_rows(frame, SUBJECT, parameters.noise.rows_per_customer)
    table: pa.Table = frame.collect("pyarrow").to_native()
    return table


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.prepare": Step(prepare, reads=True),
    "query.spread": Step(spread, reads=True),
    "train": Step(train, reads=True),
    "evaluate": Step(evaluate, reads=True),
    "query.conclude": Step(conclude),
}
