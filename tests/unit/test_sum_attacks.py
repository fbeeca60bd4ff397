"""Sealed sums against a coordinator that cheats in every way that it can think of, alone and with colluding banks.

Each test is one lie. Nobody may open anything but the sum over the set that was signed, and wherever a lie can be
seen, the refusal says in which step and who is at fault. The lies about what is added are in test_sum_altered.py.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum import collector, member, messages, rebuild
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.messages import (
    Certificate,
    Lists,
    Revealed,
    SetProposal,
    SetSigned,
    Shared,
    Total,
    Uploaded,
)
from consortia_crypto.sum.terms import SumPolicy
from tests.support.sums import Sum, Twist, both, changed, honest, keys_of, lost, random_values, roster, without

POLICY = SumPolicy("job-1/spec/update/1", roster(5), 1, 32, 100)  # t = 4
VALUES = random_values(POLICY, 1)
SECRETS = keys_of(POLICY.roster).secrets
A, B, C, D, E = POLICY.roster


def sum_with(twist: Twist, **others: Any) -> Sum:
    return Sum(POLICY, VALUES, twist=twist, **others)


def summed(*names: str) -> NDArray[np.int64]:
    return np.sum([VALUES[name] for name in names], axis=0)


def played(twist: Twist, *, until: str) -> Sum:
    """A sum up to and with this step."""
    attempt = sum_with(twist)
    for step in ("share", "upload", "agree_on_set", "reveal"):
        getattr(attempt, step)()
        if step == until:
            break
    return attempt


# It lies about who dropped out.


def unknown_masks(attempt: Sum, name: str, said: Mapping[str, Revealed], added: Sequence[str]) -> list[Mask]:
    """The masks of ``name``'s upload that nobody can take off who was told ``said``, all of the set ``added``."""
    shared = {who: Shared.from_bytes(data) for who, data in attempt.collector.record.shared.items()}
    ctx = next(iter(said.values())).ctx
    known = rebuild.to_remove(POLICY, attempt.collector.rid, ctx, shared, added, said)
    seeds = {seed.vector for seed, _ in known}
    return [mask for mask in attempt.plans[name].masks if mask.seed not in seeds]


def test_an_upload_that_is_said_to_be_lost_keeps_its_self_mask() -> None:
    """E's upload is kept and E is called a drop-out: all its pair masks come off, and the one other never does."""
    attempt = played(changed(Uploaded, (E,), lambda _: None), until="reveal")
    record = attempt.collector.record
    said = {who: Revealed.from_bytes(data) for who, data in record.revealed.items()}
    assert len(attempt.plans[E].masks) == 5
    assert len(unknown_masks(attempt, E, said, tuple(record.uploaded))) == 1
    attempt.open()
    assert set(attempt.opened) == set(POLICY.roster)
    np.testing.assert_array_equal(attempt.opened[E], summed(A, B, C, D))


def test_one_that_uploaded_nothing_can_t_be_called_a_summand() -> None:
    attempt = played(lost({E: Uploaded}), until="upload")
    true = collector.close_uploading(attempt.collector)[1]
    claimed = replace(true, uploads={**true.uploads, E: bytes(32)})
    state, _, revealed = member.set_proposed(attempt.members[A], claimed)  # A can't know
    with pytest.raises(SumError, match="not what this institution uploaded"):
        member.set_proposed(attempt.members[E], claimed)
    assert state.step == "REVEALED"
    assert revealed is not None
    assert revealed.pair_shares == {}  # so the pair masks of E stay on what the others uploaded
    with pytest.raises(SumError, match="two sets of summands"):
        member.set_proposed(state, true)


