"""Sealed sums against a coordinator that alters what is added, makes terms of its own, or has a bank that helps it.

Nobody may open anything but the sum over the set that was signed, and who is at fault is named wherever it can be
seen. The lies about who takes part are in test_sum_attacks.py.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum import collector, masking, messages, tag
from consortia_crypto.sum.messages import Certificate, Lists, Revealed, SetSigned, Shared, Total, Uploaded
from consortia_crypto.sum.terms import SumPolicy, check_offer
from tests.support.sums import Sum, Twist, both, changed, honest, keys_of, lost, random_values, roster, without

POLICY = SumPolicy("job-1/spec/update/1", roster(5), 1, 32, 100)  # t = 4
VALUES = random_values(POLICY, 1)
SECRETS = keys_of(POLICY.roster).secrets
A, B, C, D, E = POLICY.roster


def sum_with(twist: Twist) -> Sum:
    return Sum(POLICY, VALUES, twist=twist)


def summed(*names: str) -> NDArray[np.int64]:
    return np.sum([VALUES[name] for name in names], axis=0)


# It alters, drops, duplicates or scales an upload or the sum.


@pytest.mark.parametrize("engine", ["masked", "lattice"])
@pytest.mark.parametrize(
    ("added", "tagged"),
    [((A, B, C, D), (A, B, C, D)), ((A, B, C, D, E, E), (A, B, C, D, E, E)), ((A, B, C, D, D), (A, B, C, D, D)),
     (POLICY.roster * 2, POLICY.roster * 2), ((A, B, C, D, E), (A, B, C, D)), ((A,), (A,))],
    ids=["dropped", "duplicated", "in place of", "scaled", "tag dropped", "alone"],
)  # fmt: skip
def test_a_total_of_other_uploads_than_the_set_s_is_refused(
    engine: str, added: tuple[str, ...], tagged: tuple[str, ...]
) -> None:
    attempt = Sum(replace(POLICY, engine=engine), VALUES)
    for step in (attempt.share, attempt.upload, attempt.agree_on_set, attempt.reveal):
        step()
    total, _ = attempt.total()
    plan = collector.close_revealing(attempt.collector)[1]
    raw = attempt.added(added)
    masking.adjust(attempt.group, raw, plan.masks, raw)
    tags = {name: Uploaded.from_bytes(data).tag for name, data in attempt.collector.record.uploaded.items()}
    change = sum(tags[name] for name in tagged) - sum(tags.values())
    attempt.deliver(replace(total, tag=(total.tag + change) % tag.P), raw.data)
    assert attempt.opened == {}
    assert all("it is not the sum" in str(attempt.refusals[name]) for name in POLICY.roster)


@pytest.mark.parametrize("word_bits", [16, 32, 64])
@pytest.mark.parametrize(
    "forge",
    [
        lambda words, total: (words + np.eye(1, 100, 7, dtype=words.dtype)[0], total),
        lambda words, total: (words, (total + 1) % tag.P),
        lambda words, total: (words * 2, total * 2 % tag.P),
        lambda words, total: (-words, -total % tag.P),
        lambda words, total: (words * 0, 0),
        lambda words, total: (words[::-1], total),
    ],
    ids=["one word", "the tag", "scaled", "negated", "nothing", "in another order"],
)
def test_an_altered_total_is_refused(word_bits: int, forge: Callable[[Any, int], tuple[Any, int]]) -> None:
    policy = replace(POLICY, word_bits=word_bits)
    attempt = Sum(policy, random_values(policy, 2))
    for step in (attempt.share, attempt.upload, attempt.agree_on_set, attempt.reveal):
        step()
    total, data = attempt.total()
    words, forged = forge(data.view(f"<u{word_bits // 8}"), total.tag)
    attempt.deliver(replace(total, tag=forged), np.ascontiguousarray(words).view(np.uint8))
    assert attempt.opened == {}
    assert all("at fault: the coordinator" in str(attempt.refusals[name]) for name in POLICY.roster)


def test_a_wide_word_moved_by_the_tag_s_modulus_is_refused() -> None:
    """It fits the tag; that such sums can't be is what SumPolicy.limit is for (ADR 19)."""
    policy = replace(POLICY, word_bits=64)
    for moved in (tag.P, -tag.P):
        attempt = Sum(policy, {name: np.full(100, 5, np.int64) for name in POLICY.roster})
        for step in (attempt.share, attempt.upload, attempt.agree_on_set, attempt.reveal):
            step()
        total, data = attempt.total()
        word = (int.from_bytes(data[24:32].tobytes(), "little") + moved) % 2**64
        data[24:32] = list(word.to_bytes(8, "little"))
        attempt.deliver(total, data)
        assert attempt.opened == {}


