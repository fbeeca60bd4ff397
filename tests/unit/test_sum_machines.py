"""The two state machines: what follows what, what is forgotten when, and whom the coordinator waits for."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum import collector, member
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Revealed, SetProposal, SetSigned, Shared, Uploaded
from consortia_crypto.sum.terms import SumPolicy
from tests.support.sums import PREVIOUS, Sum, honest, keys_of, lost, random_values, roster

POLICY = SumPolicy("job-1/spec/update/1", roster(3), 0, 32, 10)
VALUES = random_values(POLICY, 1)
KEYS = keys_of(POLICY.roster)
A, B, C = POLICY.roster


class Recorded(Sum):
    """A sum that keeps every state of A and of the coordinator, and what led there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.states: dict[str, Member] = {}

    def _reread(self, state: Member) -> Member:
        if state.epoch.me == A:
            self.states[state.step] = state
        return super()._reread(state)


ROUND = Recorded(POLICY, VALUES, twist=lost({C: Uploaded}))
ROUND.run()
STATES = ROUND.states | {"ABORTED": member.abort(ROUND.states["SHARED"]), "DONE": ROUND.members[A]}
HEARD = {type(message).__name__: message for name, message in ROUND.seen if name == A}
WHOLE = Recorded(POLICY, VALUES)
"""Nobody is missing: who signs reveals at once."""
WHOLE.run()
CALLS: dict[str, tuple[Callable[[Member], Any], tuple[str, ...]]] = {
    "lists": (lambda state: member.lists(state, HEARD["Lists"], PREVIOUS), ("SHARED", "LISTED")),
    "uploaded": (
        lambda state: member.uploaded(state, HEARD["Uploaded"].digest.hex(), HEARD["Uploaded"].tag),
        ("LISTED", "UPLOADED"),
    ),
    "set_proposed": (
        lambda state: member.set_proposed(state, HEARD["SetProposal"])[:2],
        ("UPLOADED", "SIGNED", "REVEALED"),
    ),
    "certificate": (lambda state: member.certificate(state, HEARD["Certificate"]), ("SIGNED", "REVEALED")),
    "abort": (member.abort, ("SHARED", "LISTED", "UPLOADED", "SIGNED")),
    "done": (member.done, ("SHARED", "LISTED", "UPLOADED", "SIGNED", "REVEALED", "DONE", "ABORTED")),
}


@pytest.mark.parametrize("step", ["SHARED", "LISTED", "UPLOADED", "SIGNED", "REVEALED", "DONE", "ABORTED"])
@pytest.mark.parametrize("call", CALLS)
def test_an_institution_hears_only_what_follows(step: str, call: str) -> None:
    act, allowed = CALLS[call]
    if step in allowed:
        act(STATES[step])
    else:
        with pytest.raises(SumError, match=f"does not follow {step}"):
            act(STATES[step])


@pytest.mark.parametrize("call", ["lists", "uploaded", "set_proposed", "certificate"])
def test_asked_the_same_again_it_says_the_same(call: str) -> None:
    act, (first, then, *_) = CALLS[call]
    state, said = act(STATES[first])
    assert state == STATES[then]
    assert act(state) == (state, said)


def test_of_a_set_with_nobody_missing_it_signs_and_reveals_in_one_and_only_then() -> None:
    assert set(WHOLE.states) == {"SHARED", "LISTED", "UPLOADED", "REVEALED"}
    proposal = next(message for name, message in WHOLE.seen if isinstance(message, SetProposal))
    state, signed, revealed = member.set_proposed(WHOLE.states["UPLOADED"], proposal)
    assert revealed is not None
    assert (set(revealed.self_shares), revealed.pair_shares) == (set(POLICY.roster), {})
    assert member.set_proposed(state, proposal) == (state, signed, revealed)
    assert state.spent
    with pytest.raises(SumError, match="does not follow REVEALED"):
        member.abort(state)
    assert member.set_proposed(STATES["UPLOADED"], HEARD["SetProposal"])[2] is None


def test_the_coordinator_knows_whether_anybody_is_missing() -> None:
    whole, part = (step_by_step(lost(gone))[1] for gone in ({}, {C: Uploaded}))
    assert [collector.is_whole(state) for state in whole] == [False, False, True, True, True]
    assert not any(collector.is_whole(state) for state in part)


def test_a_second_vector_under_the_same_masks_is_refused() -> None:
    for digest, tag in (("11" * 32, HEARD["Uploaded"].tag), (HEARD["Uploaded"].digest.hex(), 7)):
        with pytest.raises(SumError, match="a second vector was masked with the same masks"):
            member.uploaded(STATES["UPLOADED"], digest, tag)


def test_what_is_over_holds_no_secret() -> None:
    own = STATES["SHARED"].record
    assert own.secret in STATES["SIGNED"].to_bytes()
    for step in ("ABORTED", "DONE"):
        for secret in (own.secret, own.shares[:32], own.shares[32:]):
            assert secret not in STATES[step].to_bytes()
    assert own.secret.hex() not in repr(STATES["SIGNED"])
    assert repr(own.secret) not in repr(STATES["SIGNED"])


def test_a_state_is_that_of_one_policy_and_epoch() -> None:
    data = STATES["SIGNED"].to_bytes()
    for policy, secrets in (
        (replace(POLICY, session="job-2"), KEYS.secrets[A]),
        (POLICY, replace(KEYS.secrets[A], roster_hash=bytes(32))),
    ):
        with pytest.raises(SumError, match="another sum or epoch"):
            Member.from_bytes(data, policy, secrets)


