"""The tree over consents: any one opens, nothing else does, and hostile bytes raise only our errors."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_common import consent_tree
from consortia_common.consent_proof import ConsentProof
from consortia_common.consent_tree import BLOCK_PAIRS, ConsentOpening
from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from consortia_crypto.audit import tree

COUNTS = st.integers(1, 3 * BLOCK_PAIRS + 1)


def customer(number: int) -> tuple[str, bytes, bytes]:
    """Pseudonym, salt and record of a made-up customer."""
    name = hashlib.sha256(b"name%d" % number).hexdigest()
    return name, hashlib.sha256(b"salt%d" % number).digest(), canonical.encode({"subject": name, "state": "given"})


def pair_of(number: int) -> bytes:
    name, salt, record = customer(number)
    return consent_tree.pair(name, hmac.digest(salt, record, "sha256"))


def pairs_of(count: int) -> bytes:
    return consent_tree.ordered([pair_of(number) for number in range(count)])


def opening(count: int, number: int) -> ConsentOpening:
    found = consent_tree.prove(pairs_of(count), *customer(number))
    assert found is not None
    return found


@given(COUNTS, st.data())
@settings(max_examples=50)
def test_every_one_opens_and_survives_the_wire(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, count - 1))
    found = opening(count, number)
    root = consent_tree.root(pairs_of(count))
    assert found.opens(root)
    assert ConsentOpening.from_document(found.document()) == found
    assert not found.opens(consent_tree.root(pairs_of(count + 1)))


@given(COUNTS)
@settings(max_examples=30)
def test_who_is_not_in_it_does_not_open(count: int) -> None:
    assert consent_tree.prove(pairs_of(count), *customer(count)) is None
    name, salt, _ = customer(0)
    assert consent_tree.prove(pairs_of(count), name, salt, canonical.encode({"subject": name})) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"pseudonym": "00" * 32},
        {"salt": b"\0" * 32},
        {"record": b"{}"},
        {"index": 1},
        {"size": 9},
        {"path": ()},
        {"block": b""},
        {"block": b"\0" * 31},
    ],
)
def test_anything_altered_does_not_open(changes: dict[str, object]) -> None:
    count = 3 * BLOCK_PAIRS
    found = opening(count, 7)
    other = replace(found, index=(found.index + 1) % 3) if changes == {"index": 1} else replace(found, **changes)
    assert not other.opens(consent_tree.root(pairs_of(count)))


def test_a_node_of_the_tree_does_not_pass_for_a_block() -> None:
    """Two hashes side by side look like a block of two pairs, but a leaf and a node are hashed differently."""
    count = 2 * BLOCK_PAIRS
    blocks = [pairs_of(count)[:2048], pairs_of(count)[2048:]]
    left, right = (tree.leaf_hash(block) for block in blocks)
    forged = ConsentOpening("00" * 32, b"", b"{}", left + right, 0, 1, ())
    assert not forged.opens(consent_tree.root(pairs_of(count)))


def test_a_proof_shows_no_other_pseudonym_or_record() -> None:
    shown = canonical.encode(opening(100, 7).document())
    for number in range(100):
        name, salt, _ = customer(number)
        assert (name.encode() in shown) == (salt.hex().encode() in shown) == (number == 7)


@given(st.binary(max_size=300))
def test_garbage_raises_only_ours(data: bytes) -> None:
    with pytest.raises(DocumentError):
        ConsentProof.parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=70) | st.just("ab" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries(dict.fromkeys(opening(3, 1).document(), JSON)))
def test_a_document_of_any_values_is_an_opening_or_refused(value: dict[str, object]) -> None:
    try:
        found = ConsentOpening.from_document({**value, "v": 1})
    except DocumentError:
        return
    assert not found.opens("00" * 32)


@given(
    st.fixed_dictionaries({"entry": JSON, "log_proof": JSON, "opening": st.just(opening(3, 1).document()) | JSON})
)
def test_a_proof_of_any_values_is_one_or_refused(value: dict[str, object]) -> None:
    data = canonical.encode({**value, "v": 1, "type": "consortia.consent-proof"}) if _encodes(value) else b""
    with pytest.raises(DocumentError):
        ConsentProof.parse(data[:-1])
    try:
        ConsentProof.parse(data)
    except DocumentError:
        return


def _encodes(value: object) -> bool:
    try:
        canonical.encode(value)
    except Exception:
        return False
    return True
