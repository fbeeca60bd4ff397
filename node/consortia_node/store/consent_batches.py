"""PURE: which rows of an import come into force, what the clock ends, and what either makes of customers' rows.

A batch of these goes to another process and comes back sealed for the database, with what the register has of it.
Randomness for new keys and ids is the operating system's.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from consortia_crypto.subject import WrappingKey
from consortia_node.consent import RUNS_OUT, Change, ConsentRecord, Terms, change_of, notice_id
from consortia_node.consent_import import ConsentRow, Findings, judge
from consortia_node.keyring import Keyring
from consortia_node.store.consent_notices import offers
from consortia_node.store.register import Register, RegisterRow, row_of
from consortia_node.store.subjects import Subject, SubjectRow, closed, opened


class Step(NamedTuple):
    """A row that comes into force: its place in the register, if it has one, and whether as a new record."""

    row: ConsentRow
    position: int | None
    anew: bool


@dataclass(frozen=True)
class Batch:
    """Steps, the rows of those of their customers who are known, and the key-encryption keys that open them."""

    steps: Sequence[Step]
    known: Sequence[tuple[int, bytes, str, bytes, bytes]]
    """As a SubjectRow; plain tuples take a third of the time on their way to another process."""
    keys: tuple[bytes, ...]
    now_ms: int


class Done(NamedTuple):
    """Rows to save, and what the register has of them."""

    rows: list[SubjectRow]
    fresh: list[RegisterRow]


def judged(
    register: Register, terms: Mapping[str, Terms], rows: Sequence[ConsentRow], findings: Findings
) -> list[Step]:
    """The rows that come into force beside what is in the register; ``findings`` is told of every row."""
    positions = register.positions()
    ids = {row.notice: notice_id(row.notice) for row in rows}
    unfit = {pair for pair in {(row.notice, row.purpose) for row in rows} if not offers(terms, *pair)}
    seen: set[tuple[str, str, str]] = set()
    chosen = []
    findings.rows = len(rows)
    for number, row in enumerate(rows, 1):
        findings.states[row.state] += 1
        key = (row.subject, row.purpose, ids[row.notice])
        if (row.notice, row.purpose) in unfit:
            findings.wrong(number, "cites a notice that is not registered here, or not for this purpose")
        elif key in seen:
            findings.wrong(number, "repeats the subject, purpose and notice of an earlier row")
        else:
            seen.add(key)
            step = _step(register, positions.get(key), number, row, findings)
            if step is not None:
                chosen.append(step)
    return chosen


def _step(
    register: Register, position: int | None, number: int, row: ConsentRow, findings: Findings
) -> Step | None:
    """What comes of a row that may be judged by what stands; None if that is nothing."""
    old = None if position is None else register.standing(position)
    verdict = judge(old, row)
    if verdict.mistake:
        findings.wrong(number, verdict.mistake)
        return None
    findings.see(row, old, verdict)
    return Step(row, position, verdict.anew) if verdict.taken else None


def take(batch: Batch) -> Done:
    """Take the steps."""
    ring = _ring(batch.keys)
    subjects = {subject.number: subject for subject in (opened(ring, SubjectRow(*row)) for row in batch.known)}
    fresh = []
    for step in batch.steps:
        number = step.row.subject
        subject = subjects.get(number) or Subject.new(number)
        held = subject.held(_next(subject, step, batch.now_ms))
        subjects[number] = subject.holding(held)
        fresh.append(row_of(number, subject.id, held))
    return Done([closed(ring, subject) for subject in subjects.values()], fresh)


def read(batch: Batch) -> Register:
    """What the register has of the known customers' rows; as columns, which are quickly handed on."""
    ring = _ring(batch.keys)
    return Register.of(
        row_of(subject.number, subject.id, versions[-1])
        for subject in (opened(ring, SubjectRow(*row)) for row in batch.known)
        for versions in subject.consents.values()
    )


def ending(register: Register, position: int) -> Step:
    """What the clock makes of the record at ``position``, whose time is over."""
    standing = register.standing(position)
    number, purpose = register.number[position].as_py(), register.purpose[position].as_py()
    end = standing.valid_until_ms or standing.effective_ms
    row = ConsentRow(number, purpose, RUNS_OUT[standing.state], end, standing.valid_until_ms, standing.notice)
    return Step(row, position, anew=False)


def keys_of(ring: Keyring) -> tuple[bytes, ...]:
    """The keys as a batch has them, from which another process makes its ring."""
    return tuple(key.key for key in ring.keys)


def _ring(keys: tuple[bytes, ...]) -> Keyring:
    return Keyring(Path(), tuple(WrappingKey(key) for key in keys))


def _next(subject: Subject, step: Step, now_ms: int) -> ConsentRecord:
    """The next version; its legality was judged before."""
    row = step.row
    held = subject.consents.get((row.purpose, notice_id(row.notice)))
    fresh = secrets.token_hex(8)
    if held is not None and not step.anew:
        change = Change(row.state, row.effective_ms, row.notice, evidence=row.evidence)
        return replace(change_of(held[-1].record, change, fresh, now_ms), valid_until_ms=row.valid_until_ms)
    return ConsentRecord(
        pseudonym=subject.pseudonym,
        id=fresh,
        purpose=row.purpose,
        state=row.state,
        effective_ms=row.effective_ms,
        valid_until_ms=row.valid_until_ms,
        notice=row.notice,
        begun_ms=row.effective_ms,
        recorded_ms=now_ms,
        evidence=row.evidence,
    )
