"""What the joint answer should be, computed outside the network on all banks' tables together."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from examples.credit_risk.errors import DemoError


def check(document: Mapping[str, Any], tables: Iterable[pa.Table]) -> dict[str, float]:
    """Raises DemoError unless the answer is that of the pooled tables; the largest difference of each measure."""
    pooled = pa.concat_tables(tables)
    minutes, channel = pooled["minutes"].to_numpy(), np.array(pooled["channel"].to_pylist())
    resolved = pooled["resolved"].to_numpy(zero_copy_only=False)
    overall, groups = document["overall"], document["groups"]
    expected = [(group, channel == group["group"]["channel"]) for group in groups]
    errors = {
        "count": abs(overall["count"] - len(minutes)),
        "count by channel": max(abs(group["count"] - int(rows.sum())) for group, rows in expected),
        "mean minutes": abs(overall["columns"]["minutes"]["mean"] - minutes.mean()),
        "resolution rate": max(abs(group["label_rate"] - resolved[rows].mean()) for group, rows in expected),
    }
    for one in document["quantiles"]["minutes"]:
        off = abs(one["value"] - float(np.quantile(minutes, one["at"])))
        errors[f"quantile {one['at']}"] = max(0.0, off - one["error"])
    for name, error in errors.items():
        if error > 1e-3:
            raise DemoError(
                f"the joint answer differs from the pooled tables' in {name} by {error}",
                blame="Consortia",
                remedy="compare the job's result with the tables in the demo's folder",
            )
    return {name: float(error) for name, error in errors.items()}


def check_place(place: Mapping[str, Any], own: pa.Table, document: Mapping[str, Any]) -> None:
    """Raises DemoError unless a bank's file holds its own and the joint figures."""
    mean = float(own["minutes"].to_numpy().mean())
    told = place["columns"]["minutes"]
    joint = document["overall"]["columns"]["minutes"]["mean"]
    if abs(told["own_mean"] - mean) > 1e-3 or told["joint_mean"] != joint:
        raise DemoError(
            "a bank was told another place than its own",
            blame="Consortia",
            remedy="compare the bank's place.json with its table",
        )