def test_keys_of_another_roster_are_not_used() -> None:
    with pytest.raises(SumError, match="another roster"):
        member.share(replace(POLICY, roster=(B, A, C)), 1, KEYS.secrets[A], os.urandom, None)
    with pytest.raises(SumError, match="attempt 1 was asked for after"):
        member.share(replace(POLICY, session="job-2"), 1, KEYS.secrets[A], os.urandom, STATES["SHARED"])


def test_a_total_may_be_opened_again_and_by_one_that_gave_the_attempt_up() -> None:
    total = HEARD["Total"]
    for step in ("UPLOADED", "SIGNED", "REVEALED", "DONE", "ABORTED"):
        plan = member.opening(POLICY, KEYS.secrets[A], PREVIOUS, total, STATES[step])
        assert plan.contributors == (A, B)
        assert plan.bound == 2 * POLICY.limit
    for step in ("SHARED", "LISTED"):
        with pytest.raises(SumError, match="another upload than this institution sent"):
            member.opening(POLICY, KEYS.secrets[A], PREVIOUS, total, STATES[step])


def test_who_revealed_in_one_attempt_takes_no_total_of_another() -> None:
    other = Sum(POLICY, VALUES, attempt=2)
    other.run()
    total = next(message for name, message in other.seen if type(message).__name__ == "Total")
    with pytest.raises(SumError, match="another attempt"):
        member.opening(POLICY, KEYS.secrets[A], PREVIOUS, total, STATES["REVEALED"])
    member.opening(POLICY, KEYS.secrets[A], PREVIOUS, total, STATES["ABORTED"])


# The coordinator.


def step_by_step(twist: Any = honest) -> tuple[Sum, list[Collector]]:
    attempt = Sum(POLICY, VALUES, twist=twist)
    states = [attempt.collector]
    for step in (attempt.share, attempt.upload, attempt.agree_on_set, attempt.reveal):
        step()
        states.append(attempt.collector)
    return attempt, states


def test_the_coordinator_knows_whom_it_waits_for() -> None:
    attempt, states = step_by_step(lost({C: SetSigned}))
    assert [state.step for state in states] == ["SHARING", "SHARING", "UPLOADING", "SETTING", "REVEALING"]
    assert [collector.missing(state) for state in states] == [POLICY.roster, (), (), (C,), ()]
    assert [collector.enough(state) for state in states] == [False, True, True, True, True]
    done = collector.close_revealing(states[-1])[0]
    assert (done.step, collector.missing(done), collector.enough(done)) == ("SUMMED", (), False)
    assert collector.close_revealing(done)[1] == collector.close_revealing(states[-1])[1]
    assert attempt.faults == {}


@pytest.mark.parametrize(
    ("kind", "step"),
    [(Shared, "SHARING"), (Uploaded, "UPLOADING"), (SetSigned, "SETTING"), (Revealed, "REVEALING")],
)
def test_too_few_answers_stop_the_attempt_with_step_and_names(kind: type[Any], step: str) -> None:
    attempt = Sum(POLICY, VALUES, twist=lost({B: kind, C: kind}))
    with pytest.raises(SumError, match=f"{step} has 1 of 2 institutions; {B}, {C} did not answer") as caught:
        attempt.run()
    assert caught.value.blame == f"{B}, {C}"
    over = collector.abort(attempt.collector)
    assert (over.step, over.record.shared, collector.missing(over)) == ("ABORTED", {}, ())


def test_two_different_answers_of_one_institution_are_refused_and_the_same_again_is_not() -> None:
    state = collector.start(POLICY, 1, KEYS.documents, PREVIOUS)
    one, other = (member.share(POLICY, 1, KEYS.secrets[A], os.urandom, None)[1] for _ in range(2))
    state = collector.shared(state, one)
    assert collector.shared(state, one) == state
    with pytest.raises(SumError, match=f"{A} sent two different Shared messages") as caught:
        collector.shared(state, other)
    assert caught.value.blame == A


def test_late_early_and_unasked_answers_are_refused() -> None:
    _, states = step_by_step(lost({C: Uploaded}))
    late = member.share(POLICY, 1, KEYS.secrets[C], os.urandom, None)[1]
    with pytest.raises(SumError, match=f"{C} sent a Shared message in UPLOADING: too early or too late"):
        collector.shared(states[2], late)
    signed = SetSigned(C, bytes(32), bytes(32), bytes(64))
    with pytest.raises(SumError, match=f"{C} sent a SetSigned message without being asked"):
        collector.signed(states[3], signed)
    with pytest.raises(SumError, match="without being asked"):
        collector.shared(states[0], replace(late, sender="bank-99"))
    with pytest.raises(SumError, match="there is no total in SETTING"):
        collector.total(states[3])
    with pytest.raises(SumError, match="SETTING can't be closed in SHARING"):
        collector.close_setting(states[0])


def test_answers_for_other_terms_are_refused() -> None:
    state = collector.start(POLICY, 1, KEYS.documents, PREVIOUS)
    for policy, attempt in ((replace(POLICY, word_bits=64), 1), (POLICY, 2)):
        said = member.share(policy, attempt, KEYS.secrets[A], os.urandom, None)[1]
        with pytest.raises(SumError, match=f"Shared message of {A} does not fit"):
            collector.shared(state, said)


def test_the_coordinator_s_state_is_that_of_one_policy_and_epoch_and_holds_no_key() -> None:
    attempt, states = step_by_step()
    data = states[-1].to_bytes()
    assert Collector.from_bytes(data, POLICY, KEYS.documents) == states[-1]
    with pytest.raises(SumError, match="another sum or epoch"):
        Collector.from_bytes(data, replace(POLICY, session="job-2"), KEYS.documents)
    for secrets in KEYS.secrets.values():
        for key in (secrets.group_key, secrets.round_seed, *secrets.pair_keys.values()):
            assert key not in data
    assert attempt.collector.attempt == 1
