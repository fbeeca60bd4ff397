"""The job spec: what an analyst asks for, declaratively. And the submission: a spec made unique and signed."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from consortia_common.documents.base import Count, Document, Fingerprint, MistakesError, Name, Nonce
from consortia_common.documents.kinds import KindParameters, Turn, names, parameters_of
from consortia_crypto.sum.terms import MAX_INSTITUTIONS

AgreementReference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}$")]
"""id@version"""
EPOCH = tuple(Turn(step) for step in ("epoch.key", "epoch.seed", "epoch.join", "epoch.confirm"))
"""The steps in which a job's parties agree on the keys of its sums."""
CONCLUDE = Turn("query.conclude")
"""The last step of whoever sees the result, whatever the kind."""
PROGRESS = "progress"
"""The step named in the envelopes in which an analyst is told how a job goes."""


class JobSpec(Document):
    """One job, for one purpose, under one agreement."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: Literal[1]
    """Of this format."""
    name: Name
    """Yours to choose: lower case, digits, - and _."""
    kind: Name
    """What to compute."""
    agreement: AgreementReference
    """Under which agreement, id@version."""
    purpose: Name
    """For which purpose; consent is given for purposes."""
    parties: Annotated[tuple[Name, ...], Field(min_length=2, max_length=200)]
    """The institutions that take part."""
    engine: Literal["masked", "lattice"] = "masked"
    """How sums are sealed on their way; both run one protocol (docs/sealed-sum.md)."""
    colluding: Annotated[int, Field(ge=0, le=48)] | None = None
    """Parties that may conspire with the coordinator and still learn no more than the sum; a third unless given."""
    step_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None
    """Seconds in which each party must do a step; the coordinator's own limit unless given, and never more."""
    parameters: SerializeAsAny[KindParameters]
    """Of the kind."""

    @property
    def colluders(self) -> int:
        """``colluding``; unless given, a third of the parties but one, and never less than one."""
        return max(1, (len(self.parties) - 1) // 3) if self.colluding is None else self.colluding

    def course(self, party: str) -> tuple[Turn, ...]:
        """Every step that ``party``'s node takes for this job, in order: a function of the signed spec alone."""
        turns = self.parameters.turns(party)
        if not self.parameters.sums():
            return turns
        return (*EPOCH, *turns)

    def summed(self) -> tuple[tuple[str, int], ...]:
        """The sealed sums of this job in order: name and round."""
        turns = self.parameters.turns(self.parties[0]) if self.parameters.sums() else ()
        return tuple((turn.gives, turn.round) for turn in turns if turn.gives)

    def witnesses(self) -> tuple[str, ...]:
        """The parties whose nodes see the result, and whose receipts must therefore name it."""
        return tuple(party for party in self.parties if CONCLUDE in self.course(party))

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in names():
            raise MistakesError([f"there is no kind {kind!r}; there are {', '.join(names())}"])
        return kind

    @field_validator("parameters", mode="before")
    @classmethod
    def _typed(cls, value: Any, info: ValidationInfo) -> KindParameters:
        """Read by the schema of ``kind``."""
        if "kind" not in info.data:
            raise MistakesError(["they can't be read before the kind is right"])
        return parameters_of(info.data["kind"]).model_validate(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What no single field can say."""
        problems = self.parameters.problems(self.parties)
        sums = not problems and bool(self.parameters.sums())
        if len(set(self.parties)) != len(self.parties):
            problems.append("parties: an institution is named twice")
        if len(self.parties) < self.parameters.MIN_PARTIES:
            problems.append(f"parties: {self.kind} needs at least {self.parameters.MIN_PARTIES} institutions")
        if sums and len(self.parties) - self.colluders < 2:
            problems.append("colluding: at least two parties must be left that do not conspire")
        if sums and len(self.parties) > MAX_INSTITUTIONS:
            problems.append(f"parties: a sum is over at most {MAX_INSTITUTIONS} institutions")
        if problems:
            raise MistakesError(problems)
        return self


class Submission(Document):
    """What the analyst signs: the spec, and what makes this submission of it the only one."""

    v: Literal[1] = 1
    network: Name
    spec: JobSpec
    nonce: Nonce
    submitted_ms: Count
    analyst: Fingerprint
    """The analyst's identity."""

    @property
    def job_id(self) -> str:
        """Bound to every byte that was signed, so a coordinator can't run one submission twice."""
        return "job-" + self.hash()[:16]
