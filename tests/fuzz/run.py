"""``python -m tests.fuzz.run``: longer runs of the fuzz table, blind or led by coverage (atheris).

    python -m tests.fuzz.run --seconds 600            every target in turn, each for its share of the time
    python -m tests.fuzz.run --seconds 60 Content     those whose name has this in it
    python -m tests.fuzz.run --guided Content         one target under atheris, until Ctrl-C; see below

``--guided`` needs ``pip install --require-hashes -r tests/fuzz/requirements.txt``, Linux and CPython; what follows
``--`` is libFuzzer's (``-- -max_total_time=600 corpus/``). Bytes that raise what they may not are written to the
folder ``.fuzz``, the first at each place in the code, and the command ends with 1.
"""

import argparse
import hashlib
import importlib
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from consortia_common.errors import place
from tests.fuzz.discovery import PACKAGES
from tests.fuzz.mutation import mutate

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

FOUND = Path(".fuzz")


def survives(name: str, target: "Target", data: bytes) -> bool:
    """Whether ``data`` does nothing that it may not; else keep it."""
    try:
        target.read(data)
    except target.errors:
        return True
    except Exception as error:
        where = hashlib.sha256(place(error).encode()).hexdigest()[:8]
        FOUND.mkdir(exist_ok=True)
        (FOUND / f"{name}.{where}").write_bytes(data)
        print(f"{name}: {type(error).__name__} in {place(error)}; {FOUND}/{name}.{where}")
        return False
    return True


def blind(chosen: Sequence[tuple[str, "Target"]], seconds: float, seed: int) -> bool:
    """Spoil good bytes by chance; whether all targets survived."""
    good = True
    for name, target in chosen:
        random, runs = Random(f"{seed}/{name}"), 0
        examples = target.examples() or [b"{}"]
        over = time.monotonic() + seconds / len(chosen)
        while time.monotonic() < over and runs < 10_000_000:
            good &= survives(name, target, mutate(random.choice(examples), examples, random))
            runs += 1
        print(f"{name}: {runs} runs")
    return good


def guided(atheris: Any, name: str, target: "Target", rest: Sequence[str]) -> None:
    """Have atheris look for new ways through the code; never returns."""

    def one(data: bytes) -> None:
        if not survives(name, target, data):
            raise SystemExit(1)

    corpus = FOUND / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(target.examples()):
        (corpus / f"good.{number}").write_bytes(example)
    atheris.Setup([name, *rest, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """What this module's docstring says."""
    parser = argparse.ArgumentParser(description="Fuzz what reads a peer's bytes.")
    parser.add_argument("name", nargs="?", default="", help="only targets with this in their name")
    parser.add_argument("--seconds", type=float, default=60, help="for all together")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="to repeat a run")
    parser.add_argument("--guided", action="store_true", help="one target under atheris")
    known, rest = parser.parse_known_args()
    atheris = importlib.import_module("atheris") if known.guided else None
    with atheris.instrument_imports(include=list(PACKAGES)) if atheris else nullcontext():
        table = importlib.import_module("tests.fuzz.targets").targets()
    chosen = [(name, target) for name, target in table.items() if known.name in name]
    if not chosen or (atheris and len(chosen) != 1):
        print(
            f"{len(chosen)} targets have {known.name!r} in their name:", *(name for name, _ in chosen), sep="\n  "
        )
        return 2
    if atheris:
        guided(atheris, *chosen[0], [option for option in rest if option != "--"])
    print(f"seed {known.seed}")
    return 0 if blind(chosen, known.seconds, known.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
