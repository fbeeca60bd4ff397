"""The spec schema of each job kind: one module a kind, found by its file name.

A kind module defines ``Parameters(KindParameters)``. A stranger adds a kind by adding a module here, one in
consortia_node.kinds and one in consortia_coordinator.kinds, each with the kind's name; nothing else is touched.
"""

import importlib
import pkgutil
import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

from pydantic import ConfigDict

from consortia_common.documents.base import Document, Number, refuse

_IMPORTING = threading.RLock()
"""Held while a kind is imported: pydantic parses its source for the texts under the fields, and CPython before
3.11.8 raises SystemError where two threads parse at a time (https://github.com/python/cpython/issues/106905)."""


class Reads(Document):
    """What one party's node would read for a job: nothing if ``columns`` is empty."""

    dataset: str
    columns: tuple[str, ...]
    subjects: bool = False
    """Whether the customer numbers are needed too, to name the rows of a file that stays at the institution."""


WordBits = Literal[16, 24, 32, 64]
"""Bits of one element of a sealed sum."""


class Tensor(Document):
    """Part of a sum of real numbers: so many values, none larger in absolute value than the public ``clip``."""

    length: int
    clip: Number


class SumShape(Document):
    """The shape of one sealed sum: a function of the spec alone, so that nobody needs to negotiate it."""

    word_bits: WordBits
    length: int
    tensors: tuple[Tensor, ...] = ()
    """In a sum of real numbers, the parts that it consists of; none in a sum of integers, which is exact."""


@dataclass(frozen=True)
class Turn:
    """One step that a node takes for a job; ``round`` counts from 1 where the step comes again, else it is 0."""

    step: str
    round: int = 0
    gives: str = field(default="", compare=False)
    """The sum (see ``sums``) to which the step makes this institution's summand; none if empty."""
    optional: bool = field(default=False, compare=False)
    """Whether it, and those like it behind it, are left out once the node itself has found that they are over."""


@dataclass(frozen=True)
class Division:
    """How a job divides its rows: by column ``by`` into ``groups``, in words; values outside of them together."""

    by: str
    groups: tuple[str, ...]

    @property
    def text(self) -> str:
        """The same for the same groups in whatever order."""
        return " | ".join([self.by, *sorted(self.groups)])


Use = Literal["number", "label", "category", "codes", "words"]
"""As what a job takes a column: of categories any, or those that are whole numbers, or text."""


class KindParameters(Document):
    """The parameters of a kind; says what the job would read where, so that the gate need not know kinds.

    The texts under its fields are shown to people: editors read them in the published schema, `consortia job new`
    writes them beside each field.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    MIN_PARTIES: ClassVar[int] = 3

    @abstractmethod
    def reads(self, party: str) -> tuple[Reads, ...]:
        """The datasets and columns that ``party``'s node would read."""

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """By dataset, by column: as what the job takes it, where that matters. A node that declares the column as
        something else refuses the job before any row is read."""
        return {}

    @abstractmethod
    def turns(self, party: str) -> tuple[Turn, ...]:
        """Every step that ``party``'s node takes once the parties have a key, in order; each once and no other.

        A node takes nothing else: to be asked twice, or for more, is how a lying coordinator would learn more.
        """

    def sums(self) -> Mapping[str, SumShape]:
        """The sealed sums that the job computes, by name; empty for kinds that need none."""
        return {}

    def reporters(self, parties: tuple[str, ...]) -> tuple[str, ...]:
        """The parties whose node may seal the result for the analyst; the first that is there does."""
        return parties

    def keeps(self) -> bool:
        """Whether the job leaves an institution a file for itself, which the agreement's recipients must allow."""
        return False

    def models(self, party: str) -> tuple[str, ...]:
        """The models of its own that ``party``'s node would use."""
        del party
        return ()

    def libraries(self) -> tuple[str, ...]:
        """What every party's node must have installed beyond what all nodes have, by the name of its extra."""
        return ()

    def scored_rows(self) -> int:
        """The most customers that a party's model would score; they count against its query budget."""
        return 0

    def letters(self, party: str, step: str, rows: int | None) -> tuple[int, int]:
        """Bytes that ``party`` seals for others in ``step``, and that it gets there, where it has ``rows`` rows."""
        del party, step, rows
        return 0, 0

    def tells(self, turn: Turn) -> int:
        """About how many bytes of how the job goes are sealed for the analyst in ``turn``."""
        del turn
        return 0

    def result_bytes(self) -> int:
        """About how long the result is, as JSON."""
        return 1000

    def learns(self) -> dict[str, str]:
        """What each learns from the job, in sentences; the answer's recipients are the agreement's to name."""
        return {
            "analyst": "the result over all parties together, and from the receipts how many rows each party used",
            "each party": "the totals over all parties, and the result; no other party's part in them",
            "coordinator": "the spec, who takes part and when, the lengths of sealed vectors and, from the "
            "receipts, how many rows each party used; no value, total or result",
        }

    def divisions(self) -> tuple[Division, ...]:
        """Into which groups the job divides its rows, one for each column by which it does; another division of
        the same rows by the same column can show a small group."""
        return ()

    def precision(self) -> int:
        """To how many decimals the values are rounded that the job sums."""
        return 0

    def epsilon_micro(self) -> int:
        """The differential-privacy loss that its answer costs, in millionths of ε; 0 for exact answers."""
        return 0

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """What is wrong with the parameters for these parties, in words; empty if nothing."""
        del parties
        return []


def names() -> list[str]:
    """The kinds that this version knows."""
    return list(_names(tuple(__path__)))


@cache
def _names(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Looked up once: no kind comes while a process runs."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folders)))


def parameters_of(kind: str) -> type[KindParameters]:
    """The parameter schema of ``kind``. Raises DocumentError for an unknown kind."""
    if kind not in names():
        raise refuse("the job spec", [f"kind: there is no kind {kind[:60]!r}; there are {', '.join(names())}"])
    with _IMPORTING:
        module = importlib.import_module(f"{__name__}.{kind}")
    found: type[KindParameters] = module.Parameters
    return found