def test_an_upload_altered_on_its_way_is_not_added() -> None:
    def flipped(name: str, message: Any) -> Any:
        if name == C and isinstance(message, np.ndarray):
            message[5] ^= 1
        return message

    attempt = sum_with(flipped)
    attempt.run()
    assert "is not the one that it signed" in str(attempt.faults[C])
    np.testing.assert_array_equal(attempt.opened[A], summed(A, B, D, E))


# It sends the sum of one.


def test_a_list_of_one_or_too_few_participants_is_refused() -> None:
    for names in ((A,), (A, B), (A, B, C)):
        attempt = sum_with(
            changed(Lists, (A,), lambda lists, names=names: replace(
                lists, listed=without(lists.listed, *set(POLICY.roster) - set(names)))))  # fmt: skip
        attempt.run()
        assert f"has {len(names)} institutions, and at least 4 are needed" in str(attempt.refusals[A])


def test_a_total_over_too_few_is_refused_before_anything_is_opened() -> None:
    def of_one(total: Total) -> Total:
        proposal = replace(
            total.certificate.proposal, uploads=without(total.certificate.proposal.uploads, B, C, D, E)
        )
        return replace(total, certificate=Certificate(proposal, {}))

    attempt = sum_with(changed(Total, POLICY.roster, of_one))
    assert attempt.run() == {}
    assert all("has 1 institutions" in str(error) for error in attempt.refusals.values())


# It makes terms of its own.


@pytest.mark.parametrize(
    "change",
    [{"colluding": 0}, {"word_bits": 64}, {"length": 99}, {"roster": (B, A, C, D, E)}, {"roster": (A, B, C, D)},
     {"engine": "lattice"}, {"session": "job-1/spec/update/2"}],
)  # fmt: skip
def test_an_offer_of_other_terms_is_refused(change: dict[str, Any]) -> None:
    other = replace(POLICY, **change)
    check_offer(POLICY, 1, POLICY.rid(1), POLICY.digest())
    with pytest.raises(SumError, match="under other terms"):
        check_offer(POLICY, 1, other.rid(1), other.digest())
    with pytest.raises(SumError, match="under other terms"):
        check_offer(POLICY, 1, POLICY.rid(2), POLICY.digest())


def test_institutions_that_hold_different_totals_before_add_nothing_together() -> None:
    attempt = sum_with(honest)
    attempt.share()
    attempt.previous = "11" * 32
    attempt.upload()
    with pytest.raises(SumError, match="UPLOADING has 0 of 4"):
        attempt.agree_on_set()
    assert set(attempt.faults) == set(POLICY.roster)


# An institution helps it.


def test_shares_that_were_dealt_falsely_are_named_and_the_others_suffice() -> None:
    def false(said: Revealed) -> Any:
        shares = {**said.self_shares, D: bytes(32)}
        return messages.signed(replace(said, self_shares=shares, signature=b""), SECRETS[E].round_seed)

    attempt = sum_with(changed(Revealed, (E,), false))
    np.testing.assert_array_equal(attempt.run()[A], summed(*POLICY.roster))


def test_a_secret_that_can_t_be_rebuilt_names_who_gave_false_shares() -> None:
    def false(said: Revealed) -> Any:
        shares = {**said.self_shares, C: bytes(32)}
        return messages.signed(replace(said, self_shares=shares, signature=b""), SECRETS[E].round_seed)

    attempt = sum_with(both(lost({D: Revealed}), changed(Revealed, (E,), false)))
    with pytest.raises(SumError, match=f"a secret of {C} can't be rebuilt: {E} did not reveal") as caught:
        attempt.run()
    assert caught.value.blame == f"{E}, or {C}"


def test_a_bundle_that_does_not_open_names_who_dropped_out() -> None:
    def spoilt(said: Shared) -> Any:
        return messages.signed(replace(said, bundle=bytes(len(said.bundle)), signature=b""), SECRETS[E].round_seed)

    with pytest.raises(SumError, match=f"the keys that {E} left") as caught:
        sum_with(changed(Shared, (E,), spoilt)).run()
    assert caught.value.blame == E


def test_shares_that_do_not_open_are_refused_by_name() -> None:
    def spoilt(lists: Lists) -> Lists:
        entry = lists.listed[B]
        return replace(lists, listed={**lists.listed, B: replace(entry, sealed=bytes(80))})

    attempt = sum_with(changed(Lists, (A,), spoilt))
    attempt.run()
    assert attempt.refusals[A].blame == f"the coordinator that carried them, or {B}"


def test_nobody_speaks_for_another() -> None:
    """E signs in B's name with its own key, at every step."""
    for kind in (Shared, Uploaded, SetSigned, Revealed):
        attempt = sum_with(changed(kind, (B,), lambda said: messages.signed(said, SECRETS[E].round_seed)))
        attempt.run()
        assert f"does not carry the signature of {B}" in str(attempt.faults[B])
        np.testing.assert_array_equal(attempt.opened[A], summed(*attempt.collector.record.uploaded))
