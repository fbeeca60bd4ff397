"""The names and meanings of the coordinator's metrics. No label ever holds more than what is listed here."""

from prometheus_client import Counter, Gauge

UP = "up"
"""Direction label: from nodes to the coordinator."""
DOWN = "down"
"""Direction label: from the coordinator to nodes."""

EXCHANGE_BYTES = Counter(
    "consortia_exchange_bytes", "Bytes of messages carried whole between coordinator and nodes.", ["direction"]
)
EXCHANGE_MESSAGES = Counter(
    "consortia_exchange_messages", "Messages carried whole between coordinator and nodes.", ["direction"]
)
EXCHANGE_REFUSED = Counter("consortia_exchange_refused", "Connections and messages of nodes that were refused.")
CONTRADICTIONS = Counter(
    "consortia_contradictions",
    "Checkpoints of a log that can't both be true, found here or told to the coordinator.",
)
CONNECTED_NODES = Gauge("consortia_connected_nodes", "Nodes with a live stream.")


def count_message(direction: str, size: int) -> None:
    """One message of ``size`` bytes was carried whole."""
    EXCHANGE_MESSAGES.labels(direction).inc()
    EXCHANGE_BYTES.labels(direction).inc(size)
