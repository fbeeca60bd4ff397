"""How the institutions of a job come to share keys that the coordinator, which carries every message, has not.

    KEY ──seed──▶ SEEDED ──join──▶ JOINED ──confirm──▶ EpochSecrets

Each publishes fresh keys signed by its enrolled identity. Each i seals to each j, bound to the hash of all
published keys, 32 random bytes c_ij and its part g_i of the group key, to which its key document commits. From
these come K_ij, which i and j alone have, and K_G, which all have. A party that was shown other keys than the rest
has another roster hash, and then nothing fits: no letter opens, no confirmation agrees.

A malicious institution can at most stop the epoch. The keys for opening letters are forgotten once they are open;
the rest goes when the node erases EpochSecrets, and with it everything that the epoch's rounds hid.

``seed`` and ``join`` may be called again, after a crash, with what they were called with before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from consortia_crypto.errors import SumError
from consortia_crypto.keys import PublicIdentity, Signer
from consortia_crypto.sum import schedule
from consortia_crypto.sum.epoch_messages import (
    MAX_ATTACHMENT,
    Confirmed,
    KeyDocument,
    Letter,
    check_confirmed,
    refused,
    roster_hash,
)
from consortia_crypto.sum.layout import Blob, Names, Octets, Table, Text
from consortia_crypto.sum.messages import Message, verify

Random = Callable[[int], bytes]
"""A cryptographic source: so many random bytes."""

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_STEPS = {"seed": ("KEY", "SEEDED"), "join": ("SEEDED", "JOINED"), "confirm": ("JOINED",)}
"""In which states each call is allowed: the one it leads from and, to repeat it, the one it leads to."""


@dataclass(frozen=True)
class Epoch(Message):
    """An institution on its way through an epoch. Secret: its bytes are for the node's own storage."""

    MAGIC = b"SEM1"

    step: str
    session: str
    roster: tuple[str, ...]
    me: str
    round_seed: bytes = field(repr=False)
    letter_seeds: bytes = field(repr=False)
    """Of ML-KEM (64 bytes) and X25519 (32); empty once the letters are open."""
    part: bytes = field(repr=False)
    attachment: bytes = field(repr=False)
    pair_parts: Mapping[str, bytes] = field(repr=False)
    documents: Mapping[str, bytes]
    pair_keys: Mapping[str, bytes] = field(repr=False)
    group_key: bytes = field(repr=False)

    PARTS = (
        *(Text(), Text(), Names(), Text(), Octets(32), Blob(96), Blob(32), Blob(MAX_ATTACHMENT)),
        *(Table(Octets(32)), Table(Blob(1 << 14)), Table(Octets(32)), Blob(32)),
    )

    def published(self) -> dict[str, KeyDocument]:
        """The key documents of the roster: this institution's own, and all once it is SEEDED."""
        return {name: KeyDocument.from_bytes(data) for name, data in self.documents.items()}


@dataclass(frozen=True)
class EpochSecrets(Message):
    """What an institution has when the epoch is confirmed; the node keeps it for the job and erases it with it."""

    MAGIC = b"SES1"

    session: str
    roster: tuple[str, ...]
    me: str
    roster_hash: bytes
    round_seed: bytes = field(repr=False)
    round_keys: Mapping[str, bytes]
    pair_keys: Mapping[str, bytes] = field(repr=False)
    group_key: bytes = field(repr=False)
    attachment: bytes = field(repr=False)

    PARTS = (
        *(Text(), Names(), Text(), Octets(32), Octets(32)),
        *(Table(Octets(32)), Table(Octets(32)), Octets(32), Blob(MAX_ATTACHMENT)),
    )


@dataclass(frozen=True)
class _Content(Message):
    """What a letter says."""

    MAGIC = b"SET1"

    pair_part: bytes = field(repr=False)
    part: bytes = field(repr=False)
    attachment: bytes = field(repr=False)

    PARTS = (Octets(32), Octets(32), Blob(MAX_ATTACHMENT))


