"""Whose word makes a checkpoint good, after C2SP tlog-policy: known logs, known witnesses, and a quorum of these.

    log     consortia.demo/bank-a/audit/2027+1f2e3d4c+AY…
    witness bank-b  consortia.demo/bank-b/witness+5a6b7c8d+Bh…
    witness bank-c  consortia.demo/bank-c/witness+9e8f7a6b+Bk…
    group   two-of  any bank-b bank-c
    quorum  two-of

Stricter than the specification in two things: where the policy names an Ed25519 and an ML-DSA-44 key of a log, a
checkpoint must carry valid signatures of both kinds, not of any one; and an institution's witness does not count
under that institution's own log.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Self

from consortia_crypto.audit.checkpoint import SignedCheckpoint, open_checkpoint
from consortia_crypto.audit.notekeys import KeyKind, VerifierKey
from consortia_crypto.errors import NoteError, PolicyError

MAX_BYTES = 1 << 20
NO_QUORUM = "none"
_BLANK = re.compile("[ \t]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER = re.compile("[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class Witness:
    """A witness under the name that the policy gives it."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True)
class Log:
    """A log's key; the key's name is the log's origin."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True)
class Group:
    """Counts as one witness when ``threshold`` of its members (witnesses and groups) do."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """Whether a checkpoint satisfies a policy. ``cause`` says in words why not; it is empty if it does."""

    satisfied: bool
    cause: str
    cosigned: tuple[str, ...] = ()
    """The witnesses, by the policy's names, whose cosignatures count."""
    missing: tuple[str, ...] = ()
    """The other ones."""
    signed: SignedCheckpoint | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Policy:
    """A policy that was read and found sound."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every key in it."""
        return (*(item.key for item in self.logs), *(item.key for item in self.witnesses))

    @property
    def raw(self) -> bytes:
        """The policy as a file, without comments."""
        lines = [
            *(_line("log", item.key.text, item.url) for item in self.logs),
            *(_line("witness", item.name, item.key.text, item.url) for item in self.witnesses),
            *(_line("group", item.name, str(item.threshold), *item.members) for item in self.groups),
            _line("quorum", self.quorum),
        ]
        return "".join(lines).encode(errors="surrogateescape")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The policy in the file ``raw``. Raises PolicyError, naming the line."""
        reader = _Reader()
        for number, line in enumerate(_lines(raw), 1):
            reader.read(number, line)
        if reader.quorum is None:
            _refuse("it has no quorum line")
        return cls(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)

    def judge(self, raw: bytes, latest: int | None = None) -> Judgement:
        """Whether the note ``raw`` is a checkpoint that satisfies this policy. ``latest``: see ``weigh``."""
        try:
            signed = open_checkpoint(raw, self.keys)
        except NoteError as error:
            return Judgement(False, error.what)
        return self.weigh(signed, latest)

    def weigh(self, signed: SignedCheckpoint, latest: int | None = None) -> Judgement:
        """Whether a checkpoint that was opened with this policy's keys satisfies it.

        Cosignatures without a time, or made after ``latest`` (seconds since 1970), do not count.
        """
        times = {item.key: item.timestamp for item in signed.verified if item.timestamp}
        cosigned = [
            item.name for item in self.witnesses
            if item.key in times
            and (latest is None or times[item.key] <= latest)
            and not _is_own(item.key, signed.checkpoint.origin)
        ]  # fmt: skip
        missing = [item.name for item in self.witnesses if item.name not in cosigned]
        cause = self._breach(signed, cosigned)
        return Judgement(not cause, cause, tuple(cosigned), tuple(missing), signed)

    def _breach(self, signed: SignedCheckpoint, cosigned: Sequence[str]) -> str:
        origin = signed.checkpoint.origin
        keys = [item.key for item in self.logs]
        if not signed.is_signed_by_log(keys):
            known = any(key.name == origin for key in keys)
            return f"{origin} has not signed it with each kind of key" if known else f"{origin} is not a known log"
        return "" if self._reached(cosigned) else f"the cosignatures do not make up the quorum {self.quorum}"

    def _reached(self, cosigned: Sequence[str]) -> bool:
        """Whether the quorum is. A group's members are defined before it, so one pass in order is enough."""
        reached = {NO_QUORUM, *cosigned}
        for group in self.groups:
            if sum(member in reached for member in group.members) >= group.threshold:
                reached.add(group.name)
        return self.quorum in reached


