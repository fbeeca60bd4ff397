"""What an institution deals at the start of a round: two secrets of its own, shared out to all others.

b_i masks its upload and is opened if the upload is summed; ρ_i opens the bundle of its round keys and is opened if
it drops out. Of each, any t shares give the secret and fewer say nothing. Whoever has both has the update.
"""

from collections.abc import Callable

from consortia_crypto.errors import SumError
from consortia_crypto.sum import schedule, shamir
from consortia_crypto.sum.epoch import EpochSecrets, Random
from consortia_crypto.sum.messages import SECRET, Dealt, Listed, Shared, signed
from consortia_crypto.sum.terms import SumPolicy


def deal(policy: SumPolicy, rid: bytes, epoch: EpochSecrets, random: Random) -> tuple[Shared, bytes, bytes]:
    """A fresh R1, and what its sender keeps: b_i, and its own shares of b_i and ρ_i."""
    me, nonce = epoch.me, random(32)
    secrets = {kind: _below(random)(shamir.P) for kind in ("self", "pair")}
    own = {kind: shamir.to_bytes(secret) for kind, secret in secrets.items()}
    split = {
        kind: [
            shamir.to_bytes(part)
            for part in shamir.split(secret, len(policy.roster), policy.threshold, _below(random))
        ]
        for kind, secret in secrets.items()
    }
    shares = {name: (split["self"][x], split["pair"][x]) for x, name in enumerate(policy.roster)}
    message = Shared(
        me,
        rid,
        bytes.fromhex(policy.digest()),
        epoch.roster_hash,
        nonce,
        schedule.commitment("self", rid, me, own["self"]),
        schedule.commitment("pair", rid, me, own["pair"]),
        _bundle(policy, epoch, rid, own["pair"]),
        {name: _sealed(epoch, rid, nonce, name, *shares[name]) for name in policy.roster if name != me},
    )
    message = signed(message, epoch.round_seed)
    return message, own["self"], b"".join(shares[me])


def _bundle(policy: SumPolicy, epoch: EpochSecrets, rid: bytes, secret: bytes) -> bytes:
    """E_i: the round keys with each other one, in the order of the roster."""
    keys = [schedule.round_key(epoch.pair_keys[name], rid) for name in policy.roster if name != epoch.me]
    return schedule.seal(schedule.bundle_key(secret, rid), b"".join(keys))


def _sealed(epoch: EpochSecrets, rid: bytes, nonce: bytes, holder: str, own: bytes, pair: bytes) -> Dealt:
    key = schedule.share_key(epoch.pair_keys[holder], rid, epoch.me, holder, nonce)
    return Dealt(
        schedule.seal(key, own + pair),
        schedule.share_commitment("self", rid, epoch.me, holder, own),
        schedule.share_commitment("pair", rid, epoch.me, holder, pair),
    )


def dealt_to_me(epoch: EpochSecrets, rid: bytes, owner: str, listed: Listed) -> tuple[bytes, bytes]:
    """The shares of ``owner``'s b and ρ that it sealed for this institution. Raises SumError."""
    key = schedule.share_key(epoch.pair_keys[owner], rid, owner, epoch.me, listed.nonce)
    shares = schedule.unseal(key, listed.sealed) if listed.sealed else None
    if shares is None:
        raise SumError(
            f"a sealed sum was refused: the shares that {owner} dealt to this institution do not open",
            blame=f"the coordinator that carried them, or {owner}",
            remedy="take another attempt; if it persists, compare the logs of both",
        )
    own, pair = shares[:SECRET], shares[SECRET:]
    for share in (own, pair):
        shamir.from_bytes(share)
    return own, pair


def _below(random: Random) -> Callable[[int], int]:
    """Uniform below a number just under 2^256, by rejection."""

    def draw(bound: int) -> int:
        while (drawn := int.from_bytes(random(SECRET), "little")) >= bound:
            pass
        return drawn

    return draw
