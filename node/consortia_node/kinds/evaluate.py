"""``evaluate`` at the institution: a tally of the model's answers on its own rows, and the result from the total.

Groups of fewer than the agreement's ``min_cell`` rows are not reported, and where only one is left out, the next
smallest is too, so that it can't be told by subtraction.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa

from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds.evaluate import Parameters
from consortia_node.errors import StepError
from consortia_node.kinds import Integers, Outcome, Step, Work
from consortia_node.learning import assessing, rows

_FILE = "evaluation.json"


def evaluate(work: Work, request: Content) -> Outcome:
    """The tally of every group's rows."""
    del request
    parameters, model = _parameters(work), _model(work)
    columns = parameters.reads(work.institution)[0].columns
    table: pa.Table = work.frame(parameters.dataset, columns).collect("pyarrow").to_native()
    found = rows.for_model(table, model, parameters.label, parameters.task, parameters.dataset)
    place = rows.places(table[parameters.group], parameters.groups) if parameters.group else np.zeros(len(found))
    place = np.where(np.isnan(place), len(parameters.groups), place)
    parts = [assessing.words(model, found.of(place == part), parameters.task) for part in range(parameters.parts)]
    own = assessing.reported(_whole(parts), parameters.task, parameters.thresholds, work.min_cell)
    files = {_FILE: json.dumps(own, indent=2, sort_keys=True).encode()} if parameters.own else {}
    return Outcome(summand=np.concatenate(parts), files=files)


def conclude(work: Work, request: Content) -> Outcome:
    """The result over all parties, as a whole and by group."""
    del request
    parameters = _parameters(work)
    parts = np.split(work.total("evaluation"), parameters.parts)
    overall = assessing.reported(_whole(parts), parameters.task, parameters.thresholds, work.min_cell)
    result: dict[str, Any] = {
        "kind": "evaluate",
        "parties": list(work.spec.parties),
        "model": {"name": parameters.model, "digest": parameters.model_digest},
        "overall": overall,
    }
    if parameters.group:
        names = [*(str(group) for group in parameters.groups), "other"]
        tallies = dict(zip(names, parts, strict=True))
        groups = assessing.by_group(tallies, parameters.thresholds, work.min_cell)
        result |= {"group": parameters.group, "groups": groups, "gaps": assessing.gaps(groups)}
    return Outcome(result=result)


def _whole(parts: list[Integers]) -> Integers:
    return np.asarray(np.sum(parts, axis=0), np.int64)


def _model(work: Work) -> Model:
    """The model that the spec means. Raises StepError where this institution has another of that name."""
    parameters = _parameters(work)
    model = work.model(parameters.model)
    if model.hash() != parameters.model_digest:
        raise StepError(
            f"model {parameters.model} of {work.institution} is another than the spec's model_digest names",
            blame="the job spec, or this institution",
            remedy="compare `consortia model list` at every party, and name the digest that all show",
        )
    if set(model.columns) != set(parameters.features):
        raise StepError(
            f"model {parameters.model} looks at other columns than the spec's features",
            blame="the job spec",
            remedy=f"give as features: {', '.join(model.columns)}",
        )
    return model


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "evaluate": Step(evaluate, reads=True, scans=True),
    "query.conclude": Step(conclude),
}
