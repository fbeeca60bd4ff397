"""The witness's desk: what it cosigns, what it refuses, and what it keeps as evidence."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortia_common import witness_alarms
from consortia_common.audit_tiles import read_tile
from consortia_common.errors import WitnessError
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.tiletree import TileTree
from consortia_crypto.audit.witness import NOTHING_SEEN
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import witness_pb2 as pb
from tests.support.witnesses import Lab, Party, lab, party


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def proof(one: Party, old: int) -> list[bytes]:
    size = one.log.checkpoint().checkpoint.size
    return TileTree(size, lambda *place: read_tile(one.log.folder, *place)).consistency_proof(old)


def fork(one: Party, root: Path, stack: ExitStack, entries: int) -> Party:
    """The same institution with a copy of its folder, whose log goes on in another way."""
    shutil.copytree(one.folder, root, ignore=shutil.ignore_patterns("lock", "node.db*"))
    other = party(stack, root, one.identity)
    other.write(entries)
    return other


def level(one: Party, other: Party) -> None:
    """Have both logs be of one length."""
    while one.log.size != other.log.size:
        min(one, other, key=lambda each: each.log.size).write()


def test_a_first_checkpoint_is_cosigned_with_both_keys_after_it_was_stored(three: Lab) -> None:
    a, b = three["bank-a"], three["bank-b"]
    answer = b.desk.answer(a.owner, a.request())
    note = Note.parse(a.log.signed.note.raw)
    assert answer.outcome == pb.COSIGNED
    lines = Note.parse(note.text.encode() + b"\n" + answer.cosignatures)
    opened = open_checkpoint(lines.raw, b.desk.signer.statement.keys)
    assert {item.key for item in opened.verified} == set(b.desk.signer.statement.keys)
    assert b.store.state(note.text.split("\n")[0]).note == a.log.signed.note.raw


def test_an_old_size_is_answered_with_what_was_cosigned_then_a_proof_is_accepted(three: Lab) -> None:
    a, b = three["bank-a"], three["bank-b"]
    b.desk.answer(a.owner, a.request())
    seen = a.log.signed
    a.write(5)
    stale = b.desk.answer(a.owner, a.request())
    assert (stale.outcome, stale.note) == (pb.STALE, seen.note.raw)
    size = seen.checkpoint.size
    assert b.desk.answer(a.owner, a.request(size, proof(a, size))).outcome == pb.COSIGNED


def test_a_stranger_and_a_log_under_another_s_name_are_refused(three: Lab) -> None:
    a, b = three["bank-a"], three["bank-b"]
    del b.pins["bank-a"]
    answer = b.desk.answer(a.owner, a.request())
    assert answer.outcome == pb.REFUSED
    assert "not known here" in answer.cause
    b.pins["bank-a"] = a.identity.public.fingerprint
    assert b.desk.answer(three["bank-c"].owner, a.request()).outcome == pb.REFUSED
    assert "is not a log of bank-c" in b.desk.answer(three["bank-c"].owner, a.request()).cause


def test_keys_that_somebody_made_up_for_a_bank_are_refused(three: Lab, tmp_path: Path) -> None:
    b = three["bank-b"]
    with ExitStack() as stack:
        false = party(stack, tmp_path / "false", PrivateIdentity.generate("lab", "bank-a", "node", "node"))
        assert b.desk.answer(false.owner, false.request()).outcome == pb.REFUSED


def test_two_logs_of_one_length_are_a_conflict_that_convicts(three: Lab, tmp_path: Path) -> None:
    a, b, c = (three[name] for name in ("bank-a", "bank-b", "bank-c"))
    with ExitStack() as stack:
        other = fork(a, tmp_path / "fork", stack, 3)
        level(a, other)
        assert b.desk.answer(a.owner, a.request()).outcome == pb.COSIGNED
        answer = b.desk.answer(other.owner, other.request())
    assert answer.outcome == pb.CONFLICT
    (event,) = b.events("witness.conflict")
    assert event["detail"]["proven"] is True
    kept = b.log.folder.path / "evidence"
    pair = {(kept / f"{event['detail']['evidence']}.{half}").read_bytes() for half in ("first", "second")}
    assert pair == {a.log.signed.note.raw, answer_note(b, pair, answer)}
    with pytest.raises(WitnessError, match="contradict each other"):
        b.alarms.check()
    (warning,) = b.told
    c.desk.warned(warning)
    with pytest.raises(WitnessError, match="contradict each other"):
        c.alarms.check()


def answer_note(finder: Party, pair: set[bytes], answer: pb.CosignAnswer) -> bytes:
    (other,) = pair - {answer.note}
    assert answer.note == finder.store.state(Checkpoint.parse(Note.parse(other).text).origin).note
    return other


def test_a_fork_of_another_length_is_a_conflict_that_stops_the_finder(three: Lab, tmp_path: Path) -> None:
    a, b, c = (three[name] for name in ("bank-a", "bank-b", "bank-c"))
    with ExitStack() as stack:
        other = fork(a, tmp_path / "fork", stack, 9)
        a.write(2)
        assert b.desk.answer(a.owner, a.request()).outcome == pb.COSIGNED
        size = a.log.signed.checkpoint.size
        answer = b.desk.answer(other.owner, other.request(size, proof(other, size)))
    assert answer.outcome == pb.CONFLICT
    assert b.events("witness.conflict")[0]["detail"]["proven"] is False
    with pytest.raises(WitnessError):
        b.alarms.check()
    c.desk.warned(b.told[0])  # convicts nobody, so nobody else is stopped by what one witness says
    c.alarms.check()


def test_halves_shown_to_two_witnesses_are_found_when_they_compare(three: Lab, tmp_path: Path) -> None:
    a, b, c = (three[name] for name in ("bank-a", "bank-b", "bank-c"))
    with ExitStack() as stack:
        other = fork(a, tmp_path / "fork", stack, 2)
        level(a, other)
        assert b.desk.answer(a.owner, a.request()).outcome == pb.COSIGNED
        assert c.desk.answer(other.owner, other.request()).outcome == pb.COSIGNED
    c.desk.look(b.store.notes(10))
    with pytest.raises(WitnessError, match="two different logs"):
        c.alarms.check()
    b.desk.warned(c.told[0])
    with pytest.raises(WitnessError, match="two different logs"):
        b.alarms.check()


def test_what_a_crash_kept_off_the_log_stops_releases_and_is_logged_later(three: Lab, tmp_path: Path) -> None:
    a, b = three["bank-a"], three["bank-b"]
    with ExitStack() as stack:
        other = fork(a, tmp_path / "fork", stack, 2)
        level(a, other)
        b.desk.answer(a.owner, a.request())
        b.desk.answer(other.owner, other.request())
    (first,) = b.events("witness.conflict")
    (logged,) = (b.log.folder.path / "evidence").glob("*.logged")
    logged.unlink()
    for _ in range(2):
        with pytest.raises(WitnessError):
            b.alarms.check()
    assert [event["detail"] for event in b.events("witness.conflict")] == [first["detail"]] * 2


def test_an_acknowledgement_is_logged_and_lets_releases_go_on(three: Lab, tmp_path: Path) -> None:
    a, b = three["bank-a"], three["bank-b"]
    with ExitStack() as stack:
        other = fork(a, tmp_path / "fork", stack, 2)
        level(a, other)
        b.desk.answer(a.owner, a.request())
        for _ in range(3):
            b.desk.answer(other.owner, other.request())
    number = b.events("witness.conflict")[0]["detail"]["evidence"]
    evidence = b.log.folder.path / "evidence"
    with pytest.raises(WitnessError, match="no unacknowledged"):
        witness_alarms.acknowledge(evidence, "nonsense", "because")
    for path in sorted(evidence.glob("*.found")):
        witness_alarms.acknowledge(evidence, path.stem, "bank-a restored a backup; its officer called")
    b.alarms.check()
    assert b.events("witness.acknowledged")[0]["detail"]["evidence"] in {
        number,
        *(p.stem for p in evidence.glob("*")),
    }
    with pytest.raises(WitnessError, match="no unacknowledged"):
        witness_alarms.acknowledge(evidence, number, "again")


def test_a_log_is_forgotten_only_when_the_operator_says_so_and_that_is_logged(three: Lab) -> None:
    a, b = three["bank-a"], three["bank-b"]
    b.desk.answer(a.owner, a.request())
    origin = a.log.signed.checkpoint.origin
    assert b.store.state(origin) != NOTHING_SEEN
    witness_alarms.ask_to_forget(b.log.folder.path / "evidence", origin, "its disk burnt")
    assert b.desk.answer(a.owner, a.request()).outcome == pb.COSIGNED
    assert [event["reason"] for event in b.events("witness.forgotten")] == ["its disk burnt"]


def test_two_histories_at_once_get_one_cosignature(three: Lab, tmp_path: Path) -> None:
    a, b = three["bank-a"], three["bank-b"]
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        other = fork(a, tmp_path / "fork", stack, 2)
        level(a, other)
        asked = [(one.owner, one.request()) for one in (a, other) for _ in range(4)]
        answers = list(pool.map(lambda each: b.desk.answer(*each), asked))
    first = {answer.outcome for answer in answers[:4]}
    second = {answer.outcome for answer in answers[4:]}
    assert pb.COSIGNED in first ^ second
    assert not (pb.COSIGNED in first and pb.COSIGNED in second)


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_refused_and_changes_nothing(three: Lab, one: bytes, other: bytes, request: bytes) -> None:
    b = three["bank-b"]
    assert b.desk.answer(pb.LogOwner(identity=one, keys=other), request).outcome == pb.REFUSED
    assert b.desk.answer(three["bank-a"].owner, request).outcome == pb.REFUSED
    b.desk.look([one, other, request])
    b.desk.warned(pb.Contradiction(first=one, second=other, finder="bank-c"))
    assert b.store.notes(10) == []
    b.alarms.check()
