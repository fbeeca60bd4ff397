"""Records are read in blocks: whatever their lengths, and wherever a block ends, the same entries come back."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_common import audit_segments
from consortia_common.audit_segments import LogFolder, Position, RecordError, frame, records, walk
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES

LENGTHS = st.lists(st.one_of(st.integers(1, 700), st.integers(1, MAX_ENTRY_BYTES)), min_size=1, max_size=60)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The smallest that hold any record."""
    monkeypatch.setattr(audit_segments, "_BUFFER_BYTES", audit_segments.MAX_RECORD_BYTES)


def written(folder, entries, split):
    """The entries in two segments, of which the second begins with number ``split``."""
    log = LogFolder(Path(folder))
    log.segments.mkdir()
    for first, part in ((0, entries[:split]), (split, entries[split:])):
        if part:
            log.segment(first).write_bytes(b"".join(map(frame, part)))
    return log


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.data())
def test_entries_come_back_from_wherever_the_reading_begins(lengths, data):
    entries = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    start, split = data.draw(st.integers(0, len(entries))), data.draw(st.integers(1, len(entries)))
    with tempfile.TemporaryDirectory() as folder:
        log = written(folder, entries, split)
        assert list(records(log, start)) == entries[start:]
        for number, (first, offset, entry) in enumerate(walk(log, start), start):
            known = Position(number, first, offset)
            assert entry == entries[number]
            assert [raw for _, _, raw in walk(log, number, known)] == entries[number:]


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.data())
def test_damage_ends_the_reading_at_its_record(lengths, data):
    entries = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    raw = b"".join(map(frame, entries))
    where = data.draw(st.integers(0, len(raw) - 1))
    owner = next(n for n in range(len(entries)) if where < sum(len(frame(entry)) for entry in entries[: n + 1]))
    is_cut = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        log = written(folder, entries, len(entries))
        log.segment(0).write_bytes(
            raw[:where] if is_cut else raw[:where] + bytes([raw[where] ^ 1]) + raw[where + 1 :]
        )
        read = []
        if is_cut and where == sum(len(frame(entry)) for entry in entries[:owner]):
            read.extend(records(log))
        else:
            with pytest.raises(RecordError) as refused:
                read.extend(records(log))
            assert refused.value.index == owner
            assert refused.value.tail or not is_cut
        assert read == entries[:owner]
