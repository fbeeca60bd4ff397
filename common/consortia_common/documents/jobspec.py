"""The job spec: what an analyst asks for, declaratively. And the submission: a spec made unique and signed."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, StringConstraints, model_validator

from consortia_common.documents.base import Document, Fingerprint, Name, refuse
from consortia_common.documents.kinds import KindParameters, parameters_of

AgreementReference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}$")]
"""id@version"""


class JobSpec(Document):
    """One job, for one purpose, under one agreement."""

    version: Literal[1]
    name: Name
    kind: Name
    agreement: AgreementReference
    purpose: Name
    parties: Annotated[tuple[Name, ...], Field(min_length=2, max_length=200)]
    parameters: SerializeAsAny[KindParameters]

    @model_validator(mode="before")
    @classmethod
    def _type_parameters(cls, value: Any) -> Any:
        """Read ``parameters`` by the schema of ``kind``."""
        if isinstance(value, dict) and isinstance(value.get("kind"), str):
            parameters = value.get("parameters")
            if isinstance(parameters, dict):
                schema = parameters_of(value["kind"])
                return value | {"parameters": schema.from_value(parameters, "the job spec's parameters")}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What no single field can say."""
        problems = self.parameters.problems(self.parties)
        if len(set(self.parties)) != len(self.parties):
            problems.append("parties: an institution is named twice")
        if len(self.parties) < self.parameters.MIN_PARTIES:
            problems.append(f"parties: {self.kind} needs at least {self.parameters.MIN_PARTIES} institutions")
        if problems:
            raise refuse("the job spec", problems)
        return self


class Submission(Document):
    """What the analyst signs: the spec, and what makes this submission of it the only one."""

    v: Literal[1] = 1
    network: Name
    spec: JobSpec
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    submitted_ms: Annotated[int, Field(ge=0)]
    analyst: Fingerprint
    """The analyst's identity."""

    @property
    def job_id(self) -> str:
        """Bound to every byte that was signed, so a coordinator can't run one submission twice."""
        return "job-" + self.hash()[:16]
