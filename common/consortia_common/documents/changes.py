"""PURE: what differs between two plain documents, field by field, as a person would name it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NAMES = ("institution", "name", "kind")
"""What an item of a list is known by, where it has one of these."""
ABSENT = None


@dataclass(frozen=True)
class Change:
    """One field that differs; ABSENT where a side does not have it."""

    field: str
    old: Any
    new: Any

    @property
    def old_text(self) -> str:
        """For people."""
        return _text(self.old)

    @property
    def new_text(self) -> str:
        """For people."""
        return _text(self.new)


def changes_between(old: Any, new: Any, field: str = "") -> list[Change]:
    """Every field that differs, in the order of the old document and then of the new one."""
    return list(_differences(old, new, field))


def _differences(old: Any, new: Any, field: str) -> Iterator[Change]:
    before, after = _parts(old), _parts(new)
    if before is None or after is None:
        if old != new:
            yield Change(field, old, new)
        return
    for name in dict.fromkeys([*before, *after]):
        inner = f"{field}.{name}" if field else name
        yield from _differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)


def _parts(value: Any) -> dict[str, Any] | None:
    """A mapping's fields, or a list's items by their names; None for what has no parts that could be named."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return None
    names = [_name(item) for item in value]
    if None in names or len(set(names)) != len(names):
        return None
    return dict(zip([str(name) for name in names], value, strict=True))


def _name(item: Any) -> str | None:
    """``bank-a``, or ``bank-a/ana`` for a person of an institution."""
    if not isinstance(item, dict):
        return None
    found = [str(item[key]) for key in _NAMES if isinstance(item.get(key), str)]
    return "/".join(found) or None


def _text(value: Any) -> str:
    return "nothing" if value is ABSENT else value if isinstance(value, str) else json.dumps(value)
