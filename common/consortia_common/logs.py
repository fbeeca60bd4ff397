"""The process log: one JSON object per line, from catalogued fields only.

This log is for those who run a process; the audit log is what proves things. A field that is not in FIELDS is
dropped and counted, never written, so that no careless line can carry a customer's number, a value from a row or
a key; long texts are cut. The line then says ``dropped_fields``, which a test or an alarm can look for.
"""

import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import structlog

from consortia_common.errors import SettingsError, place
from consortia_crypto.errors import ConsortiaError

FIELDS = frozenset(
    {
        "address", "agreement", "attempt", "blame", "bytes", "clause", "code", "component", "count", "dataset",
        "dropped_fields", "entry", "error", "event", "file", "fingerprint", "institution", "invitation",
        "job_id", "kind", "level", "member", "method", "network", "peer", "pid", "reason", "remedy", "role",
        "round", "rows", "seconds", "stage", "state", "step", "task_id", "ts", "version", "where",
    }
)  # fmt: skip
"""Every field that a line may have."""
MAX_TEXT = 500
_PLAIN = (bool, int, float, str, type(None))


def configure(component: str, file: Path | None = None) -> None:
    """Send this process's log to ``file`` (appended, 0600) or to standard error, as ``component``."""
    stream = _open(file) if file else None
    if _current.stream:
        _current.stream.close()
    _current.component, _current.stream = component, stream


def event(name: str, **fields: Any) -> None:
    """Log that ``name`` happened, for instance ``event("node.connected", peer="bank-a")``."""
    _log().info(name, **fields)


def warning(name: str, **fields: Any) -> None:
    """As ``event``, for what somebody should look at."""
    _log().warning(name, **fields)


def failure(name: str, error: BaseException, **fields: Any) -> None:
    """Log an error: our own with its explanation; any other by type and place, as its text may hold data."""
    if isinstance(error, ConsortiaError):
        fields |= {"reason": error.what, "blame": error.blame, "remedy": error.remedy}
    warning(name, error=type(error).__name__, where=place(error), **fields)


@dataclass
class _Destination:
    component: str = "consortia"
    stream: TextIO | None = None  # none: whatever standard error is at the time


_current = _Destination()


def _log() -> Any:
    """A logger with its own chain, so that no other configuration of structlog loosens it."""
    return structlog.wrap_logger(
        structlog.WriteLogger(_current.stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            _keep_allowed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.BoundLogger,
        context_class=dict,
    ).bind(component=_current.component)


def _keep_allowed(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    kept = {name: _bounded(value) for name, value in line.items() if name in FIELDS and _is_plain(value)}
    dropped = len(line) - len(kept)
    return kept | {"dropped_fields": dropped} if dropped else kept


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN)


def _bounded(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _open(file: Path) -> TextIO:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        return file.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise SettingsError(
            f"{file}: the process log can't be written: {error.strerror}",
            blame="whoever set log_file",
            remedy="choose a file in a folder that this user may write to",
        ) from error
