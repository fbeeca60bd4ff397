"""A proof that consent stood when a row was read, for a customer or a regulator; it shows one record only.

A file of canonical JSON: an entry of the log that has a root over consents (of an access, or of an import), the
proof that the entry is in the log's signed tree, and the opening of one record under that root. Whoever
checks it needs the witness policy with the log's key, and nothing from the institution.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, Self

from consortia_common import audit_prove
from consortia_common.audit_segments import LogFolder
from consortia_common.consent_tree import ConsentOpening
from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from consortia_crypto.audit import events
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.errors import ConsortiaError, EncodingError

SUFFIX = ".consent-proof"
MAX_BYTES = 512 * 1024
_FIELDS = frozenset({"v", "type", "entry", "log_proof", "opening"})
_TYPE = "consortia.consent-proof"
_PERMITTING = ("given", "renewed")
_HASH = re.compile(r"[0-9a-f]{64}")
ACCESS = "access.cohort"
ROOTS = (ACCESS, "consent.imported", "consent.ended")
"""The events whose entries have a root over consents: relied on, taken over, ended by the clock."""


@dataclass(frozen=True)
class ConsentProof:
    """The three parts; nothing is verified before ``judge``."""

    entry: bytes = field(repr=False)
    log_proof: bytes = field(repr=False)
    opening: ConsentOpening

    @property
    def raw(self) -> bytes:
        """The file's bytes."""
        return canonical.encode(
            {
                "v": 1,
                "type": _TYPE,
                "entry": self.entry.decode(),
                "log_proof": self.log_proof.decode(),
                "opening": self.opening.document(),
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The proof whose bytes are ``raw``. Raises DocumentError."""
        if len(raw) > MAX_BYTES:
            _refuse("it is too long")
        try:
            value = canonical.decode(raw)
        except EncodingError:
            _refuse("it is not canonical JSON")
        if not isinstance(value, dict) or value.keys() != _FIELDS or value["type"] != _TYPE or value["v"] != 1:
            _refuse("it does not have exactly the fields of version 1")
        entry, log_proof = value["entry"], value["log_proof"]
        if not isinstance(entry, str) or not isinstance(log_proof, str):
            _refuse("a field has the wrong type")
        return cls(entry.encode(), log_proof.encode(), ConsentOpening.from_document(value["opening"]))

    @classmethod
    def make(cls, folder: LogFolder, entry: Entry, opening: ConsentOpening) -> Self:
        """The proof for an entry of the log in ``folder``. Raises LogStorageError while no checkpoint covers it."""
        log_proof, raw = audit_prove.prove(folder, entry.index)
        return cls(raw, log_proof.raw, opening)

    def judge(self, policy: Policy) -> "ConsentVerdict":
        """Whether the access is in a log of the policy, and relied on this record, which stood."""
        try:
            entry = Entry.parse(self.entry)
            events.check(entry.body)
            judgement = LogProof.parse(self.log_proof).judge(self.entry, policy)
        except ConsortiaError as error:
            return ConsentVerdict({}, {}, "", error.what)
        record: dict[str, Any] = canonical.decode(self.opening.record)
        origin = judgement.signed.checkpoint.origin if judgement.signed else ""
        cause = judgement.cause or _mismatch(entry, record, self.opening)
        return ConsentVerdict(dict(entry.body), record, origin, cause, entry.index)


@dataclass(frozen=True)
class ConsentVerdict:
    """What a proof says, and why it is not to be believed (``cause``), empty if it is."""

    access: dict[str, Any]
    record: dict[str, Any]
    origin: str
    cause: str
    entry: int = 0

    def document(self) -> dict[str, Any]:
        """As plain values."""
        names = ("job", "dataset", "purpose", "agreement", "ts", "columns")
        access = {name: self.access[name] for name in names if name in self.access}
        told = {"entry": self.entry, "origin": self.origin, "cause": self.cause}
        return {**told, "access": access, "record": self.record}


def _mismatch(entry: Entry, record: dict[str, Any], opening: ConsentOpening) -> str:
    body = entry.body
    if entry.type not in ROOTS:
        return "its entry has no root over consents"
    root = body["consent_ref"] if entry.type == ACCESS else body["detail"]["root"]
    if not _HASH.fullmatch(root) or not opening.opens(root):
        return "the record is not under the root that the entry names"
    if record.get("purpose") != body["purpose"]:
        return "the record is for another purpose"
    return _standing(record, entry.time) if entry.type == ACCESS else ""


def _standing(record: dict[str, Any], time: str) -> str:
    """Why the record did not permit an access at that time; empty if it did."""
    at = int(datetime.fromisoformat(time).timestamp() * 1000)
    effective, until = record.get("effective_ms"), record.get("valid_until_ms")
    if record.get("state") not in _PERMITTING or not isinstance(effective, int) or effective > at:
        return "the record did not permit the access"
    if until is not None and not (isinstance(until, int) and at < until):
        return "the record had run out"
    return ""


def _refuse(why: str) -> NoReturn:
    raise DocumentError(
        f"a consent proof was refused: {why}",
        blame="whoever made or altered it",
        remedy="ask the institution for it again; `consortia consent prove` makes one",
    )
