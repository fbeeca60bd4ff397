"""The family that the node raises."""

from consortia_crypto.errors import ConsortiaError


class NodeError(ConsortiaError):
    """The base of this package's errors."""


class NotEnrolledError(NodeError):
    """A node that was asked to work before it belongs to a network, or whose membership has run out."""


class StateError(NodeError):
    """Something that is not in the state that the change needs."""


class AgreementError(NodeError):
    """An agreement, or a signature under one, that this node can't rely on."""


class ConsentError(NodeError):
    """A change of consent that the records do not allow."""


class SourceError(NodeError):
    """A table of the institution's own that can't be read as it is configured."""


class StoreError(NodeError):
    """Something that the node's database does not hold, or holds already."""


class StepError(NodeError):
    """A step of a job that can't be taken as it was asked."""


class StoppingError(NodeError):
    """The node is shutting down; the task stays without an answer and is done at the next start."""

    def __init__(self) -> None:
        super().__init__(
            "the step was not finished before the node stopped",
            blame="nobody: the node was told to stop",
            remedy="start the node again; the job goes on by itself",
        )


class TotalRefusedError(StepError):
    """A sealed total that did not open as it must. ``detail`` says why and stays here.

    Whoever alters ciphertexts and is told what became of each learns the key bit by bit; so the coordinator hears
    only that the total was refused, and the job and its key end with it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(
            "the sealed total was refused",
            blame="the coordinator, or an institution whose upload was not what its policy asks",
            remedy="compare the institutions' logs of this round, then submit the job again",
        )
        self.detail = detail


class BadCiphertextError(StepError):
    """A ciphertext, key or context of another party's that was refused before anything was computed on it."""


class RefusedError(NodeError):
    """The gate said no, citing a clause of the agreement."""

    def __init__(self, clause: str, sentence: str) -> None:
        blame, remedy = _REFUSALS.get(clause, _NOT_ALLOWED)
        super().__init__(sentence, blame=blame, remedy=remedy)
        self.clause = clause


_NOT_ALLOWED = (
    "the job, which asks for what the agreement does not allow",
    "change the job spec, or have the parties sign a new version of the agreement",
)
_REFUSALS = {
    "analysts": (
        "whoever submitted the job",
        "let an analyst whom the agreement names submit it, or have the parties sign a version that names this one",
    ),
    "submission": ("whoever handed it in again", "submit the job anew"),
    "parties.key": (
        "the coordinator, which passes identities on",
        "ask its operator whether that institution is enrolled with the keys that the agreement names",
    ),
    "node.datasets": (
        "this institution's datasets.toml",
        "have its operator add what is missing and restart the node, then submit the job again",
    ),
    "datasets.max_grade": (
        "the agreement, or the grades in this institution's datasets.toml",
        "leave the column out, or have the parties sign a version with a higher max_grade for it",
    ),
    "lawful_basis": (
        "nobody: no customer of this institution has consented to the purpose",
        "submit the job again when some have",
    ),
    "differencing": (
        "the job, whose answer could be subtracted from an earlier one's",
        "use the earlier answer, or ask again when the customers differ by more (differencing.memory_days)",
    ),
    "node.libraries": (
        "nobody: the library is an extra that not every node has",
        "have its operator install it (pip install 'consortia[torch]'), or choose another engine",
    ),
    "model.withdrawn": (
        "nobody; a withdrawn model is not used any more",
        "use another model, or ask the institution that withdrew it why",
    ),
    "approvals": (
        "nobody: the people whom the agreement asks decided so, or did not decide in time",
        "ask the institution's officers, then submit the job again",
    ),
    "gate": (
        "this node's software, or a damaged agreement",
        "have its operator look at the log's entry gate.disagreed, and report it",
    ),
    "min_rows": (
        "nobody: too few customers of this institution have consented",
        "submit the job again when more have, or have the parties sign a version with a smaller min_rows",
    ),
}
"""Whose fault it is and what to do, for the clauses where that is not the job spec's."""
