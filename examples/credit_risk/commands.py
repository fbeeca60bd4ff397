"""The ``consortia`` command line, driven as a person would: one process a command, its answer read as JSON.

Nothing in the demo reaches into a running part by any other way.
"""

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.credit_risk.errors import DemoError

SECONDS = 120
POLL_SECONDS = 0.2
PROGRAM = Path(sysconfig.get_path("scripts")) / "consortia"


def environment() -> dict[str, str]:
    """The caller's environment without settings that are meant for the caller's own nodes."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONSORTIA_")}
    return plain | {"NO_COLOR": "1", "COLUMNS": "160"}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    output: str
    errors: str

    def document(self) -> Any:
        """The JSON that it printed. Raises DemoError if it printed something else."""
        try:
            return json.loads(self.output)
        except ValueError as error:
            raise DemoError(
                f"a command printed no JSON but: {self.output[:200]!r}",
                blame="this version of the consortia command",
                remedy="run the demo from a clean checkout",
            ) from error


def attempt(*words: str | Path) -> Outcome:
    """Run ``consortia WORDS…`` and return how it ended, well or badly."""
    command = [str(PROGRAM), *(str(word) for word in words)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment()
        )
    except FileNotFoundError as error:
        raise _failed(words, f"there is no {PROGRAM.name} command beside this Python") from error
    except subprocess.TimeoutExpired as error:
        raise _failed(words, f"no answer within {SECONDS} s") from error
    return Outcome(done.returncode, done.stdout, done.stderr)


def run(*words: str | Path) -> str:
    """The output of ``consortia WORDS…``. Raises DemoError if the command refuses."""
    outcome = attempt(*words)
    if outcome.status != 0:
        raise _failed(words, (outcome.errors or outcome.output).strip()[-2000:])
    return outcome.output


def ask(*words: str | Path) -> Any:
    """The JSON answer of ``consortia WORDS… --json``."""
    return Outcome(0, run(*words, "--json"), "").document()


def until(question: Sequence[str | Path], ready: Callable[[Any], bool], otherwise: str) -> Any:
    """What the command says about the first thing that is ``ready``; it answers with a list, or with one thing.

    Raises DemoError, with ``otherwise`` for its sentence, if there is none in time.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        answer = ask(*question)
        for one in answer if isinstance(answer, list) else [answer]:
            if ready(one):
                return one
        if time.monotonic() > deadline:
            raise DemoError(
                otherwise,
                blame="a node, or the coordinator between them",
                remedy="read logs/*.log in the demo's folder, and run the demo again",
            )
        time.sleep(POLL_SECONDS)


def _failed(words: tuple[str | Path, ...], why: str) -> DemoError:
    return DemoError(
        f"`consortia {' '.join(str(word) for word in words[:2])}` did not do what the demo needs: {why}",
        blame="the command, or a process that it spoke to",
        remedy="read the process logs in the demo's folder (logs/*.log), and run the demo again",
    )