def test_uploads_stay_masked_if_one_was_claimed_that_never_came() -> None:
    """Who reveals at once for such a set opens all self masks; an upload still has one with each other upload."""
    attempt = played(lost({E: Uploaded}), until="upload")
    true = collector.close_uploading(attempt.collector)[1]
    claimed = replace(true, uploads={**true.uploads, E: bytes(32)})
    said = {name: revealed_at_once(attempt, name, claimed) for name in (A, B, C, D)}
    for name in (A, B, C, D):
        assert len(unknown_masks(attempt, name, said, POLICY.roster)) >= 4


def revealed_at_once(attempt: Sum, name: str, proposal: SetProposal) -> Revealed:
    revealed = member.set_proposed(attempt.members[name], proposal)[2]
    assert revealed is not None
    return revealed


def test_too_few_may_not_stay_whatever_the_coordinator_says() -> None:
    attempt = played(honest, until="upload")
    proposal = collector.close_uploading(attempt.collector)[1]
    few = replace(proposal, uploads=without(proposal.uploads, D, E))
    with pytest.raises(SumError, match=r"the set of summands has 3 institutions, and at least 4"):
        member.set_proposed(attempt.members[A], few)


def test_a_stranger_is_no_summand() -> None:
    attempt = played(honest, until="upload")
    proposal = collector.close_uploading(attempt.collector)[1]
    padded = replace(proposal, uploads={**without(proposal.uploads, D, E), "y": bytes(32), "z": bytes(32)})
    with pytest.raises(SumError, match="names y, z, who can't be there"):
        member.set_proposed(attempt.members[A], padded)


# It shows different sets to different institutions.


def test_another_list_of_participants_for_one_of_them_is_seen_in_its_upload() -> None:
    def shorter(lists: Lists) -> Lists:
        return replace(lists, listed=without(lists.listed, E))

    attempt = sum_with(changed(Lists, (A,), shorter))
    attempt.run()
    assert f"Uploaded message of {A} does not fit" in str(attempt.faults[A])
    np.testing.assert_array_equal(attempt.opened[B], summed(B, C, D, E))
    assert "another list of participants than this institution was shown" in str(attempt.refusals[A])


def test_whoever_was_shown_another_list_signs_no_set_of_the_others() -> None:
    attempt = played(honest, until="share")
    lists = collector.close_sharing(attempt.collector)[1]
    other = member.lists(attempt.members[A], replace(lists[A], listed=without(lists[A].listed, E)), "00" * 32)[0]
    other, said = member.uploaded(other, "00" * 32, 1)
    attempt.upload()
    proposal = collector.close_uploading(attempt.collector)[1]
    mixed = replace(proposal, uploads={**proposal.uploads, A: said.hash()})
    with pytest.raises(SumError, match="another list of participants"):
        member.set_proposed(other, mixed)


def test_two_lists_of_participants_in_one_round_are_refused() -> None:
    attempt = played(honest, until="share")
    lists = collector.close_sharing(attempt.collector)[1]
    state, plan = member.lists(attempt.members[A], lists[A], "00" * 32)
    again, same = member.lists(state, lists[A], "00" * 32)
    assert (again, same) == (state, plan)
    for shown, previous in ((replace(lists[A], listed=without(lists[A].listed, E)), "00"), (lists[A], "11")):
        with pytest.raises(SumError, match="two lists"):
            member.lists(state, shown, previous * 32)


def test_one_institution_signs_one_set() -> None:
    attempt = played(honest, until="upload")
    proposal = collector.close_uploading(attempt.collector)[1]
    part = replace(proposal, uploads=without(proposal.uploads, E))
    for first, second in ((proposal, part), (part, proposal)):
        state, *said = member.set_proposed(attempt.members[A], first)
        assert member.set_proposed(state, first) == (state, *said)
        with pytest.raises(SumError, match="two sets of summands"):
            member.set_proposed(state, second)


