"""PURE: what pydantic finds wrong with a value, in the words of those who write documents.

Trusted for: nothing of the value is said but how many items it has.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

_PATTERNS = {
    r"^[a-z][a-z0-9_-]{0,62}$": "be lower-case letters, digits, - and _, beginning with a letter",
    r"^[A-Za-z][A-Za-z0-9_]{0,62}$": "be letters, digits and _, beginning with a letter, as columns are named",
    r"^[0-9a-f]{64}$": "be 64 digits of 0 to 9 and a to f",
}
_TYPES = {
    "bool": "be true or false",
    "decimal": "be a number",
    "dict": "be a mapping of names to values",
    "int": "be a whole number",
    "list": "be a list, such as [a, b]",
    "model": "be a mapping of fields",
    "string": "be text",
    "tuple": "be a list, such as [a, b]",
}
_UNFILLED = re.compile(r"<.*>")


def in_words(item: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says, as what must be so."""
    found = item["type"]
    if isinstance(item["input"], str) and _UNFILLED.fullmatch(item["input"]):
        return "is still to be filled in"
    if found in _FORMS:
        return _FORMS[found](item["ctx"])
    kind, _, why = found.partition("_")
    if kind in _TYPES and why in _NOT_OF_TYPE:
        return f"must {_TYPES[kind]}"
    message = str(item["msg"])
    return re.sub(r"^(input|value|string) should", "must", message[:1].lower() + message[1:])


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"


def _tag(context: Mapping[str, Any]) -> str:
    """The name of the field that tells which of several forms a value has."""
    return str(context["discriminator"]).strip("'")


_FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "string_pattern_mismatch": lambda of: f"must {_PATTERNS.get(of['pattern'], 'have the form ' + of['pattern'])}",
    "too_long": lambda of: f"must have at most {_items(of['max_length'])}",
    "too_short": lambda of: f"must have at least {_items(of['min_length'])}, and has {of['actual_length']}",
    "union_tag_invalid": lambda of: f"the {_tag(of)} must be one of {of['expected_tags']}",
    "union_tag_not_found": lambda of: f"must say its {_tag(of)}",
}
_NOT_OF_TYPE = {"type", "parsing", "from_float", "unicode", "attributes_type"}


def is_said_by_another(item: Mapping[str, Any], others: list[tuple[Any, ...]]) -> bool:
    """Whether a list is only found too short because an item of it was found wrong, which is said for itself."""
    place = item["loc"]
    return item["type"] == "too_short" and any(
        len(other) > len(place) and other[: len(place)] == place for other in others
    )
