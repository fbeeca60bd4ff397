"""PURE: where one institution stands in the joint figures: its own beside those of all, in a file that stays there.

Nobody else's figures are in it. The joint ones are those of the result, so nothing is shown that the result hides.
"""

from typing import Any

from consortia_node.moments import rounded
from consortia_node.stats import measures
from consortia_node.stats.distributions import Distributions
from consortia_node.stats.table import Table


def place(own: Table, total: Table, result: dict[str, Any], smallest: int) -> dict[str, Any]:
    """Own count, rate and means beside the joint ones; how far own distributions are from the joint ones."""
    joint, parameters = result["overall"], own.parameters
    distributions = Distributions(total, smallest)
    told: dict[str, Any] = {"count": {"own": _sum(own, "rows"), "joint": joint["count"]}}
    if parameters.label:
        known = _sum(own, "known")
        rate = rounded(_sum(own, "ones") / known) if known else None
        told["label_rate"] = {"own": rate, "joint": joint["label_rate"]}
    if parameters.columns:
        told["columns"] = {column: _column(own, column, joint["columns"][column]) for column in parameters.columns}
    if parameters.binned():
        told["distributions"] = {
            column: distributions.against(column, own.distribution(column), total.distribution(column).clip(0))
            for column in parameters.binned()
        }
    return told


def _column(own: Table, column: str, joint: dict[str, Any]) -> dict[str, Any]:
    """Both means, and the difference in standard deviations of the joint rows."""
    count, total, squares = (_sum(own, measure, column) for measure in ("count", "sum", "squares"))
    mine = measures.described(count, total, squares, own.unit, exact=True)
    known = mine["mean"] is not None and joint["mean"] is not None and joint["std"]
    apart = rounded((mine["mean"] - joint["mean"]) / joint["std"]) if known else None
    return {
        "own_mean": mine["mean"],
        "own_std": mine["std"],
        "joint_mean": joint["mean"],
        "joint_std": joint["std"],
        "standard_deviations_apart": apart,
    }


def _sum(table: Table, measure: Any, *columns: str) -> int:
    return int(table.cells(measure, *columns).sum())
