"""What Consortia needs of Flower beside its strategies and apps; no other place touches its private parts.

Imported by consortia_node.federated and consortia_coordinator.federated alone. Telemetry and update checks are
switched off before Flower is first imported. flwr is pinned exactly; tests/unit/test_flower_compat.py says what
of it we rely on.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from consortia_common.content import Content

logging.getLogger("flwr").setLevel(logging.ERROR)
# Flower stamps every Message with these process-wide numbers; the exchange's own identities take their place.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


def empty_run() -> Run:
    """A run without properties: jobs are known by the exchange's ids."""
    return Run.create_empty(1)


def content_of(records: RecordDict) -> Content:
    """A RecordDict as Content: its records "arrays", "config" and "metrics", any of which may be missing."""
    arrays = records.array_records.get("arrays", ArrayRecord())
    return Content(
        {name: array.numpy() for name, array in arrays.items()},
        dict(records.config_records.get("config", ConfigRecord())),
        dict(records.metric_records.get("metrics", MetricRecord())),
    )


def records_of(content: Content) -> RecordDict:
    """The inverse of ``content_of``."""
    return RecordDict(
        {
            "arrays": array_record(content.arrays),
            "config": ConfigRecord(dict(content.config)),
            "metrics": MetricRecord(dict(content.metrics)),
        }
    )


def array_record(arrays: Mapping[str, Any]) -> ArrayRecord:
    """numpy arrays, or what numpy can make one of, as Flower's record."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})
