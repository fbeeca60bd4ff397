"""The consents in force, opened once and kept in memory: what a scan is filtered by, and an import is held against.

Opening a customer's row costs decryption; doing so for every customer at every read would cost more than the read.
So all records in force lie here as columns, which current_register renews with every change. Trusted for: what is
permitted when; and what it holds it never writes anywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from consortia_common import consent_tree
from consortia_node.consent import PERMITTING, STATES
from consortia_node.consent_import import Standing
from consortia_node.store.subject_record import Held

FOREVER = np.iinfo(np.int64).max
_CODE = {state: code for code, state in enumerate(STATES)}
_PERMITS = np.array([state in PERMITTING for state in STATES])
_PAIR = np.dtype((np.void, consent_tree.PAIR_BYTES))


class RegisterRow(NamedTuple):
    """One record in force."""

    number: str
    subject_id: int
    purpose: str
    notice: str
    state: int
    effective_ms: int
    until_ms: int
    order_ms: int
    begun_ms: int
    pair: bytes


def row_of(number: str, subject_id: int, held: Held) -> RegisterRow:
    """The row of a record in force."""
    record = held.record
    until = FOREVER if record.valid_until_ms is None else record.valid_until_ms
    pair = consent_tree.pair(record.pseudonym, held.commitment)
    return RegisterRow(
        number,
        subject_id,
        record.purpose,
        record.notice,
        _CODE[record.state],
        record.effective_ms,
        until,
        record.order_ms,
        record.begun_ms,
        pair,
    )


@dataclass(frozen=True)
class Register:
    """Columns of equal length, in no order that means anything."""

    number: pa.Array
    subject_id: NDArray[np.int64]
    purpose: pa.DictionaryArray
    notice: pa.DictionaryArray
    times: NDArray[np.int64]
    """Shape (rows, 5): state, effective, until, order, begun."""
    pair: NDArray[np.void]

    @classmethod
    def of(cls, rows: Iterable[RegisterRow]) -> Self:
        """The register of these rows."""
        columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * len(RegisterRow._fields)
        number, subject_id, purpose, notice, *times, pair = columns
        return cls(
            pa.array(number, pa.string()),
            np.array(subject_id, np.int64),
            pa.array(purpose, pa.string()).dictionary_encode(),
            pa.array(notice, pa.string()).dictionary_encode(),
            np.array(times, np.int64).reshape(5, -1).T,
            np.frombuffer(b"".join(pair), _PAIR),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The register of all parts' rows."""
        if not parts:
            return cls.of(())
        return cls(
            pa.concat_arrays([part.number for part in parts]),
            np.concatenate([part.subject_id for part in parts]),
            _joined(*(part.purpose for part in parts)),
            _joined(*(part.notice for part in parts)),
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.pair for part in parts]),
        )

    def replaced(self, positions: Iterable[int], fresh: "Register") -> "Register":
        """Without the rows at ``positions``, and with ``fresh``."""
        kept = np.ones(len(self.subject_id), bool)
        kept[list(positions)] = False
        mask = pa.array(kept)
        left = Register(
            self.number.filter(mask),
            self.subject_id[kept],
            self.purpose.filter(mask),
            self.notice.filter(mask),
            self.times[kept],
            self.pair[kept],
        )
        return Register.joined([left, fresh])

    @cached_property
    def is_single(self) -> bool:
        """Whether no customer has more than one record."""
        return len(np.unique(self.subject_id)) == len(self.subject_id)

    def allowed(self, purpose: str, notices: Iterable[str], now_ms: int) -> NDArray[np.bool_]:
        """Which records permit ``purpose`` now under one of ``notices``."""
        state, effective, until = self.times[:, 0], self.times[:, 1], self.times[:, 2]
        chosen = _PERMITS[state] & (effective <= now_ms) & (now_ms < until)
        chosen &= _is_in(self.purpose, [purpose]) & _is_in(self.notice, notices)
        return np.asarray(chosen)

    def first_of_each(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of the chosen records, one for each customer."""
        if self.is_single:
            return chosen
        places = np.flatnonzero(chosen)
        _, first = np.unique(self.subject_id[places], return_index=True)
        single = np.zeros(len(chosen), bool)
        single[places[first]] = True
        return single

    def run_out(self, now_ms: int) -> NDArray[np.int64]:
        """The positions of the records whose time is over and whose state does not say so yet."""
        ending = np.array([state in RUNNING for state in STATES])
        return np.flatnonzero(ending[self.times[:, 0]] & (self.times[:, 2] <= now_ms))

    def positions(self) -> dict[tuple[str, str, str], int]:
        """Where the record of a customer number, purpose and notice id is."""
        ids = [notice.partition("@")[0] for notice in self.notice.dictionary.to_pylist()]
        keys = zip(
            self.number.to_pylist(),
            self.purpose.to_pylist(),
            (ids[code] for code in self.notice.indices.to_pylist()),
            strict=True,
        )
        return {key: position for position, key in enumerate(keys)}

    def standing(self, position: int) -> Standing:
        """What is in force there."""
        state, effective, until, order, begun = self.times[position].tolist()
        end = None if until == FOREVER else until
        return Standing(STATES[state], effective, end, self.notice[position].as_py(), order, begun)

    def counts(self, purpose: str) -> dict[str, int]:
        """How many records for ``purpose`` are in each state."""
        codes = self.times[_is_in(self.purpose, [purpose]), 0]
        found = np.bincount(codes, minlength=len(STATES)).tolist()
        return {state: count for state, count in zip(STATES, found, strict=True) if count}


RUNNING = frozenset({"requested", *PERMITTING})


def ordered_pairs(pairs: NDArray[np.void]) -> bytes:
    """The pairs in order of their bytes, as ``consent_tree`` wants them."""
    words = np.ascontiguousarray(pairs).view(">u8").reshape(-1, 4)
    order = np.argsort(words[:, 0].astype(np.uint64), kind="stable")
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():
        order = np.lexsort(tuple(words[:, place] for place in (3, 2, 1, 0)))
    return pairs[order].tobytes()


def _is_in(column: pa.DictionaryArray, names: Iterable[str]) -> NDArray[np.bool_]:
    wanted = set(names)
    known = np.array([name in wanted for name in column.dictionary.to_pylist()], bool)
    codes = column.indices.to_numpy(zero_copy_only=False)
    return known[codes] if len(known) else np.zeros(len(codes), bool)


def _joined(*parts: pa.DictionaryArray) -> pa.DictionaryArray:
    joined = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
