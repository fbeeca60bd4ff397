"""What a task of a sealed sum says, read and checked; whatever is wrong with it is the coordinator's.

Trusted for: hostile words raise ExchangeError or SumError and nothing else, and no frame is read or written that
the sum does not have.
"""

import hashlib
import os
from pathlib import Path
from typing import TypeVar

from consortia_common import keyfiles, sealed
from consortia_common.content import Content, HashedBlobs
from consortia_common.errors import ExchangeError
from consortia_crypto.errors import SumError
from consortia_crypto.sum.messages import Message
from consortia_crypto.sum.vector import FileVector, Layout, batch

COORDINATOR = "the coordinator"
_M = TypeVar("_M", bound=Message)


def message(content: Content, kind: type[_M]) -> _M:
    """The protocol's message that came. Raises ExchangeError, SumError."""
    value = content.config.get("message")
    if not isinstance(value, bytes):
        raise bad_task("a message of a sealed sum did not come")
    try:
        return kind.from_bytes(value)
    except SumError as error:
        raise SumError(error.what, blame=COORDINATOR, remedy=error.remedy) from error


def number(content: Content, name: str) -> int:
    """What stands under a name, from 0. Raises ExchangeError."""
    value = content.config.get(name)
    if type(value) is not int or value < 0:
        raise bad_task(f"a task of a sealed sum has no {name}")
    return value


def text(content: Content, name: str) -> str:
    """What stands under a name. Raises ExchangeError."""
    value = content.config.get(name)
    if not isinstance(value, str):
        raise bad_task(f"a task of a sealed sum has no {name}")
    return value


def terms(content: Content) -> list[tuple[str, str]]:
    """R0 of each sum that is asked about: its rid, and its policy's digest. Raises ExchangeError."""
    rids, policies = content.config.get("rids"), content.config.get("policies")
    if not isinstance(rids, list) or not isinstance(policies, list) or len(rids) != len(policies):
        raise bad_task("the terms of a sealed sum did not come")
    if not 0 < len(rids) <= sealed.TOGETHER:
        raise bad_task("a task asks about too many sealed sums, or none")
    return list(zip(rids, policies, strict=True))


def take(path: Path, layout: Layout, content: Content) -> str | None:
    """Keep a batch of frames of the sealed total; the SHA-256 of the whole once the last one is there.

    Raises ExchangeError.
    """
    first, frames = number(content, "first"), content.config.get("frames")
    if not isinstance(frames, list) or not 0 < len(frames) <= sealed.BATCH or first + len(frames) > layout.frames:
        raise bad_task("the frames of a total are too many, or none")
    if any(not isinstance(data, bytes) or len(data) != layout.length(first + n) for n, data in enumerate(frames)):
        raise bad_task("a frame of a total has the wrong length")
    keyfiles.make_folder(path.parent)
    if first and not path.exists():
        raise bad_task("a frame of a total is missing")
    with path.open("r+b" if first else "w+b") as file:
        if file.seek(0, os.SEEK_END) < layout.offset(first):
            raise bad_task("a frame of a total is missing")
        file.seek(layout.offset(first))
        file.writelines(frames)
        if first + len(frames) < layout.frames:
            return None
        if isinstance(frames, HashedBlobs) and not first:
            return frames.digest
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def frames_in(path: Path, layout: Layout, first: int) -> list[bytes]:
    """A batch of frames of an upload. Raises ExchangeError if there are none."""
    if first >= layout.frames:
        raise bad_task("frames were asked for that an upload does not have")
    with FileVector.reading(path) as vector:
        return batch(vector, layout, first, sealed.BATCH)


def bad_task(why: str) -> ExchangeError:
    """The error for a task that no coordinator of this version sends."""
    return ExchangeError(
        why, blame=COORDINATOR, remedy="coordinator and nodes must run compatible versions of Consortia"
    )
