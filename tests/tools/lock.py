"""Lock the versions: requirements/runtime.txt and requirements/dev.txt, with hashes, for every platform.

The files name no index address. dev.txt is resolved under runtime.txt as a constraint, so both agree. Hashes are
required at installation and versions are exact, so no installer can fall back to an older release.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = {
    "requirements/runtime.txt": ["--extra", "examples", "--group", "build"],
    "requirements/dev.txt": [
        "--extra",
        "examples",
        "--extra",
        "timestamps",
        "--extra",
        "pkcs11",
        "--extra",
        "onnx",
        "--group",
        "dev",
        "--constraint",
        "requirements/runtime.txt",
    ],
}


def main() -> None:
    """Write both files."""
    uv = Path(sys.executable).with_name("uv")
    common = [
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-annotate",
        "--no-header",
        "--quiet",
    ]
    for target, options in LOCKS.items():
        subprocess.run(
            [uv, "pip", "compile", "pyproject.toml", *options, *common, "--output-file", target],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main()
