"""What a witness cosigns, what it does not, and what it keeps as evidence."""

from dataclasses import replace

import pytest

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import sign_checkpoint
from consortia_crypto.audit.witness import (
    NOTHING_SEEN,
    Accepted,
    AddCheckpoint,
    Conflict,
    Refused,
    Stale,
    WitnessState,
    convicts,
    decide,
)  # fmt: skip
from consortia_crypto.errors import NoteError
from tests.support.tlog import NOW, MemoryLog

ENTRIES = tuple(b"%d" % number for number in range(20))


@pytest.fixture
def log():
    return MemoryLog(entries=ENTRIES)


def seen(log, size):
    """The state of a witness that has cosigned the log at ``size``."""
    return WitnessState(size, log.checkpoint(size).root, log.note(size).raw)


def forked(log, place=3):
    """The same log, with the same keys, and another history from ``place`` on."""
    fork = MemoryLog(entries=(*ENTRIES[:place], b"another", *ENTRIES[place + 1 :]))
    fork.signers = log.signers
    return fork


def ask(state, request, log):
    return decide(state, request, log.origin, log.keys)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 20), (1, 2), (7, 20), (16, 17), (20, 20)])
def test_growth_with_a_proof_is_accepted(log, old, new):
    state = seen(log, old) if old else NOTHING_SEEN
    decision = ask(state, log.request(old, new), log)
    assert isinstance(decision, Accepted)
    assert decision.state.size == new
    assert decision.state.root == log.checkpoint(new).root
    assert decision.signed.checkpoint == log.checkpoint(new)
    assert AddCheckpoint.parse(log.request(old, new).raw).old_size == old


def test_an_empty_log_may_be_witnessed_and_then_grow():
    log = MemoryLog()
    decision = ask(NOTHING_SEEN, log.request(0), log)
    assert isinstance(decision, Accepted)
    log.entries.append(b"first")
    assert isinstance(ask(decision.state, log.request(0), log), Accepted)


def test_the_same_checkpoint_signed_again_is_accepted_again(log):
    decision = ask(seen(log, 20), log.request(20, time=NOW + 60), log)
    assert isinstance(decision, Accepted)
    assert decision.signed.time == NOW + 60


def test_another_starting_point_is_answered_with_what_was_seen(log):
    state = seen(log, 10)
    for old, new in [(0, 20), (5, 20), (5, 6), (12, 12), (0, 0)]:
        assert ask(state, log.request(old, new), log) == Stale(10, state.note), (old, new)


def test_a_log_put_back_from_an_old_backup_learns_what_it_had_signed(log):
    state = seen(log, 10)
    log.entries = log.entries[:6]
    assert ask(state, log.request(6), log) == Stale(10, state.note)


def test_two_histories_of_one_size_convict(log):
    fork = forked(log)
    state = seen(log, 10)
    for old in (0, 4, 10):
        decision = ask(state, fork.request(old, 10), log)
        assert isinstance(decision, Conflict)
        assert decision.proven
        assert decision.old == state.note
        assert convicts(decision.old, decision.new, log.origin, log.keys)


def test_another_history_that_has_grown_is_kept_but_convicts_nobody_yet(log):
    request = forked(log).request(10, 15)
    decision = ask(seen(log, 10), request, log)
    assert isinstance(decision, Conflict)
    assert not decision.proven
    assert not convicts(decision.old, decision.new, log.origin, log.keys)
    assert decision.new == request.note


def test_growth_without_a_proof_of_it_is_not_cosigned(log):
    request = log.request(7, 20)
    for proof in (
        (),
        request.proof[1:],
        request.proof[::-1],
        (*request.proof, bytes(32)),
        (bytes(32), *request.proof),
    ):
        decision = ask(seen(log, 7), replace(request, proof=proof), log)
        assert isinstance(decision, Conflict)
        assert not decision.proven
    assert isinstance(ask(NOTHING_SEEN, replace(log.request(0, 5), proof=(bytes(32),)), log), Conflict)


def test_an_old_size_beyond_the_checkpoint_is_refused(log):
    request = replace(log.request(5, 5), old_size=6)
    assert isinstance(ask(seen(log, 6), request, log), Refused)


def test_a_checkpoint_that_is_not_the_logs_shows_nothing_about_it(log):
    stranger, other = MemoryLog(entries=ENTRIES), MemoryLog("bank-z", ENTRIES)
    half = sign_checkpoint(log.checkpoint(), log.signers[:1], NOW).raw
    foreign = sign_checkpoint(other.checkpoint(), log.signers, NOW).raw
    for note in (stranger.note().raw, other.note().raw, foreign, half, b"", b"garbage", log.note().raw[:-2]):
        decision = ask(NOTHING_SEEN, AddCheckpoint(0, (), note), log)
        assert isinstance(decision, Refused), note
        assert decision.cause
    assert "not of" in ask(NOTHING_SEEN, AddCheckpoint(0, (), foreign), log).cause


def test_evidence_must_be_the_logs_own(log):
    fork, stranger = forked(log), MemoryLog(entries=(b"another",))
    good = log.note(10).raw
    assert convicts(good, fork.note(10).raw, log.origin, log.keys)
    for other in (good, log.note(11).raw, stranger.note().raw, b"garbage",
                  sign_checkpoint(fork.checkpoint(10), log.signers[:1], NOW).raw):  # fmt: skip
        assert not convicts(good, other, log.origin, log.keys)
        assert not convicts(other, good, log.origin, log.keys)


@pytest.mark.parametrize("raw", [
    b"", b"old 1", b"old 1\n", b"old 01\n\nx", b"old -1\n\nx", b"new 1\n\nx", b" old 1\n\nx", b"old 1\nAAAA\n\nx",
    b"old 1\n!\n\nx", b"old 99999999999999999999\n\nx", b"old \xd9\xa1\n\nx", b"old 9223372036854775808\n\nx",
    b"old 1\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\nx", b"old 1\n\n" + bytes(1 << 22),
], ids=range(14))  # fmt: skip
def test_what_is_no_request_is_refused(raw):
    with pytest.raises(NoteError):
        AddCheckpoint.parse(raw)


def test_what_was_cosigned_is_always_one_history(log):
    """Whatever a log with its own keys asks, the accepted states are prefixes of one list of entries."""
    fork, state, accepted = forked(log, 8), NOTHING_SEEN, []
    for who, old, new in [(log, 0, 5), (fork, 5, 7), (log, 7, 12), (fork, 7, 12), (fork, 12, 15), (fork, 0, 15),
                          (log, 12, 11), (log, 12, 20), (fork, 20, 20)]:  # fmt: skip
        request = replace(who.request(min(old, new), new), old_size=old)
        decision = ask(state, request, log)
        if isinstance(decision, Accepted):
            state = decision.state
            accepted.append(state)
    assert [item.size for item in accepted] == [5, 7, 12, 20]
    assert all(item.root == tree.root(log.hashes[: item.size]) for item in accepted)