def begin(
    session: str,
    roster: tuple[str, ...],
    me: str,
    signer: Signer,
    random: Random,
    attachment: bytes = b"",
) -> tuple[Epoch, KeyDocument]:
    """Fresh keys for an epoch of ``roster``, and what to publish of them. Raises SumError.

    Only the first of the roster has an ``attachment``: bytes that all are to have (engine lattice: its secret).
    """
    if me not in roster or len(set(roster)) != len(roster) or (attachment and roster[0] != me):
        raise refused("this institution is not in its roster, or is not the one that brings an attachment", me)
    round_seed, letter_seeds, part = random(32), random(96), random(32)
    opener = _letter_key(letter_seeds)
    document = KeyDocument(
        session,
        me,
        opener[0].public_key().public_bytes_raw(),
        opener[1].public_key().public_bytes_raw(),
        Ed25519PrivateKey.from_private_bytes(round_seed).public_key().public_bytes_raw(),
        _part_commitment(session, me, part, attachment),
    ).signed(signer)
    pair_parts = {name: random(32) for name in roster if name != me}
    documents = {me: document.to_bytes()}
    state = Epoch(
        "KEY", session, roster, me, round_seed, letter_seeds, part, attachment, pair_parts, documents, {}, b""
    )
    return state, document


def seed(
    state: Epoch, documents: Mapping[str, KeyDocument], identities: Mapping[str, PublicIdentity]
) -> tuple[Epoch, dict[str, Letter]]:
    """Check everybody's keys against the enrolled ``identities``, and seal a letter to each. Raises SumError."""
    _require(state, "seed")
    _check_names(documents, state.roster, "keys")
    for name in state.roster:
        if name not in identities:
            raise refused(f"{name} has no enrolled identity here", name)
        documents[name].check(name, state.session, identities[name])
    encoded = {name: documents[name].to_bytes() for name in state.roster}
    if any(encoded[name] != data for name, data in state.documents.items()):
        raise refused("other keys came than were published or accepted before", "whoever's keys they are")
    if len({documents[name].ed25519 for name in state.roster}) != len(state.roster):
        raise refused("two institutions published one key", "one of them")
    known = roster_hash(state.roster, documents)
    letters = {name: _sealed(state, documents[name], known) for name in state.roster if name != state.me}
    return replace(state, step="SEEDED", documents=encoded), letters


def join(state: Epoch, letters: Mapping[str, Letter]) -> tuple[Epoch, Confirmed]:
    """Open the letters of all others, by sender, and say that it has the keys. Raises SumError."""
    _require(state, "join")
    if state.step == "SEEDED":
        state = _joined(state, letters)
    known = roster_hash(state.roster, state.published())
    message = Confirmed(state.me, known, schedule.confirmation(state.group_key, known, state.me))
    key = Ed25519PrivateKey.from_private_bytes(state.round_seed)
    return state, replace(message, signature=key.sign(message.signed_bytes()))


def confirm(state: Epoch, confirms: Mapping[str, Confirmed]) -> EpochSecrets:
    """The epoch's secrets, if everybody has shown to have the same. Raises SumError, naming who has not."""
    _require(state, "confirm")
    _check_names(confirms, state.roster, "a confirmation")
    published = state.published()
    known = roster_hash(state.roster, published)
    for name in state.roster:
        found = confirms[name]
        right = (name, known, schedule.confirmation(state.group_key, known, name))
        if (found.sender, found.epoch, found.value) != right:
            raise refused(f"{name} has other keys than this institution", name)
        check_confirmed(found, published[name].ed25519)
    return EpochSecrets(
        state.session,
        state.roster,
        state.me,
        known,
        state.round_seed,
        {name: published[name].ed25519 for name in state.roster},
        state.pair_keys,
        state.group_key,
        state.attachment,
    )


