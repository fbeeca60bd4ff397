"""PURE: a state machine as a table of what may follow what. What the table lacks can't happen."""

from collections.abc import Mapping
from dataclasses import dataclass

from consortia_node.errors import StateError


@dataclass(frozen=True)
class StateTable:
    """The states of ``what`` (a noun for the errors), each with the states that may follow it."""

    what: str
    transitions: Mapping[str, frozenset[str]]

    def advance(self, state: str, to: str) -> str:
        """``to``, if it may follow ``state``. Raises StateError otherwise."""
        if to not in self.transitions.get(state, frozenset()):
            follow = ", ".join(sorted(self.transitions.get(state, frozenset()))) or "nothing"
            raise StateError(
                f"{self.what} that is {state} can't become {to}; what may follow is {follow}",
                blame="whoever asked for the change",
                remedy="look at its present state first, and ask for a change that the state allows",
            )
        return to

    @property
    def final(self) -> frozenset[str]:
        """The states that nothing follows."""
        return frozenset(state for state, following in self.transitions.items() if not following)
