"""A job's step inside its worker process: what the kind is handed, and what goes back to the agent.

No identity, no database, no log and no connection is within reach of a worker; all it may use is in the request.
"""

import json
import secrets
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import cast

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.train import Parameters as TrainParameters
from consortia_common.documents.model import LinearModel, Range
from consortia_common.documents.receipt import SALT
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.sum.institution import LatticeInstitution, common_salt
from consortia_node import federated
from consortia_node.errors import SourceError, StepError, TotalRefusedError
from consortia_node.kinds import Floats, Integers, Outcome, step_of
from consortia_node.sources.cohort import read_matrix, read_subjects
from consortia_node.step import SUM_KEY, StepRequest, StepResult


def run(request: StepRequest) -> StepResult:
    """Take the step. Raises the errors of this package, of consortia_common and of consortia_crypto."""
    work = _Work(request)
    step = step_of(work.spec.kind, request.step)
    content = Content.from_bytes(request.content, "the coordinator")
    outcome = federated.run_step(request.step, request.turn, lambda asked: step.run(work, asked), content)
    return _result(outcome, work)


def _result(outcome: Outcome, work: "_Work") -> StepResult:
    result = None if outcome.result is None else {**outcome.result, SALT: work.salt()}
    return StepResult(
        content=outcome.content.to_bytes(),
        letters={name: letter.to_bytes() for name, letter in outcome.letters.items()},
        result=None if result is None else json.dumps(result, sort_keys=True, allow_nan=False).encode(),
        files=outcome.files,
        events=outcome.events,
        values=dict(work.values),
    )


class _Work:
    """Implements consortia_node.kinds.Work over a StepRequest."""

    def __init__(self, request: StepRequest) -> None:
        self._request = request
        self._values = dict(request.values)
        self._spec = JobSpec.from_canonical(request.spec, "the job spec")

    @property
    def spec(self) -> JobSpec:
        return self._spec

    @property
    def institution(self) -> str:
        return self._request.institution

    @property
    def turn(self) -> int:
        return self._request.turn

    @property
    def min_cell(self) -> int:
        return self._request.min_cell

    @property
    def values(self) -> MutableMapping[str, bytes]:
        return self._values

    def matrix(self, dataset: str, columns: Sequence[str]) -> Floats:
        return read_matrix(self._cohort(dataset), columns)

    def subjects(self, dataset: str) -> list[str]:
        return read_subjects(self._cohort(dataset))

    def ranges(self, dataset: str, columns: Sequence[str]) -> list[Range]:
        known = self._request.ranges.get(dataset, {})
        missing = [column for column in columns if column not in known]
        if missing:
            raise SourceError(
                f"node.toml gives no low and high for {', '.join(missing[:5])} of {dataset}",
                blame="this institution's configuration",
                remedy="add the public range of each column that is to be scored encrypted, and restart the node",
            )
        return [known[column] for column in columns]

    def model(self, name: str) -> LinearModel:
        document = self._request.models.get(name)
        if document is None:
            raise StepError(
                f"{self.institution} has no model {name}",
                blame="the job spec, or this institution",
                remedy="add it with `consortia model add`, or name one that `consortia model list` shows",
            )
        return LinearModel.from_canonical(document, f"model {name}")

    def seal(self, name: str, values: Integers, turn: int = 0) -> Content:
        place = self.spec.parties.index(self.institution)
        return sealed.to_content(self._sum(name, turn).seal(values, place))

    def limit(self, name: str) -> int:
        return sealed.policy_of(self._request.job_id, self.spec, name, 0).limit

    def open(self, name: str, total: Content, turn: int = 0) -> Integers:
        institution = self._sum(name, turn)
        try:
            return institution.open(sealed.from_content(total, "the coordinator"))
        except ConsortiaError as error:
            raise TotalRefusedError(error.what) from error

    def server_step(self, current: Floats, mean_update: Floats) -> Floats:
        parameters = cast("TrainParameters", self.spec.parameters)
        return federated.server_step(parameters.strategy, self._values, current, mean_update)

    def salt(self) -> str:
        """Goes into the result, whose digest receipts show to the coordinator; all parties must make the same."""
        secret = self._values.get(SUM_KEY)
        return secrets.token_hex(16) if secret is None else common_salt(secret, self._request.job_id)

    def _sum(self, name: str, turn: int) -> LatticeInstitution:
        policy = sealed.policy_of(self._request.job_id, self.spec, name, turn)
        secret = self._values.get(SUM_KEY)
        if secret is None:
            raise StepError(
                "a sealed sum was asked for before the institutions agreed on a key",
                blame="the coordinator",
                remedy="coordinator and nodes must run compatible versions of Consortia",
            )
        return LatticeInstitution(policy, secret)

    def _cohort(self, dataset: str) -> Path:
        return self._request.cohorts[dataset]