@pytest.mark.parametrize("shown_all", [names for size in range(5) for names in combinations((A, B, C, D), size)])
def test_shown_two_sets_they_never_open_both_secrets_of_one(shown_all: tuple[str, ...]) -> None:
    """These are proposed everybody and reveal at once, the others all but E; the traitor C helps with both."""
    attempt = played(honest, until="upload")
    whole = collector.close_uploading(attempt.collector)[1]
    part = replace(whole, uploads=without(whole.uploads, E))
    own, pair = {C}, set()
    own |= {name for name in shown_all if E in revealed_at_once(attempt, name, whole).self_shares}
    signed = {
        name: member.set_proposed(attempt.members[name], part) for name in (A, B, C, D) if name not in shown_all
    }
    certificate = Certificate(part, {name: said.signature for name, (_, said, _) in signed.items()} | traitor(part))
    for name, (state, _, _) in signed.items():
        with suppress(SumError):
            pair |= {C} | ({name} if E in member.certificate(state, certificate)[1].pair_shares else set())
    assert min(len(own), len(pair)) < POLICY.threshold


def traitor(proposal: SetProposal) -> dict[str, bytes]:
    """C's signature on a second set."""
    double = messages.signed(SetSigned(C, proposal.ctx, proposal.hash()), SECRETS[C].round_seed)
    return {C: double.signature}


def two_halves(attempt: Sum) -> tuple[Certificate, Certificate]:
    """The certificates that a coordinator gets who shows A, B, C everybody, and C, D, E all but B; C signs both."""
    whole = collector.close_uploading(attempt.collector)[1]
    part = replace(whole, uploads=without(whole.uploads, B))
    signatures: dict[str, dict[str, bytes]] = {"whole": {}, "part": traitor(part)}
    for name in POLICY.roster:
        shown, side = (whole, "whole") if name in (A, B, C) else (part, "part")
        attempt.members[name], said, _ = member.set_proposed(attempt.members[name], shown)
        signatures[side][name] = said.signature
    return Certificate(whole, signatures["whole"]), Certificate(part, signatures["part"])


def test_of_two_sets_neither_gets_enough_signatures_even_with_a_traitor() -> None:
    """Else one half could open the self mask of B, and the other half its round keys."""
    attempt = played(honest, until="upload")
    for certificate, name in zip(two_halves(attempt), (A, D), strict=True):
        assert len(certificate.signatures) == 3 < POLICY.threshold
        with pytest.raises(SumError, match="the list of signers has 3"):
            member.certificate(attempt.members[name], certificate)


def test_signatures_on_one_set_are_worth_nothing_on_another() -> None:
    attempt = played(honest, until="upload")
    whole, part = two_halves(attempt)
    mixed = replace(whole, signatures={**whole.signatures, **part.signatures})
    with pytest.raises(SumError, match=r"SetSigned message does not carry the signature of bank-0[234]"):
        member.certificate(attempt.members[A], mixed)


# It asks for both kinds of shares of one institution.


def test_no_second_certificate_opens_the_other_kind_of_share() -> None:
    """Even if the coordinator had a certificate on a smaller set, who revealed for one set stays with it."""
    attempt = played(honest, until="reveal")
    whole = collector.close_setting(
        replace(attempt.collector, record=replace(attempt.collector.record, step="SETTING"))
    )
    proposal = replace(whole[1].proposal, uploads=without(whole[1].proposal.uploads, E))
    forged = {
        name: messages.signed(SetSigned(name, proposal.ctx, proposal.hash()), SECRETS[name].round_seed).signature
        for name in (A, B, C, D)
    }
    for name in (A, B, C, D):
        with pytest.raises(SumError, match="another set of summands than this institution signed"):
            member.certificate(attempt.members[name], Certificate(proposal, forged))


def test_what_is_revealed_of_one_institution_is_never_of_both_kinds() -> None:
    attempt = played(lost({E: Uploaded}), until="reveal")
    for data in attempt.collector.record.revealed.values():
        said = Revealed.from_bytes(data)
        assert set(said.self_shares) == {A, B, C, D}
        assert set(said.pair_shares) == {E}