def _joined(state: Epoch, letters: Mapping[str, Letter]) -> Epoch:
    others = tuple(name for name in state.roster if name != state.me)
    _check_names(letters, others, "a letter")
    published = state.published()
    known = roster_hash(state.roster, published)
    contents = {name: _opened(state, letters[name], published[name], known) for name in others}
    contents[state.me] = _Content(bytes(32), state.part, state.attachment)
    attachment = contents[state.roster[0]].attachment
    return replace(
        state,
        step="JOINED",
        letter_seeds=b"",
        part=b"",
        pair_parts={},
        attachment=attachment,
        pair_keys={name: _pair_key(state, known, name, contents[name].pair_part) for name in others},
        group_key=schedule.group_key(known, [contents[name].part for name in state.roster], attachment),
    )


def _sealed(state: Epoch, recipient: KeyDocument, known: bytes) -> Letter:
    name = recipient.institution
    content = _Content(state.pair_parts[name], state.part, state.attachment)
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient.mlkem768),
            X25519PublicKey.from_public_bytes(recipient.x25519),
        )
        sealed = _SUITE.encrypt(content.to_bytes(), key, info=_info(known, state.me, name))
    except ValueError as error:
        raise refused(f"nothing can be sealed to the keys of {name}", name) from error
    letter = Letter(state.me, name, sealed)
    key_of_round = Ed25519PrivateKey.from_private_bytes(state.round_seed)
    return replace(letter, signature=key_of_round.sign(letter.signed_bytes(known)))


def _opened(state: Epoch, letter: Letter, sender: KeyDocument, known: bytes) -> _Content:
    name = sender.institution
    if (letter.sender, letter.recipient) != (name, state.me):
        raise refused(f"what came as a letter of {name} is not from it to this institution", name)
    verify(sender.ed25519, letter.signed_bytes(known), letter.signature, name, "Letter")
    try:
        opener = MLKEM768X25519PrivateKey(*_letter_key(state.letter_seeds))
        content = _Content.from_bytes(_SUITE.decrypt(letter.sealed, opener, info=_info(known, name, state.me)))
    except (InvalidTag, ValueError, SumError) as error:
        raise refused(f"the letter of {name} does not open", name) from error
    if content.attachment and name != state.roster[0]:
        raise refused(f"{name} sent an attachment, which the first of the roster alone may", name)
    if _part_commitment(state.session, name, content.part, content.attachment) != sender.part:
        raise refused(f"{name} sent another part of the group key than it committed to", name)
    return content


def _pair_key(state: Epoch, known: bytes, other: str, received: bytes) -> bytes:
    sent = state.pair_parts[other]
    if state.roster.index(state.me) < state.roster.index(other):
        return schedule.pair_key(known, state.me, other, sent, received)
    return schedule.pair_key(known, other, state.me, received, sent)


def _part_commitment(session: str, owner: str, part: bytes, attachment: bytes) -> bytes:
    return schedule.digest("epoch-part", session.encode(), owner.encode(), part, attachment)


def _letter_key(seeds: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    return MLKEM768PrivateKey.from_seed_bytes(seeds[:64]), X25519PrivateKey.from_private_bytes(seeds[64:])


def _info(known: bytes, sender: str, recipient: str) -> bytes:
    return schedule.digest("epoch-letter", known, sender.encode(), recipient.encode())


def _require(state: Epoch, call: str) -> None:
    if state.step not in _STEPS[call]:
        raise refused(f"{call!r} does not follow {state.step}", "this institution's node")


def _check_names(found: Mapping[str, object], expected: tuple[str, ...], what: str) -> None:
    if lacking := [name for name in expected if name not in found]:
        raise refused(f"{what} did not come from {', '.join(lacking)}", ", ".join(lacking))
    if len(found) != len(expected):
        raise refused(f"{what} came from somebody outside the roster", "whoever sent it")
