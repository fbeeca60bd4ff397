"""The spec schema of each job kind: one module a kind, found by its file name.

A kind module defines ``Parameters(KindParameters)``. A stranger adds a kind by adding a module here, one in
consortia_node.kinds and one in consortia_coordinator.kinds, each with the kind's name; nothing else is touched.
"""

import importlib
import pkgutil
from typing import ClassVar

from consortia_common.documents.base import Document, refuse


class Reads(Document):
    """What one party's node would read for a job: nothing if ``columns`` is empty."""

    dataset: str
    columns: tuple[str, ...]


class KindParameters(Document):
    """The parameters of a kind; says what the job would read where, so that the gate need not know kinds."""

    MIN_PARTIES: ClassVar[int] = 3

    def reads(self, party: str) -> tuple[Reads, ...]:
        """The datasets and columns that ``party``'s node would read."""
        raise NotImplementedError

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """What is wrong with the parameters for these parties, in words; empty if nothing."""
        del parties
        return []


def names() -> list[str]:
    """The kinds that this version knows."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def parameters_of(kind: str) -> type[KindParameters]:
    """The parameter schema of ``kind``. Raises DocumentError for an unknown kind."""
    if kind not in names():
        raise refuse("the job spec", [f"kind: there is no kind {kind!r}; there are {', '.join(names())}"])
    module = importlib.import_module(f"{__name__}.{kind}")
    found: type[KindParameters] = module.Parameters
    return found
