"""Sealed envelopes: what one institution says to another through a coordinator that can't read it.

HPKE single-shot (RFC 9180) with X-Wing, HKDF-SHA256 and AES-256-GCM, the whole place of the message bound in as
``info``; base mode authenticates nobody, so the sender signs place and ciphertext with both signing keys.

    envelope = "CE1" ‖ len16(place) ‖ place ‖ len32(ciphertext) ‖ ciphertext ‖ signature

``place`` is canonical JSON of the Place below. The opener states the place it expects and gets the plaintext or
an EnvelopeError: an envelope replayed, reordered, redirected, re-signed, cut or altered is never opened.
"""

import struct
from dataclasses import asdict, dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from consortia_crypto import canonical
from consortia_crypto.errors import CryptoError, EnvelopeError
from consortia_crypto.keys import SIGNATURE_LENGTH, PrivateIdentity, PublicIdentity, Signer

_MAGIC = b"CE1"
_SUITE_NAME = "xwing-hkdf_sha256-aes256gcm"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_DOMAIN = "envelope"


@dataclass(frozen=True)
class Place:
    """Where an envelope belongs; ``sender`` and ``recipient`` are identity fingerprints."""

    sender: str
    recipient: str
    purpose: str
    job: str
    step: str
    sequence: int

    def encoded(self) -> bytes:
        """Canonical bytes, suite included."""
        return canonical.encode(asdict(self) | {"suite": _SUITE_NAME})


def seal(
    plaintext: bytes,
    *,
    sender: Signer,
    recipient: PublicIdentity,
    purpose: str,
    job: str,
    step: str,
    sequence: int,
) -> bytes:
    """Seal ``plaintext`` so that only ``recipient`` opens it, and only at this place.

    Raises EncodingError or EnvelopeError for a recipient whose key nothing can be sealed to.
    """
    place = Place(sender.public.fingerprint, recipient.fingerprint, purpose, job, step, sequence).encoded()
    try:
        ciphertext = _SUITE.encrypt(plaintext, recipient.envelope_key(), info=_info(place))
    except ValueError as error:
        raise EnvelopeError(
            f"nothing can be sealed to the key of {recipient.institution}/{recipient.name}",
            blame=recipient.institution,
            remedy=f"let {recipient.institution} make new keys and enrol again",
        ) from error
    return b"".join(
        [
            _MAGIC,
            struct.pack("<H", len(place)),
            place,
            struct.pack("<I", len(ciphertext)),
            ciphertext,
            sender.sign(_DOMAIN, place + ciphertext),
        ]
    )


def unseal(
    envelope: bytes,
    *,
    sender: PublicIdentity,
    recipient: PrivateIdentity,
    purpose: str,
    job: str,
    step: str,
    sequence: int,
) -> bytes:
    """The plaintext of an envelope that ``sender`` sealed for exactly this place. Raises EnvelopeError."""
    expected = Place(sender.fingerprint, recipient.public.fingerprint, purpose, job, step, sequence).encoded()
    place, ciphertext, signature = _split(envelope)
    if place != expected:
        raise _refuse("it belongs to another sender, recipient, job, step or turn", sender)
    try:
        sender.verify(_DOMAIN, place + ciphertext, signature)
        return _SUITE.decrypt(ciphertext, recipient.envelope_private_key(), info=_info(place))
    except (InvalidTag, ValueError, CryptoError) as error:
        raise _refuse("its signature or its seal is broken", sender) from error


def _info(place: bytes) -> bytes:
    return b"consortia/v1/envelope" + place


def _split(envelope: bytes) -> tuple[bytes, bytes, bytes]:
    try:
        place_end = 5 + struct.unpack_from("<H", envelope, 3)[0]
        start = place_end + 4
        end = start + struct.unpack_from("<I", envelope, place_end)[0]
    except struct.error as error:
        raise _refuse("it is cut short") from error
    if envelope[:3] != _MAGIC or len(envelope) != end + SIGNATURE_LENGTH:
        raise _refuse("its framing is wrong")
    return envelope[5:place_end], envelope[start:end], envelope[end:]


def _refuse(why: str, sender: PublicIdentity | None = None) -> EnvelopeError:
    return EnvelopeError(
        f"an envelope was not opened: {why}",
        blame="the coordinator that carried it, or " + (sender.institution if sender else "its sender"),
        remedy="stop the job and compare both institutions' logs for this step",
    )
