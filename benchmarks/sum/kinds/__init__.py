"""Two job kinds of the benchmark alone: the same rounds, once with sealed sums and once in plain sight.

They are found as a stranger's kinds would be, on the extended paths of the packages that hold the kinds.
"""

from pathlib import Path

from consortia_common.documents import kinds as schemas
from consortia_coordinator import kinds as conducts
from consortia_node import kinds as steps

SEALED, PLAIN = "sealed_round", "plain_round"


def add() -> None:
    """Let this process know them. Its worker processes learn of them by importing what calls this."""
    for package, folder in ((schemas, "schemas"), (steps, "steps"), (conducts, "conducts")):
        package.__path__ = [*package.__path__, str(Path(__file__).parent / folder)]
