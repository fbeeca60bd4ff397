"""The command line with nobody behind it: commands run here, and stubs stand for the node and the coordinator."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consortia_client import control
from consortia_client.cli.main import main


def consortia(*arguments: str | Path) -> Result:
    """Run `consortia ARGUMENTS`."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def as_json(result: Result) -> Any:
    """What a command printed for programs: nothing but JSON, on standard output."""
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def fits(result: Result, width: int = 80) -> bool:
    """Whether nothing that was printed for people is wider than a terminal."""
    return all(len(line) <= width for line in result.stdout.splitlines())


class StubNode:
    """Stands for a running node: keeps what it was asked, answers what it was told to."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def call(request: Any, timeout: float) -> Any:
            assert timeout > 0
            self.asked.append(request)
            answer = self.answers[name]
            return answer(request) if callable(answer) else answer

        return call


def use(monkeypatch: pytest.MonkeyPatch, node: StubNode) -> StubNode:
    """Have every command reach ``node``."""

    @contextmanager
    def connected(config_file: Path) -> Iterator[Any]:
        assert config_file.exists()
        yield node

    monkeypatch.setattr(control, "node", connected)
    return node


def use_session(monkeypatch: pytest.MonkeyPatch, session: Any) -> None:
    """Have every command talk to the coordinator through ``session``."""
    from consortia_client import profile
    from consortia_client import session as sessions

    @contextmanager
    def opened(_: Any) -> Iterator[Any]:
        yield session

    monkeypatch.setattr(profile.Profile, "load", lambda folder: SimpleNamespace(folder=folder))
    monkeypatch.setattr(sessions, "Session", opened)
