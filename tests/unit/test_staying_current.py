"""A node looks once a minute whether its certificate is due, whatever went wrong the last time."""

from datetime import UTC, datetime

import pytest

from consortia_common import logs
from consortia_common.errors import ExchangeError
from consortia_common.renewal import Renewed
from consortia_node.upkeep import CHECK_SECONDS, stay_current

CHANGED = Renewed(not_after=datetime(2026, 1, 1, tzinfo=UTC))


class StopError(Exception):
    """Ends the loop."""


class Renewal:
    """What comes of each look, in order."""

    def __init__(self, *outcomes: Renewed | Exception) -> None:
        self.outcomes = list(outcomes)

    def check(self) -> Renewed:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def away(what: str) -> ExchangeError:
    return ExchangeError(what, blame="the network", remedy="wait")


async def look(monkeypatch: pytest.MonkeyPatch, *outcomes: Renewed | Exception) -> tuple[int, list[str]]:
    """How often it dialled again, and what the process log says."""
    dialled, said = [], []
    monkeypatch.setattr(logs, "failure", lambda event, error, **_: said.append(error.what))

    async def sleep(seconds: float) -> None:
        assert seconds == CHECK_SECONDS
        if not renewal.outcomes:
            raise StopError

    renewal = Renewal(*outcomes)
    with pytest.raises(StopError):
        await stay_current(renewal, lambda: dialled.append(1), sleep)  # type: ignore[arg-type]
    return len(dialled), said


async def test_it_dials_again_only_when_something_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await look(monkeypatch, Renewed(), CHANGED, Renewed(), CHANGED) == (2, [])


async def test_trouble_is_said_once_and_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = (away("a"), away("a"), away("b"), CHANGED, away("b"))
    assert await look(monkeypatch, *outcomes) == (1, ["a", "b", "b"])
