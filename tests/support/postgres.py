"""A PostgreSQL server of its own on loopback, where Debian's is installed.

PostgreSQL refuses to run as root; then it runs as nobody.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def server(folder: Path, statements: str) -> Iterator[str]:
    """The address of a database in which ``statements`` were run; skips the test where there is no PostgreSQL."""
    where = _binaries()
    if where is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    as_server = [] if os.geteuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    if as_server:
        shutil.chown(folder, "nobody", "nogroup")
        for parent in [folder, *folder.parents][:-2]:
            parent.chmod(parent.stat().st_mode | 0o055)
        folder.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = subprocess.run(
        [*as_server, where / "initdb", "-D", folder / "data", "-U", "bank", "-A", "trust", "--no-sync"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("PostgreSQL can't make a database here")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    control = [*as_server, where / "pg_ctl", "-D", folder / "data", "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, capture_output=True)
    try:
        address = f"postgresql://bank@127.0.0.1:{port}/postgres"
        subprocess.run(
            ["psql", "-qX", "-v", "ON_ERROR_STOP=1", address, "-c", statements], check=True, capture_output=True
        )
        yield address
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


def _binaries() -> Path | None:
    """Where initdb and postgres lie: on the path, or where Debian has them."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    return Path(found).parent if found else None
