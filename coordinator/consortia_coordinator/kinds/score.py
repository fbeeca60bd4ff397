"""``score``: encrypted features go one way and encrypted scores the other, both inside sealed envelopes."""

from typing import cast

from consortia_common.content import Content
from consortia_common.documents.kinds.score import Parameters
from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Encrypt at the data owner, evaluate at the model owner, decrypt at the data owner."""
    parameters = cast("Parameters", job.spec.parameters)
    owner, modeller = parameters.data_owner, parameters.model_owner
    job.progress(f"{owner} encrypts features", 0, 3)
    features = job.ask("query.encrypt", {owner: Content()})[owner]
    job.progress(f"{modeller} scores them, encrypted", 1, 3)
    scores = job.ask("query.evaluate", {modeller: _forward(features, modeller)})[modeller]
    job.progress(f"{owner} decrypts the scores", 2, 3)
    job.conclude({owner: _forward(scores, owner)})


def _forward(letters: Content, recipient: str) -> Content:
    """The envelope that one party addressed to another, as it came."""
    return Content(config={"envelope": letters.config.get(f"envelope.{recipient}", b"")})
