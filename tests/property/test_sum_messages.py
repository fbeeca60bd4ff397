"""Every message and stored state of a sealed sum has one byte string; others raise SumError, nothing else."""

import contextlib
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_crypto.errors import SumError
from consortia_crypto.sum import layout, messages
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.epoch_messages import Confirmed, KeyDocument, Letter
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.terms import SumPolicy
from tests.support.sum_examples import POLICY, examples
from tests.support.sums import Sum, keys_of, random_values, roster

KINDS = (
    *(messages.Shared, messages.Lists, messages.Uploaded, messages.SetProposal, messages.SetSigned),
    *(messages.Certificate, messages.Revealed, messages.Total, KeyDocument, Letter, Confirmed, Epoch, EpochSecrets),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_real_message_survives_its_bytes(kind: type[Any]) -> None:
    message = examples()[kind]
    assert kind.from_bytes(message.to_bytes()) == message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_altered_bytes_are_another_message_or_refused(kind: type[Any], data: st.DataObject) -> None:
    good = examples()[kind].to_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from(
            [
                good[:place],
                good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :],
                good + b"\0",
                good[:place] + good[place + 1 :],
            ]
        )
    )
    try:
        read = kind.from_bytes(bad)
    except SumError:
        return
    assert read.to_bytes() == bad


@given(kind=st.sampled_from(KINDS), data=st.binary(max_size=300), good_start=st.booleans())
def test_garbage_is_refused_or_canonical(kind: type[Any], data: bytes, good_start: bool) -> None:
    data = kind.MAGIC + data if good_start else data
    with contextlib.suppress(SumError):
        assert kind.from_bytes(data).to_bytes() == data


@given(st.binary(max_size=300))
def test_garbage_is_no_stored_state(data: bytes) -> None:
    keys = keys_of(POLICY.roster)
    with pytest.raises(SumError):
        Member.from_bytes(data, POLICY, keys.secrets[POLICY.roster[0]])
    with pytest.raises(SumError):
        Collector.from_bytes(data, POLICY, keys.documents)


PARTS = {
    layout.Number(1000): st.integers(0, 999),
    layout.Octets(5): st.binary(min_size=5, max_size=5),
    layout.Text(): st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
    layout.Blob(9): st.binary(max_size=9),
    layout.Names(): st.lists(st.text("äbc", min_size=1, max_size=5), max_size=50).map(tuple),
    layout.Table(layout.Number()): st.dictionaries(
        st.text("äbc", min_size=1, max_size=9), st.integers(0, 9), max_size=50
    ),
    layout.Optional(layout.Octets(1)): st.none() | st.binary(min_size=1, max_size=1),
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
@given(data=st.data())
def test_every_part_reads_what_it_writes(part: Any, data: st.DataObject) -> None:
    value = data.draw(PARTS[part])
    reader = layout.Reader(part.write(value))
    assert part.read(reader) == value
    reader.end()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (layout.Number(1000), 1000), (layout.Number(), -1), (layout.Number(), True), (layout.Number(), "1"),
        (layout.Octets(5), b"1234"), (layout.Octets(5), "12345"), (layout.Text(), ""), (layout.Text(), "a" * 1001),
        (layout.Text(), b"a"), (layout.Text(), "\ud800"), (layout.Blob(3), b"1234"), (layout.Blob(3), None),
        (layout.Names(), ("a",) * 51), (layout.Table(layout.Number()), {str(n): 1 for n in range(51)}),
        (layout.Table(layout.Number()), []), (layout.Nested(messages.Head, ()), 1),
    ],
)  # fmt: skip
def test_values_that_can_t_be_said_are_refused(part: Any, value: Any) -> None:
    with pytest.raises(SumError):
        part.write(value)


@pytest.mark.parametrize(
    ("part", "data"),
    [
        (layout.Table(layout.Octets(0)), b"\x02\0\x01\0b\x01\0a"),
        (layout.Table(layout.Octets(0)), b"\x02\0\x01\0a\x01\0a"),
        (layout.Table(layout.Octets(0)), b"\x33\0"),
        (layout.Names(), b"\x33\0"),
        (layout.Text(), b"\x01\0\xff"),
        (layout.Text(), b"\0\0"),
        (layout.Text(), b"\xe9\x03" + b"a" * 1001),
        (layout.Blob(3), b"\x04\0\0\x001234"),
        (layout.Optional(layout.Octets(0)), b"\x02"),
        (layout.Number(5), b"\x05" + bytes(7)),
    ],
)
def test_bytes_that_say_nothing_are_refused(part: Any, data: bytes) -> None:
    with pytest.raises(SumError):
        part.read(layout.Reader(data))


def test_secrets_are_not_shown() -> None:
    state = examples()[Epoch]
    assert "letter_seeds" not in repr(state)
    assert "self_shares" not in repr(examples()[messages.Revealed])
    assert {item.name for item in fields(EpochSecrets) if not item.repr} == {
        "round_seed", "pair_keys", "group_key", "attachment",
    }  # fmt: skip


def test_the_small_messages_of_a_round_are_small() -> None:
    """At 10 institutions and a million parameters of 4 bytes, 9 kB are 0.009 bytes more for each."""
    policy = SumPolicy("job-1/spec/update/1", roster(10), 3, 32, 3)
    attempt = Sum(policy, random_values(policy, 1))
    attempt.run()
    for name in policy.roster:
        said = [message for who, message in attempt.seen if who == name and isinstance(message, messages.Message)]
        assert sum(len(message.to_bytes()) for message in said) < 9000
