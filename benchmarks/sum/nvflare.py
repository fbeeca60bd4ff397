"""NVFlare's own job with homomorphic encryption beside ours: its server and three clients, each a process.

It runs in an environment of its own, whose interpreter is named by whoever has one (``pip install "nvflare[HE]"``).
Bytes are what passed over the loopback interface meanwhile, so nothing else may use that.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.sum.alone import Shape

JOB = Path(__file__).parent / "nvflare_job"
CLIENTS = 3
SHAPES = (Shape(CLIENTS, 10**5), Shape(CLIENTS, 10**6))
ROUNDS = 5
_ADMIN = "example_project/prod_00/admin@nvidia.com"
_SECONDS = 900


def measure(interpreter: Path) -> dict[Shape, tuple[float, float]]:
    """Seconds and bytes of a round of each of SHAPES; the first is left out."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = Path(name)
        with _started(interpreter, folder):
            return {shape: _round(interpreter, folder, shape) for shape in SHAPES}


def _round(interpreter: Path, folder: Path, shape: Shape) -> tuple[float, float]:
    stamps = folder / f"stamps.{shape.length}"
    job = _filled(folder / f"job.{shape.length}", shape.length, stamps)
    _run(interpreter, folder, JOB / "submit.py", folder / "poc" / _ADMIN, job, CLIENTS, _SECONDS)
    passed = [json.loads(line) for line in stamps.read_text().splitlines()][1:]
    seconds, size = ((late - early) / (len(passed) - 1) for early, late in zip(passed[0], passed[-1], strict=True))
    return seconds, size


def _filled(job: Path, length: int, stamps: Path) -> Path:
    """The job's folder with its numbers filled in."""
    shutil.copytree(JOB, job, ignore=shutil.ignore_patterns("submit.py"))
    for path in (job / "app" / "config").iterdir():
        text = path.read_text().replace('"length": 0', f'"length": {length}')
        text = text.replace('"num_rounds": 0', f'"num_rounds": {ROUNDS}')
        path.write_text(text.replace('"stamps": ""', f'"stamps": {json.dumps(str(stamps))}'))
    return job


@contextmanager
def _started(interpreter: Path, folder: Path) -> Iterator[None]:
    """NVFlare's proof-of-concept network, with keys for CKKS, until the block ends."""
    program = interpreter.parent / "nvflare"
    _run(program, folder, "poc", "prepare", "-n", CLIENTS, "-he")
    words = [str(program), "poc", "start", "-ex", "admin@nvidia.com", "--no-wait"]
    with (folder / "nvflare.log").open("ab") as output:
        start = subprocess.Popen(
            words,
            env=_environment(program, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            start.wait(_SECONDS)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(start.pid, signal.SIGKILL)


def _run(program: Path, folder: Path, *words: object) -> None:
    command = [str(program), *map(str, words)]
    done = subprocess.run(command, env=_environment(program, folder), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"NVFlare came to nothing:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def _environment(program: Path, folder: Path) -> Mapping[str, str]:
    """Its scripts start whatever Python is found first."""
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"HOME": str(folder), "NVFLARE_POC_WORKSPACE": str(folder / "poc"), "PATH": path}
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | own
