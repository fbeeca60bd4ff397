"""The names and meanings of the node's metrics. No label ever holds more than what is listed here."""

from prometheus_client import Counter, Gauge

ANSWERED = "answered"
REFUSED = "refused"
FAILED = "failed"
"""Outcome labels: what the node said to a task."""

TASKS = Counter("consortia_node_tasks", "Tasks that the coordinator asked and this node answered.", ["outcome"])
CONNECTED = Gauge("consortia_node_connected", "1 while there is a live stream to the coordinator.")
LOG_ENTRIES = Gauge("consortia_node_log_entries", "Entries in this node's audit log.")
CONTRADICTIONS = Counter(
    "consortia_node_contradictions",
    "Checkpoints of a log that can't both be true, found here or told to this node.",
)
