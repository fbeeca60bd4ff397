"""The plain shape of an entry: one regular expression per event, which canonical bytes of it match.

A match proves at once that the bytes are canonical JSON and that the catalogue allows the body, in a fraction of
the time that parsing and checking take. The shape is narrower than the format: a text with a quote, a backslash or
a letter beyond ASCII does not match it, nor does an integer of more than fifteen digits. What does not match is
judged the long way, so nothing is accepted or refused here that is not accepted or refused there.
"""

import re
from collections.abc import Mapping

from consortia_crypto.audit import events

_WORD = r"[!#-\[\]-~]{1,200}"
_INTEGER = r"(?:0|[1-9][0-9]{0,14})"
_BY_TYPE: Mapping[type, str] = {
    bool: "(?:true|false)",
    int: _INTEGER,
    list: rf'\[(?:"{_WORD}"(?:,"{_WORD}")*)?\]',
    str: r'"[ !#-\[\]-~]{1,4000}"',
}
_BY_PATTERN: Mapping[re.Pattern[str], str] = {
    events.WORD: f'"{_WORD}"',
    events.TEXT: _BY_TYPE[str],
    events.HASH: '"[0-9a-f]{64}"',
    events.TIME: r'"(?P<ts>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)"',
    events.AGREEMENT: '"[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}(?:#[0-9a-f]{64})?"',
}
_NEXT = r'(?:,(?=")|(?=\}))'
"""After a field: a comma and another field, or the object's end."""
_ENVELOPE = (
    rf',"i":(?P<i>{_INTEGER}),"prev":"(?P<prev>[0-9a-f]{{64}})","salt":"[0-9a-f]{{32}}",'
    rf'"sig":\{{"alg":"ed25519(?:-batch","end":(?P<end>{_INTEGER})|"),"kid":"(?P<kid>[0-9a-f]{{64}})"'
    r'(?(end)|,"val":"(?P<val>[0-9a-f]{128})")\},"v":1\}'
)
_TYPE = b'"type":"'
_END = b'"},"i":'
_shapes: dict[bytes, "Shape"] = {}


class Shape:
    """How canonical bytes of one event look: its body, and a whole entry with one."""

    def __init__(self, event: events.EventType) -> None:
        self.event = event
        own = event.required & event.detail.keys()
        required = events.ALWAYS | (event.required - own) | ({"detail"} if own else set())
        body = _object({name: _pattern(event, name) for name in events.COMMON}, required)
        self.body = re.compile(body.encode())
        self.entry = re.compile(rf'\{{"body":{body}{_ENVELOPE}'.encode())


def of(name: bytes) -> Shape | None:
    """The shape of the event ``name``; None if the catalogue does not have it."""
    shape = _shapes.get(name)
    if shape is None or events.EVENTS.get(shape.event.name) is not shape.event:
        event = events.EVENTS.get(name.decode("utf-8", "replace"))
        if event is None:
            return None
        shape = _shapes[name] = Shape(event)
    return shape


def match(raw: bytes) -> re.Match[bytes] | None:
    """The parts of an entry of plain shape (``i``, ``prev``, …); None if it must be judged the long way."""
    end = raw.rfind(_END)
    shape = of(raw[raw.rfind(_TYPE, 0, end) + len(_TYPE) : end])
    return None if shape is None else shape.entry.fullmatch(raw)


def _pattern(event: events.EventType, name: str) -> str:
    if name == "type":
        return f'"(?P<type>{re.escape(event.name)})"'
    if name == "detail":
        own = {key: _BY_TYPE[kind] for key, kind in event.detail.items()}
        return _object(own, event.required & own.keys())
    common = events.COMMON[name]
    return _BY_TYPE[common] if isinstance(common, type) else _BY_PATTERN[common]


def _object(fields: Mapping[str, str], required: frozenset[str] | set[str]) -> str:
    """An object of these fields, which are patterns of their values; those not required may be absent."""
    parts = [rf'(?:"{re.escape(name)}":{fields[name]}{_NEXT})' for name in sorted(fields)]
    marks = ["" if name in required else "?" for name in sorted(fields)]
    return r"\{" + "".join(map(str.__add__, parts, marks)) + r"\}"
