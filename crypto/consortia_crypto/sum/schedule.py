"""The key schedule of the sealed sum: every key, seed and commitment, each under a label of its own. Pure.

    KDF(k, label, ctx…) = HKDF-Expand-SHA256(k, "consortia/v1/" ‖ label ‖ Σ(len16 ‖ ctx), 32)

No two purposes share a label, and no two rounds a context: a mask's seed is used for one vector of one round. All
integers are little-endian. Checked against tests/vectors/sealed_sum.json, which is made without this module.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

KEY = 32
SEAL_OVERHEAD = 16
_PREFIX = b"consortia/v1/"
_NONCE = bytes(12)


@dataclass(frozen=True)
class Seeds:
    """What expands into one mask of a vector, and into the mask of its tag."""

    vector: bytes = field(repr=False)
    tag: bytes = field(repr=False)


def kdf(key: bytes, label: str, *context: bytes) -> bytes:
    """32 bytes that ``key`` gives for this purpose and context."""
    return HKDFExpand(SHA256(), KEY, _info(label, context)).derive(key)


def extract(salt: bytes, material: bytes, label: str, *context: bytes) -> bytes:
    """32 bytes from ``material`` that is secret but not uniform or not one party's alone: HKDF with ``salt``."""
    return HKDF(SHA256(), KEY, salt, _info(label, context)).derive(material)


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 over the label and each part behind its length (four bytes)."""
    hasher = hashlib.sha256(_PREFIX + label.encode() + b"\0")
    for part in parts:
        hasher.update(len(part).to_bytes(4, "little") + part)
    return hasher.digest()


def pair_key(roster_hash: bytes, low: str, high: str, from_low: bytes, from_high: bytes) -> bytes:
    """K_ij, of the two whose names are given in the order of the roster."""
    return extract(roster_hash, from_low + from_high, "pair", low.encode(), high.encode())


def group_key(roster_hash: bytes, parts: list[bytes], attachment: bytes) -> bytes:
    """K_G, from all parts in the order of the roster; ``attachment`` is what else must be the same for all."""
    return extract(roster_hash, b"".join(parts), "group", digest("attachment", attachment))


def confirmation(group: bytes, roster_hash: bytes, institution: str) -> bytes:
    """What ``institution`` shows to prove that it has K_G; another for each, so that none can be sent back."""
    return kdf(group, "confirm", roster_hash, institution.encode())


def round_key(pair: bytes, rid: bytes) -> bytes:
    """k_ij of one round: what is given away when one of the two drops out."""
    return kdf(pair, "pair-round", rid)


def context(rid: bytes, policy: bytes, roster_hash: bytes, previous: bytes, shared: Mapping[str, bytes]) -> bytes:
    """ctx: the round, its terms, the epoch, the totals before it, and the first message of each of U1."""
    heads = [part for name in sorted(shared) for part in (name.encode(), shared[name])]
    return digest("context", rid, policy, roster_hash, previous, *heads)


def pair_seeds(key: bytes, ctx: bytes) -> Seeds:
    """What masks an institution's summand towards another's: s_ij and its twin for the tag, from k_ij."""
    return Seeds(kdf(key, "mask", ctx), kdf(key, "mask-tag", ctx))


def self_seeds(secret: bytes, ctx: bytes) -> Seeds:
    """An institution's self mask, from b_i."""
    return Seeds(kdf(secret, "self", ctx), kdf(secret, "self-tag", ctx))


def pad_seeds(group: bytes, ctx: bytes, institution: str) -> Seeds:
    """An institution's pad, from K_G."""
    return Seeds(kdf(group, "pad", ctx, institution.encode()), kdf(group, "pad-tag", ctx, institution.encode()))


def tag_key(group: bytes, ctx: bytes) -> bytes:
    """What the key of the round's tag is drawn from."""
    return kdf(group, "mac", ctx)


def commitment(kind: str, rid: bytes, owner: str, secret: bytes) -> bytes:
    """H(b_i) or H(ρ_i) (``kind`` says which): hides 256 random bits, and binds to them."""
    return digest("commit-" + kind, rid, owner.encode(), secret)


def share_commitment(kind: str, rid: bytes, owner: str, holder: str, share: bytes) -> bytes:
    """Which share of a secret its owner gave to ``holder``; tells who lied when a secret can't be rebuilt."""
    return digest("share-" + kind, rid, owner.encode(), holder.encode(), share)[:16]


def bundle_key(secret: bytes, rid: bytes) -> bytes:
    """The key of E_i, from ρ_i."""
    return kdf(secret, "bundle", rid)


def share_key(pair: bytes, rid: bytes, owner: str, holder: str, nonce: bytes) -> bytes:
    """The key under which ``owner`` seals its shares for ``holder``."""
    return kdf(pair, "share", rid, owner.encode(), holder.encode(), nonce)


def seal(key: bytes, plaintext: bytes) -> bytes:
    """AES-256-GCM under a key that seals this one plaintext, hence with a fixed nonce."""
    return AESGCM(key).encrypt(_NONCE, plaintext, None)


def unseal(key: bytes, sealed: bytes) -> bytes | None:
    """The plaintext, or None if ``sealed`` was not made under ``key``."""
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        return None


def _info(label: str, context: tuple[bytes, ...]) -> bytes:
    return _PREFIX + label.encode() + b"".join(len(part).to_bytes(2, "little") + part for part in context)
