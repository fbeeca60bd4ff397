"""An epoch gives everybody the same keys and the coordinator none, or says whose message is false."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consortia_crypto.errors import SumError
from consortia_crypto.sum import epoch
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.epoch_messages import Confirmed, KeyDocument, Letter, roster_hash
from tests.support.sums import SESSION, Twist, agree, identity, roster

NAMES = roster(3)
A, B, C = NAMES
IDENTITIES = {name: identity(name).public for name in NAMES}


def fresh(name: str, session: str = SESSION) -> tuple[Epoch, KeyDocument]:
    return epoch.begin(session, NAMES, name, identity(name), os.urandom)


def changed(kind: type[Any], where: str, change: Callable[[Any], Any]) -> Twist:
    return lambda name, message: change(message) if name == where and isinstance(message, kind) else message


def with_recipient(kind: type[Any], where: str, recipient: str, change: Callable[[Any], Any]) -> Twist:
    """Letters to ``recipient`` come from ``where`` altered."""

    def twist(name: str, message: Any) -> Any:
        fits = name == where and isinstance(message, kind) and message.recipient == recipient
        return change(message) if fits else message

    return twist


def test_all_have_the_same_keys_and_each_pair_its_own() -> None:
    secrets = agree(NAMES).secrets
    assert len({one.group_key for one in secrets.values()}) == 1
    assert len({one.roster_hash for one in secrets.values()}) == 1
    for one in NAMES:
        for other in NAMES:
            if one != other:
                assert secrets[one].pair_keys[other] == secrets[other].pair_keys[one]
    assert len({key for one in secrets.values() for key in one.pair_keys.values()}) == 3
    assert agree(NAMES).secrets[A].group_key != secrets[A].group_key


def test_what_the_first_attaches_all_have() -> None:
    assert {one.attachment for one in agree(NAMES, b"a BFV secret").secrets.values()} == {b"a BFV secret"}
    with pytest.raises(SumError, match="not the one that brings an attachment"):
        epoch.begin(SESSION, NAMES, B, identity(B), os.urandom, b"mine")


def test_secrets_survive_storage_and_are_not_shown() -> None:
    secrets = agree(NAMES).secrets[A]
    assert EpochSecrets.from_bytes(secrets.to_bytes()) == secrets
    for hidden in (secrets.group_key, secrets.round_seed, *secrets.pair_keys.values()):
        assert repr(hidden) not in repr(secrets)


# The coordinator puts keys of its own in the place of somebody's.


def test_keys_that_are_signed_by_nobody_enrolled_are_refused() -> None:
    mine = fresh(B)[1]
    for forged in (
        replace(mine, signature=bytes(len(mine.signature))),
        replace(mine, ed25519=bytes(32)),
        replace(mine, x25519=bytes(32)),
        replace(mine, part=bytes(32)),
    ):
        with pytest.raises(
            SumError, match=f"keys that came for {B} are not signed by its enrolled identity"
        ) as caught:
            agree(NAMES, twist=changed(KeyDocument, f"{B}>{A}", lambda _, forged=forged: forged))
        assert caught.value.blame == f"the coordinator that carried it, or {B}"


@pytest.mark.parametrize("other", [fresh(C)[1], fresh(B, "job-2/spec")[1]], ids=["of another", "of another job"])
def test_keys_of_somebody_else_or_another_job_are_refused(other: KeyDocument) -> None:
    with pytest.raises(SumError, match=f"what came as the keys of {B} are keys of somebody else or of another job"):
        agree(NAMES, twist=changed(KeyDocument, f"{B}>{A}", lambda _: other))


def test_an_identity_that_is_not_enrolled_here_has_no_part() -> None:
    state, mine = fresh(A)
    documents = {A: mine, B: fresh(B)[1], C: fresh(C)[1]}
    with pytest.raises(SumError, match=f"{C} has no enrolled identity"):
        epoch.seed(state, documents, {A: IDENTITIES[A], B: IDENTITIES[B]})
    with pytest.raises(SumError, match=f"keys did not come from {C}"):
        epoch.seed(state, {A: mine, B: documents[B]}, IDENTITIES)
    with pytest.raises(SumError, match="outside the roster"):
        epoch.seed(state, documents | {"bank-99": documents[B]}, IDENTITIES)
    with pytest.raises(SumError, match="other keys came"):
        epoch.seed(state, documents | {A: fresh(A)[1]}, IDENTITIES)


def test_a_second_pair_of_keys_of_one_institution_is_refused() -> None:
    """B really signed both: A was shown one before it crashed, and is shown the other."""
    state, mine = fresh(A)
    documents = {A: mine, B: fresh(B)[1], C: fresh(C)[1]}
    state, letters = epoch.seed(state, documents, IDENTITIES)
    assert set(epoch.seed(state, documents, IDENTITIES)[1]) == set(letters) == {B, C}
    with pytest.raises(SumError, match="other keys came than were published or accepted before"):
        epoch.seed(state, documents | {B: fresh(B)[1]}, IDENTITIES)


def test_different_keys_of_one_institution_for_different_others_fit_nowhere() -> None:
    """B signed two pairs of keys, and A is shown another than C: their letters are bound to different rosters."""
    other = fresh(B)[1]
    with pytest.raises(SumError, match=r"a Letter message does not carry the signature of bank-0[12]"):
        agree(NAMES, twist=changed(KeyDocument, f"{B}>{A}", lambda _: other))


def test_one_key_for_two_institutions_is_refused() -> None:
    document = fresh(B)[1]

    def copied(mine: KeyDocument) -> KeyDocument:
        return replace(mine, ed25519=document.ed25519, signature=b"").signed(identity(C))

    def twist(name: str, message: Any) -> Any:
        if isinstance(message, KeyDocument):
            return document if name == B else copied(message) if name == C else message
        return message

    with pytest.raises(SumError, match="two institutions published one key"):
        agree(NAMES, twist=twist)


def test_keys_that_are_no_keys_are_refused() -> None:
    def broken(mine: KeyDocument) -> KeyDocument:
        return replace(mine, mlkem768=b"\xff" * 1184, x25519=bytes(32), signature=b"").signed(identity(B))

    with pytest.raises(SumError, match=f"nothing can be sealed to the keys of {B}"):
        agree(NAMES, twist=changed(KeyDocument, B, broken))


# It meddles with the letters.


def test_letters_that_were_altered_swapped_or_kept_are_refused() -> None:
    stored: list[Letter] = []

    def kept(_: str, message: Any) -> Any:
        stored.extend([message] if isinstance(message, Letter) else [])
        return message

    agree(NAMES, twist=kept)
    old = next(letter for letter in stored if (letter.sender, letter.recipient) == (B, A))
    wrong: list[Callable[[Letter], Letter]] = [
        lambda letter: old,  # of an earlier epoch
        lambda letter: replace(letter, sealed=letter.sealed[:-1] + bytes([letter.sealed[-1] ^ 1])),
        lambda letter: replace(letter, sender=C),
        lambda letter: replace(letter, recipient=C),
        lambda letter: replace(letter, signature=b""),
    ]
    for change in wrong:
        with pytest.raises(SumError) as caught:
            agree(NAMES, twist=with_recipient(Letter, B, A, change))
        assert B in caught.value.blame


def test_a_letter_for_another_does_not_open_even_if_its_sender_signs_it_again() -> None:
    """B, which colludes, takes its letter to C for one to A."""
    states, documents, letters = _seeded()
    known = roster_hash(NAMES, documents)
    for_c = replace(letters[B][C], recipient=A, signature=b"")
    letters[B][A] = _signed_again(states[B], for_c, known)
    with pytest.raises(SumError, match=f"the letter of {B} does not open"):
        epoch.join(states[A], {B: letters[B][A], C: letters[C][A]})


def test_a_letter_that_did_not_come_is_named() -> None:
    states, _, letters = _seeded()
    with pytest.raises(SumError, match=f"a letter did not come from {C}"):
        epoch.join(states[A], {B: letters[B][A]})


def test_another_part_of_the_group_key_than_committed_to_is_refused() -> None:
    """B sends A another part than C, so that they would pad with different keys."""
    states, documents, letters = _seeded()
    lying, _ = epoch.seed(replace(states[B], part=bytes(32)), documents, IDENTITIES)
    letters[B] = epoch.seed(lying, documents, IDENTITIES)[1]
    with pytest.raises(SumError, match=f"{B} sent another part of the group key"):
        epoch.join(states[A], {B: letters[B][A], C: letters[C][A]})


def test_an_attachment_of_another_than_the_first_is_refused() -> None:
    states, documents, letters = _seeded()
    letters[B] = epoch.seed(replace(states[B], attachment=b"mine"), documents, IDENTITIES)[1]
    with pytest.raises(SumError, match=f"{B} sent an attachment"):
        epoch.join(states[A], {B: letters[B][A], C: letters[C][A]})


# It meddles with the confirmations.


def test_a_confirmation_can_t_be_sent_back_to_its_author() -> None:
    kept: dict[str, Confirmed] = {}

    def reflected(name: str, message: Any) -> Any:
        if isinstance(message, Confirmed):
            kept.setdefault("first", message)
            return replace(kept["first"], sender=name)
        return message

    with pytest.raises(SumError, match=f"{B} has other keys than this institution"):
        agree(NAMES, twist=reflected)


@pytest.mark.parametrize("field", ["value", "epoch", "signature"])
def test_a_false_confirmation_names_its_sender(field: str) -> None:
    with pytest.raises(SumError, match=B):
        agree(NAMES, twist=changed(Confirmed, B, lambda said: replace(said, **{field: bytes(32)})))


def test_each_call_follows_the_one_before() -> None:
    state, document = fresh(A)
    with pytest.raises(SumError, match="'join' does not follow KEY"):
        epoch.join(state, {})
    with pytest.raises(SumError, match="'confirm' does not follow KEY"):
        epoch.confirm(state, {})
    states, documents, letters = _seeded()
    joined, said = epoch.join(states[A], {B: letters[B][A], C: letters[C][A]})
    assert epoch.join(joined, {}) == (joined, said)
    assert (joined.letter_seeds, joined.part, joined.pair_parts) == (b"", b"", {})
    with pytest.raises(SumError, match="'seed' does not follow JOINED"):
        epoch.seed(joined, documents, IDENTITIES)
    with pytest.raises(SumError, match="a confirmation did not come from"):
        epoch.confirm(joined, {A: said})
    assert document.institution == A


def _seeded() -> tuple[dict[str, Epoch], dict[str, KeyDocument], dict[str, dict[str, Letter]]]:
    begun = {name: fresh(name) for name in NAMES}
    documents = {name: document for name, (_, document) in begun.items()}
    seeded = {name: epoch.seed(state, documents, IDENTITIES) for name, (state, _) in begun.items()}
    return {name: one[0] for name, one in seeded.items()}, documents, {name: one[1] for name, one in seeded.items()}


def _signed_again(state: Epoch, letter: Letter, known: bytes) -> Letter:
    key = Ed25519PrivateKey.from_private_bytes(state.round_seed)
    return replace(letter, signature=key.sign(letter.signed_bytes(known)))
