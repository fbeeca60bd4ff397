"""Generate the wire contract's Python code from proto/, or check that the committed code is what would come out."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROTO = Path(__file__).parents[2] / "proto"
PACKAGE = PROTO / "consortia_proto" / "v1"


def generate(out: Path) -> None:
    """Write the generated code for every .proto file below ``out``."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PACKAGE.glob("*.proto"))
    outputs = [f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *sources],
        check=True,
        capture_output=True,
        cwd=PROTO,
        env={"PATH": str(Path(sys.executable).parent)},
    )


def outdated() -> list[str]:
    """Names of committed files that differ from what the contract generates."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.name: path.read_bytes() for path in Path(folder).rglob("*_pb2*")}
    committed = {path.name: path.read_bytes() for path in PACKAGE.glob("*_pb2*")}
    return sorted(name for name in fresh | committed if fresh.get(name) != committed.get(name))


def main() -> None:
    """Write the code, or with --check exit with 1 if it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        generate(PROTO)
    elif stale := outdated():
        sys.exit(f"out of date: {', '.join(stale)}; run `make proto`")


if __name__ == "__main__":
    main()
