"""PURE: how a finished model does on an institution's test rows as words to be summed, and what the totals say.

Classes: the rows by bin of score and label, and two losses. Numbers and counts: rows and five sums in two halves
each, so that they are exact to the last millionth whatever the number of rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.base import Number
from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds.train import SCORE_BINS
from consortia_common.models import evaluation
from consortia_common.models.evaluation import Curve
from consortia_common.models.predict import predict
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.learning.rows import Rows
from consortia_node.moments import rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_HALF = 31
_SUMS = 5
_UNIT = 1_000_000
_LARGEST = float(1 << 62)


def words(model: Model, rows: Rows, task: str) -> Integers:
    """This institution's share."""
    answers = predict(model, rows.columns)
    if task == "binary":
        counts = evaluation.tally(answers, rows.label, SCORE_BINS).ravel()
        return np.concatenate([counts, evaluation.losses(answers, rows.label)])
    label, error = rows.label, answers - rows.label
    deviance = _poisson(label, answers) if task == "count" else np.square(error)
    sums = [each.sum() for each in (label, np.square(label), np.abs(error), np.square(error), deviance)]
    return np.concatenate([[len(rows)], *(_halves(float(each)) for each in sums)]).astype(np.int64)


def said(total: Integers, task: str, min_cell: int) -> dict[str, Any]:
    """Of all parties' test rows together. Raises StepError where there are fewer than ``min_cell``."""
    rows = int(total[:-2].sum()) if task == "binary" else int(total[0])
    if rows < 0 or (task == "binary" and (total[:-2] < 0).any()):
        raise TotalRefusedError("the histograms of the test scores hold counts that no rows can have")
    if rows < max(min_cell, 1):
        raise StepError(
            f"all test parts together have fewer rows than the {max(min_cell, 1)} of which measures are released",
            blame="the job, or the data of all parties together",
            remedy="name a test_dataset with more customers who have given consent",
        )
    return _classes(total, rows) if task == "binary" else _numbers(total, rows, task)


def _classes(total: Integers, rows: int) -> dict[str, Any]:
    curve = Curve(total[:-2].reshape(2, -1))
    area, distance, precision = (
        evaluation.area_under_roc(curve),
        evaluation.kolmogorov_smirnov(curve),
        evaluation.average_precision(curve),
    )
    return {
        "rows": rows,
        "ones": curve.ones,
        "auc": _maybe(area),
        "ks": None if distance is None else rounded(distance[0]),
        "average_precision": _maybe(precision),
        "log_loss": rounded(int(total[-2]) / evaluation.UNIT / rows),
        "brier": rounded(int(total[-1]) / evaluation.UNIT / rows),
    }


def reported(total: Integers, task: str, thresholds: Sequence[Number], min_cell: int) -> dict[str, Any]:
    """All that is said of some rows: ``said``, and for classes the curves and tables that the tally gives."""
    found = said(total, task, min_cell)
    if task != "binary":
        return found
    curve = Curve(total[:-2].reshape(2, -1))
    return found | {
        "decisions": [
            _decided(each, min_cell) for each in evaluation.confusion(curve, [float(t) for t in thresholds])
        ],
        "calibration": [_ranged(each, min_cell) for each in evaluation.calibration(curve)],
        "gains": [
            {"share": rounded(each.share), "gain": rounded(each.gain), "lift": rounded(each.lift)}
            for each in evaluation.gains(curve)
        ],
        "roc": [[rounded(false), rounded(true)] for false, true in evaluation.roc(curve)],
    }


def by_group(
    tallies: Mapping[str, Integers], thresholds: Sequence[Number], min_cell: int
) -> dict[str, dict[str, Any] | None]:
    """Of each group that may be told about; None for one that may not."""
    rows = {name: int(tally[:-2].sum()) for name, tally in tallies.items()}
    hidden = {name for name, count in rows.items() if 0 < count < min_cell}
    if hidden and sum(rows[name] for name in hidden) < min_cell:
        told = [name for name in rows if name not in hidden and rows[name]]
        hidden |= {min(told, key=lambda name: rows[name])} if told else set()
    return {
        name: None if name in hidden or not rows[name] else reported(tally, "binary", thresholds, min_cell)
        for name, tally in tallies.items()
    }


def gaps(groups: Mapping[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """At each threshold the largest difference between two groups, of the shares that fairness is judged by."""
    told = [group["decisions"] for group in groups.values() if group]
    found = []
    for decisions in zip(*told, strict=True):
        row: dict[str, Any] = {"threshold": decisions[0]["threshold"]}
        for share in ("selected", "true_positive_rate", "false_positive_rate", "precision"):
            values = [each[share] for each in decisions if each[share] is not None]
            row[share] = rounded(max(values) - min(values)) if len(values) > 1 else None
        found.append(row)
    return found


def _decided(each: evaluation.Confusion, min_cell: int) -> dict[str, Any]:
    """A decision's table; its counts only where none of them is too small to be told."""
    cells = {
        "true_positives": each.true_positives,
        "false_positives": each.false_positives,
        "true_negatives": each.true_negatives,
        "false_negatives": each.false_negatives,
    }
    small = any(0 < count < min_cell for count in cells.values())
    positive, negative = (
        cells["true_positives"] + cells["false_negatives"],
        each.false_positives + each.true_negatives,
    )
    selected = each.true_positives + each.false_positives
    shares = {
        "selected": _share(selected, positive + negative),
        "true_positive_rate": _share(each.true_positives, positive),
        "false_positive_rate": _share(each.false_positives, negative),
        "precision": _share(each.true_positives, selected),
    }
    hide = dict.fromkeys([*cells, *shares]) if small else {}
    return {"threshold": rounded(each.threshold)} | cells | shares | hide


def _ranged(each: evaluation.Calibrated, min_cell: int) -> dict[str, Any]:
    told = each.rows >= min_cell and each.share is not None
    return {
        "low": rounded(each.low),
        "high": rounded(each.high),
        "rows": each.rows if told else None,
        "share_of_ones": rounded(each.share) if told and each.share is not None else None,
    }


def _share(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None


def _numbers(total: Integers, rows: int, task: str) -> dict[str, Any]:
    label, squares, absolute, errors, deviance = (_whole(total[1 + 2 * place :][:2]) for place in range(_SUMS))
    spread = squares - label * label / rows
    found: dict[str, Any] = {
        "rows": rows,
        "mae": rounded(absolute / rows),
        "rmse": rounded(float(np.sqrt(max(errors, 0.0) / rows))),
        "r2": rounded(1 - errors / spread) if spread > 0 else None,
    }
    return found | ({"deviance": rounded(deviance / rows)} if task == "count" else {})


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _poisson(label: Floats, mean: Floats) -> Floats:
    """Twice the log-likelihood that each row's answer falls short of a perfect one."""
    ratio = np.where(label > 0, label / np.maximum(mean, 1e-300), 1.0)
    return np.asarray(2 * (label * np.log(ratio) - (label - mean)))


def _halves(value: float) -> list[int]:
    """A sum in millionths as two words."""
    if not abs(value) * _UNIT < _LARGEST:
        raise StepError(
            "the model's errors on the test part are out of all proportion",
            blame="the job spec: the fit diverged, or the label has absurd values",
            remedy="prepare the label, or fit with smaller learning rates or a larger l2",
        )
    whole = round(value * _UNIT)
    return [whole >> _HALF, whole & ((1 << _HALF) - 1)]


def _whole(halves: Integers) -> float:
    return ((int(halves[0]) << _HALF) + int(halves[1])) / _UNIT
