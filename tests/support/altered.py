"""``python -m tests.support.altered WORDS…``: the ``consortia`` command in a process whose clock a test sets.

The file that ALTERED_CLOCK names holds by how many seconds the clock is wrong; it is read each time that a node or
a coordinator asks for the time. The product knows nothing of this: its clock is replaced here.
"""

import os
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

VARIABLE = "ALTERED_CLOCK"


class Altered(datetime):
    """A datetime whose ``now`` is off."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(seconds=float(Path(os.environ[VARIABLE]).read_text()))


def main() -> None:
    from consortia_client.cli.main import main as consortia  # noqa: PLC0415  # a worker imports this module too
    from consortia_coordinator import service as coordinator  # noqa: PLC0415
    from consortia_node import assembly as node  # noqa: PLC0415

    coordinator.datetime = Altered  # type: ignore[misc]
    node.datetime = Altered  # type: ignore[misc]
    sys.argv[0] = "consortia"
    consortia()


if __name__ == "__main__":
    main()