def _is_own(key: VerifierKey, origin: str) -> bool:
    """Whether a witness's key is of the institution whose log it is, by the names that logs and witnesses have."""
    institution, is_witness, _ = key.name.rpartition("/witness")
    return bool(is_witness) and origin.startswith(f"{institution}/audit/")


class _LineError(ValueError):
    """What is wrong with a line."""


class _Reader:
    """Takes a policy's lines one by one."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._defined: set[str] = set()
        self._used: set[str] = set()

    def read(self, number: int, line: str) -> None:
        words = [word for word in _BLANK.split(line) if word]
        if not words or words[0].startswith("#"):
            return
        handler = _LINES.get(words[0])
        if handler is None:
            _refuse(f"{words[0][:20]!r} is no kind of line", number)
        try:
            handler(self, words[1:])
        except (_LineError, NoteError) as error:
            _refuse(error.what if isinstance(error, NoteError) else str(error), number)

    def _log(self, words: list[str]) -> None:
        _need(1 <= len(words) <= 2, "a log line is a key and perhaps an address")
        log = Log(_key(words[0], KeyKind.ED25519, KeyKind.MLDSA44), *words[1:])
        _need_new(log.key, [*self.logs, *self.witnesses])
        self.logs.append(log)

    def _witness(self, words: list[str]) -> None:
        _need(2 <= len(words) <= 3, "a witness line is a name, a key and perhaps an address")
        witness = Witness(words[0], _key(words[1], KeyKind.ED25519_COSIGNATURE, KeyKind.MLDSA44), *words[2:])
        _need_new(witness.key, [*self.witnesses, *self.logs])
        self._define(witness.name)
        self.witnesses.append(witness)

    def _group(self, words: list[str]) -> None:
        _need(len(words) >= 3, "a group line is a name, a threshold and members")
        name, threshold, *members = words
        _need(set(members) <= self._defined, "a member is not defined above")
        _need(len(set(members)) == len(members) and not self._used & set(members), "a member is in two groups")
        numbers = {"any": "1", "all": str(len(members))}
        count = numbers.get(threshold, threshold)
        _need(bool(_NUMBER.fullmatch(count)) and int(count) <= len(members), "the threshold can't be reached")
        self._define(name)
        self._used |= set(members)
        self.groups.append(Group(name, int(count), tuple(members)))

    def _quorum(self, words: list[str]) -> None:
        _need(len(words) == 1, "a quorum line is one name")
        _need(self.quorum is None, "there is another quorum line")
        _need(words[0] in self._defined | {NO_QUORUM}, "the quorum is not defined above")
        self.quorum = words[0]

    def _define(self, name: str) -> None:
        _need(name != NO_QUORUM and name not in self._defined, "the name is taken")
        self._defined.add(name)


_LINES: Mapping[str, Callable[[_Reader, list[str]], None]] = {
    "log": _Reader._log,
    "witness": _Reader._witness,
    "group": _Reader._group,
    "quorum": _Reader._quorum,
}


def _line(*words: str) -> str:
    return " ".join(word for word in words if word) + "\n"


def _lines(raw: bytes) -> list[str]:
    """The lines. Bytes that are not ASCII mean nothing here, so those that are not UTF-8 are carried along."""
    text = raw.decode(errors="surrogateescape")
    if len(raw) > MAX_BYTES or _CONTROL.search(text):
        _refuse("it is too long or has a control character in it")
    if not text.endswith("\n"):
        _refuse("its last line does not end; perhaps the file was cut")
    return text[:-1].split("\n")


def _key(text: str, *kinds: KeyKind) -> VerifierKey:
    key = VerifierKey.parse(text)
    _need(key.kind in kinds, "the key is of a kind that does not serve here")
    return key


def _need_new(key: VerifierKey, others: Sequence[Log | Witness]) -> None:
    """One key must not count twice, nor a log as its own witness."""
    _need(all(key.public != other.key.public for other in others), "the key stands in it already")


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise _LineError(why)


def _refuse(why: str, line: int | None = None) -> NoReturn:
    where = "" if line is None else f" in line {line}"
    raise PolicyError(
        f"a policy was refused{where}: {why}",
        blame="whoever wrote the policy",
        remedy="see docs/audit-log.md for what a policy holds",
    )
