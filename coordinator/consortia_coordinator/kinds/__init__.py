"""PURE: how the coordinator conducts each job kind: one module a kind, found by its file name.

A kind module defines ``conduct(job)``, which asks the parties for steps in order and hands on what they answer.
Everything it needs is given to it as a ``Job``; it holds no key and can't go round the exchange. After a restart
it is called again from the top, and every step that was answered before is answered again from the journal: a
kind must therefore ask for the same steps in the same order whenever it gets the same answers.
"""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import parameters_of


class Job(Protocol):
    """What a kind is handed."""

    @property
    def spec(self) -> JobSpec:
        """What the analyst asked for."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say to whoever watches what is happening; ``done`` of ``total`` steps are over."""

    def ask(self, step: str, requests: Mapping[str, Content], turn: int = 0) -> dict[str, Content]:
        """Send each party its request and return all answers. A refusal or failure of one ends the job."""

    def ask_all(self, step: str, request: Content, turn: int = 0) -> dict[str, Content]:
        """``ask`` with one request for every party."""

    def open_epoch(self) -> None:
        """Have the parties agree on the keys of the job's sealed sums."""

    def sum(self, name: str, step: str, turn: int = 0) -> None:
        """Ask every party for ``step``, which makes its summand of ``name`` (see the spec's ``sums``); give all
        the sealed total, which only they can open. ``turn``: the round, where the sum comes again."""

    def fit(self, rounds: int) -> None:
        """Run the spec's Flower strategy: the step "train" and the sum "update", ``rounds`` times."""

    def conclude(self, requests: Mapping[str, Content] | None = None) -> None:
        """Have these parties (all, with nothing to tell them, unless given) take their last step, and keep the
        result that one of them seals for the analyst."""


class Conduct(Protocol):
    """A kind module."""

    def conduct(self, job: Job) -> None:
        """Run the job to its conclusion."""


def conduct_of(kind: str) -> Conduct:
    """The module that conducts ``kind``. Raises DocumentError for an unknown kind."""
    parameters_of(kind)
    return cast("Conduct", importlib.import_module(f"{__name__}.{kind}"))
