"""PURE: what parties answer, read with care: a node may say anything, and a log and people read it."""

from typing import TypeVar

from consortia_common.content import Content
from consortia_coordinator.errors import CoordinatorError
from consortia_crypto.errors import SumError
from consortia_crypto.sum.messages import Message
from consortia_proto.v1 import exchange_pb2

_M = TypeVar("_M", bound=Message)

MAX_SAID = 500
"""Characters of each of a node's sentences that are kept."""
MAX_SHORT = 1 << 20
"""Bytes. Three measures after each of 2,000 rounds take a quarter of it."""


def party_of(task_id: str) -> str:
    """The institution that a task's id names."""
    return task_id.rsplit("/", 1)[1]


def failure_of(reply: exchange_pb2.Reply, task_id: str) -> exchange_pb2.Failure:
    """Why a party gave up: its own words, cut and printable, and words of ours for those that it left out."""
    party, said = party_of(task_id), reply.failure
    silent = {
        "code": "failed",
        "what": "the step was given up without a reason",
        "blame": party,
        "remedy": f"ask {party} what its process log says of the job",
        "clause": "",
    }
    return exchange_pb2.Failure(
        **{name: _printable(getattr(said, name)) or default for name, default in silent.items()}
    )


def late(task_id: str, seconds: float) -> exchange_pb2.Failure:
    """The failure of a party that did not answer in time."""
    _, step, turn, institution = task_id.split("/")
    return exchange_pb2.Failure(
        code="failed",
        what=f"no answer to step {step!r}, turn {turn}, within {seconds:.0f} s",
        blame=f"{institution}, or the network between it and the coordinator",
        remedy=f"ask {institution} whether its node runs and is connected, then submit the job again",
    )


def blob(content: Content, name: str, sender: str) -> bytes:
    """The bytes that an answer must hold under ``name``. Raises CoordinatorError."""
    value = content.config.get(name)
    if not isinstance(value, bytes):
        raise _lacks(name, sender)
    return value


def short_blob(content: Content, name: str, sender: str) -> bytes:
    """As ``blob``, for what goes on to people in a message of its own. Raises CoordinatorError."""
    value = blob(content, name, sender)
    if len(value) > MAX_SHORT:
        raise CoordinatorError(
            f"{sender} answered with {len(value)} bytes of {name}, more than the {MAX_SHORT} that it may have",
            blame=sender,
            remedy=f"ask {sender} which version of Consortia its node runs",
        )
    return value


def said(content: Content, name: str, sender: str, kind: type[_M]) -> _M:
    """The sealed-sum message that an answer must hold. Raises CoordinatorError, SumError, naming ``sender``."""
    try:
        found = kind.from_bytes(blob(content, name, sender))
    except SumError as error:
        raise SumError(error.what, blame=sender, remedy=error.remedy) from error
    named = getattr(found, "sender", getattr(found, "institution", sender))
    if named != sender:
        raise CoordinatorError(
            f"{sender} answered with a message that names another sender",
            blame=sender,
            remedy=f"compare {sender}'s log of the job with the coordinator's",
        )
    return found


def blobs(content: Content, name: str, sender: str) -> list[bytes]:
    """The list of bytes that an answer must hold under ``name``. Raises CoordinatorError."""
    value = content.config.get(name)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise _lacks(name, sender)
    return value


def _lacks(name: str, sender: str) -> CoordinatorError:
    return CoordinatorError(
        f"an answer lacks its {name}",
        blame=sender,
        remedy=f"{sender} must run a version of Consortia that is compatible with this coordinator's",
    )


def _printable(text: str) -> str:
    return "".join(letter for letter in text[:MAX_SAID] if letter.isprintable()).strip()