def test_a_dropped_one_reveals_nothing() -> None:
    attempt = played(lost({E: Uploaded}), until="reveal")
    certificate = collector.total(collector.close_revealing(attempt.collector)[0]).certificate
    with pytest.raises(SumError, match="does not follow UPLOADED"):
        member.certificate(attempt.members[E], certificate)


# It replays a round.


@pytest.mark.parametrize(("until", "gone"), [("upload", {}), ("agree_on_set", {E: Uploaded})])
def test_a_round_id_is_dealt_for_once(until: str, gone: dict[str, type[Any]]) -> None:
    state = played(lost(gone), until=until).members[A]
    with pytest.raises(SumError, match="does not follow"):
        member.share(POLICY, 1, SECRETS[A], os.urandom, state)


def test_an_offer_that_is_repeated_gets_the_same_answer() -> None:
    state, said = member.share(POLICY, 1, SECRETS[A], os.urandom, None)
    assert member.share(POLICY, 1, SECRETS[A], os.urandom, state) == (state, said)


def test_an_earlier_attempt_does_not_come_back() -> None:
    first = member.share(POLICY, 1, SECRETS[A], os.urandom, None)[0]
    second = member.share(POLICY, 2, SECRETS[A], os.urandom, first)[0]
    with pytest.raises(SumError, match="attempt 1 was asked for after attempt 2"):
        member.share(POLICY, 1, SECRETS[A], os.urandom, second)


def test_a_spent_update_goes_into_no_other_sum() -> None:
    attempt = played(honest, until="reveal")
    for state in (attempt.members[A], member.done(attempt.members[A])):
        assert state.spent
        with pytest.raises(SumError, match=r"attempt 2 was asked for after attempt 1 was (REVEALED|DONE)"):
            member.share(POLICY, 2, SECRETS[A], os.urandom, state)
        with pytest.raises(SumError):
            member.abort(state)


@pytest.mark.parametrize(
    ("until", "gone"), [("share", {}), ("upload", {}), ("upload", {E: Uploaded}), ("agree_on_set", {E: Uploaded})]
)
def test_before_anything_is_revealed_another_attempt_may_be_made(until: str, gone: dict[str, type[Any]]) -> None:
    first = played(lost(gone), until=until)
    before = {name: member.abort(state) for name, state in first.members.items()}
    second = Sum(POLICY, VALUES, attempt=2, before=before)
    np.testing.assert_array_equal(second.run()[A], summed(*POLICY.roster))


@pytest.mark.parametrize("kind", [Shared, Lists, Uploaded, SetProposal, SetSigned, Certificate, Revealed])
@pytest.mark.parametrize("gone", [{}, {E: Uploaded}], ids=["whole", "without E"])
def test_a_message_of_an_earlier_attempt_is_refused(kind: type[Any], gone: dict[str, type[Any]]) -> None:
    policy = replace(POLICY, colluding=0)  # t = 3
    first = Sum(policy, VALUES, twist=lost(gone))
    first.run()
    old = {(name, type(message)): message for name, message in first.seen}
    if (B, kind) not in old:
        assert kind is Certificate  # of a whole set there is none
        return
    twist = both(lost(gone), changed(kind, (B,), lambda _: old[B, kind]))
    attempt = Sum(policy, VALUES, attempt=2, twist=twist)
    attempt.run()
    assert B in attempt.refusals or B in attempt.faults
    np.testing.assert_array_equal(attempt.opened[A], summed(*attempt.collector.record.uploaded))


def test_a_total_of_another_sum_is_refused() -> None:
    earlier = Sum(replace(POLICY, session="job-1/spec/update/0"), VALUES)
    earlier.run()
    old = next(message for _, message in earlier.seen if isinstance(message, Total))
    attempt = sum_with(changed(Total, POLICY.roster, lambda _: old))
    assert attempt.run() == {}
    assert set(attempt.refusals) == set(POLICY.roster)
