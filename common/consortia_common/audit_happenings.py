"""PURE: from what a program wants to log (an event and its fields) to the body of an entry.

Fields that the catalogue knows as common go into the body itself, the event's own into ``detail``; empty ones are
left out. A reason may be a stranger's words, and is brought into a form that an entry can hold.
"""

from collections.abc import Mapping
from typing import Any

from consortia_crypto.audit import events
from consortia_crypto.audit.batch import Body

_MAX_REASON = 1000


def body_of(event: str, fields: Mapping[str, Any], org: str) -> Body:
    """The body of ``event`` at the institution ``org``, but for its time. Raises AuditError."""
    kind = events.EVENTS.get(event)
    body: dict[str, Any] = {"type": event, "org": org, "retention_class": kind.retention if kind else ""}
    detail: dict[str, Any] = {}
    for name, value in fields.items():
        if value or isinstance(value, int):
            where = body if name in events.COMMON else detail
            where[name] = list(value) if type(value) is tuple else value
    if "reason" in body:
        body["reason"] = _one_line(str(body["reason"]))
    if detail:
        body["detail"] = detail
    return Body.of(body)


def _one_line(text: str) -> str:
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)
