"""``plain_train``: the train kind's own code, with sums that the coordinator adds in plain sight.

It is found as a stranger's kind would be, on the extended paths of the packages that hold the kinds.
"""

from pathlib import Path

from consortia_common.documents import kinds as schemas
from consortia_coordinator import kinds as conducts
from consortia_node import kinds as steps

PLAIN = "plain_train"


def add() -> None:
    """Let this process know it. Its worker processes learn of it by importing what calls this."""
    for package, folder in ((schemas, "schemas"), (steps, "steps"), (conducts, "conducts")):
        package.__path__ = [*package.__path__, str(Path(__file__).parent / folder)]
