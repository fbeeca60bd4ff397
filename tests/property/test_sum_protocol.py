"""Whatever the roster, widths, drop-outs and damage: the exact sum of the set that was signed, or none."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.errors import SumError
from consortia_crypto.sum.messages import Certificate, Lists, Revealed, SetProposal, SetSigned, Shared, Uploaded
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.terms import WORD_BITS, Scale, SumPolicy
from tests.support.sums import Sum, both, lost, random_values, roster

STEPS = (Shared, Uploaded, SetSigned, Revealed)
KINDS = (*STEPS, Lists, SetProposal, Certificate)


@st.composite
def policies(draw: st.DrawFn) -> SumPolicy:
    institutions = draw(st.integers(3, 7))
    lattice = draw(st.integers(0, 4)) == 0
    return SumPolicy(
        session=f"job-1/spec/update/{draw(st.integers(0, 9))}",
        roster=roster(institutions),
        colluding=draw(st.integers(0, institutions - 2)),
        word_bits=draw(st.sampled_from(WORD_BITS)),
        length=draw(st.integers(1, 60) | st.sampled_from([4095, 4096, 4097, 9000])),
        engine="lattice" if lattice else "masked",
    )


def survives_drop_outs(policy: SumPolicy, data: st.DataObject) -> None:
    gone = data.draw(st.dictionaries(st.sampled_from(policy.roster), st.sampled_from(STEPS), max_size=4))
    values = random_values(policy, data.draw(st.integers(0, 999)))
    attempt = Sum(policy, values, twist=lost(gone), attempt=data.draw(st.integers(1, 1000)))
    if len(policy.roster) - len(gone) < policy.threshold:
        with pytest.raises(SumError, match="did not answer"):
            attempt.run()
        assert attempt.opened == {}
        return
    opened = attempt.run()
    added = [name for name in policy.roster if gone.get(name) not in (Shared, Uploaded)]
    assert set(opened) == set(policy.roster) - set(gone)
    for total in opened.values():
        np.testing.assert_array_equal(total, np.sum([values[name] for name in added], axis=0))


def withstands_damage(policy: SumPolicy, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from((*KINDS, np.ndarray)))
    name = data.draw(st.sampled_from(policy.roster))
    place, bit = data.draw(st.integers(0, 10**6)), data.draw(st.integers(0, 7))
    gone = lost(data.draw(st.dictionaries(st.sampled_from(policy.roster), st.just(Uploaded), max_size=1)))

    def twist(who: str, message: Any) -> Any:
        if who != name or not isinstance(message, kind):
            return message
        octets = bytearray(message.tobytes() if kind is np.ndarray else message.to_bytes())
        octets[place % len(octets)] ^= 1 << bit
        if kind is np.ndarray:
            return np.frombuffer(bytes(octets), np.uint8)
        try:
            return kind.from_bytes(bytes(octets))
        except SumError:
            return None

    values = random_values(policy, place)
    attempt = Sum(policy, values, twist=both(gone, twist))
    with contextlib.suppress(SumError):
        attempt.run()
    added = attempt.collector.record.uploaded
    for total in attempt.opened.values():
        np.testing.assert_array_equal(total, np.sum([values[one] for one in added], axis=0))


def run(body: Callable[..., None], examples: int) -> None:
    given(policies(), st.data())(settings(max_examples=examples, deadline=None)(body))()


BODIES = pytest.mark.parametrize("body", [survives_drop_outs, withstands_damage])


@BODIES
def test_the_sum_is_that_of_the_set_or_there_is_none(body: Callable[..., None]) -> None:
    run(body, 20)


@pytest.mark.slow
@BODIES
def test_the_same_at_length(body: Callable[..., None]) -> None:
    run(body, 500)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4), st.sampled_from(WORD_BITS), st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_real_numbers_come_back_as_the_sum_of_what_each_rounded(clips: list[float], bits: int, seed: int) -> None:
    scales = tuple(Scale(3, clip) for clip in clips)
    policy = SumPolicy("job-1/spec/update/1", roster(3), 0, bits, 3 * len(clips), scales=scales)
    drawn = np.random.default_rng(seed)
    reals = {name: drawn.standard_t(2, policy.length) for name in policy.roster}
    values = {name: quantise(column, scales, policy.limit) for name, column in reals.items()}
    for total in Sum(policy, values).run().values():
        expected = np.sum(list(values.values()), axis=0)
        np.testing.assert_array_equal(
            dequantise(total, scales, policy.limit), dequantise(expected, scales, policy.limit)
        )
