"""Carrying a job's key agreement between its parties: in four steps; it learns public keys only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consortia_common.content import Content
from consortia_common.documents.jobspec import EPOCH
from consortia_coordinator.adding import CheckRequest, LatticeKey
from consortia_coordinator.replies import blob, said
from consortia_crypto.sum.epoch_messages import KeyDocument

if TYPE_CHECKING:
    from consortia_coordinator.jobrun import JobRun

_KEY, _SEED, _JOIN, _CONFIRM = (turn.step for turn in EPOCH)


@dataclass(frozen=True)
class Epoch:
    """What the coordinator knows of the keys: each party's signed public ones; for "lattice" a public context."""

    documents: Mapping[str, KeyDocument]
    context: bytes


def open_epoch(run: "JobRun") -> Epoch:
    """Have all parties of the job agree on keys. Raises PartiesRefusedError, CoordinatorError."""
    parties = run.spec.parties
    made = run.ask_all(_KEY, Content())
    with run.refusals_logged(_KEY):
        known = _known(run, made)
    keys = [known.documents[party].to_bytes() for party in parties]
    seeded = run.ask_all(_SEED, Content(config={"keys": keys}))
    letters = {
        party: Content(config={f"envelope.{other}": blob(seeded[other], f"envelope.{party}", other)
                               for other in parties if other != party})
        for party in parties
    }  # fmt: skip
    joined = run.ask(_JOIN, letters)
    run.ask_all(
        _CONFIRM, Content(config={"confirms": [blob(joined[party], "confirm", party) for party in parties]})
    )
    return known


def _known(run: "JobRun", made: Mapping[str, Content]) -> Epoch:
    """What the parties made, read. Raises CryptoError, CoordinatorError, naming whose it is."""
    spec = run.spec
    documents = {party: said(made[party], "key", party, KeyDocument) for party in spec.parties}
    leader, context = spec.parties[0], b""
    if spec.engine == "lattice":
        context = blob(made[leader], "context", leader)
        run.tools.workers.run(CheckRequest(LatticeKey(run.job_id, context, leader)))
    return Epoch(documents, context)
