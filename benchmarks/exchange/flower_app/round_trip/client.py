"""A client that answers with random weights: constant ones would be sent once only."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """No training at all."""
    del context
    (arrays,) = message.content.array_records.values()
    length = len(arrays.to_numpy_ndarrays()[0])
    update = np.random.default_rng().random(length, dtype=np.float32)
    content = RecordDict({"arrays": ArrayRecord([update]), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=content, reply_to=message)
