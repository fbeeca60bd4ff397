"""The key schedule and one whole round, against vectors made without Consortia (tests/tools/vectors.py)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from consortia_crypto.sum import opening, schedule, tag
from consortia_crypto.sum.epoch import EpochSecrets
from consortia_crypto.sum.evidence import padders
from consortia_crypto.sum.member_masks import mask_plan
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import MemoryVector
from consortia_crypto.sum.words import Words

V: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "sealed_sum.json").read_text("utf-8"))
A, B, C = V["roster"]
ROSTER_HASH, RID, CTX = (bytes.fromhex(V[name]) for name in ("roster_hash", "rid", "ctx"))
POLICY = SumPolicy("s", (A, B, C), 0, 32, 5000)
PAIR, GROUP = bytes.fromhex(V["pair_keys"][f"{A} {B}"]), bytes.fromhex(V["group_key"])
SELF = bytes.fromhex(V["self_secrets"][A])


def test_the_keys_of_an_epoch() -> None:
    low, high = bytes.fromhex(V["from_low"]), bytes.fromhex(V["from_high"])
    for pair, key in V["pair_keys"].items():
        assert schedule.pair_key(ROSTER_HASH, *pair.split(), low, high).hex() == key
    assert (
        schedule.group_key(ROSTER_HASH, [bytes.fromhex(part) for part in V["parts"]], b"").hex() == V["group_key"]
    )
    assert (
        schedule.group_key(ROSTER_HASH, [bytes.fromhex(part) for part in V["parts"]], b"x").hex() != V["group_key"]
    )
    assert schedule.confirmation(GROUP, ROSTER_HASH, A).hex() == V["confirmation"]


def test_the_keys_of_a_round() -> None:
    shared = {name: bytes.fromhex(digest) for name, digest in V["shared"].items()}
    policy, previous = bytes.fromhex(V["policy"]), bytes.fromhex(V["previous"])
    assert schedule.context(RID, policy, ROSTER_HASH, previous, shared) == CTX
    assert schedule.round_key(PAIR, RID).hex() == V["round_key"]
    assert schedule.tag_key(GROUP, CTX).hex() == V["tag_key"]
    assert schedule.commitment("self", RID, A, SELF).hex() == V["self_commitment"]
    assert schedule.share_commitment("pair", RID, A, B, ROSTER_HASH).hex() == V["share_commitment"]
    assert schedule.bundle_key(SELF, RID).hex() == V["bundle_key"]
    assert schedule.share_key(PAIR, RID, A, B, ROSTER_HASH).hex() == V["share_key"]


def test_the_uploads_of_a_round() -> None:
    """Which masks with which signs, their keystreams, the words on the wire, and the tags."""
    assert padders(POLICY, POLICY.roster) == (A, B)
    for number, name in enumerate(POLICY.roster, 1):
        values = (7919 * np.arange(5000) * number) % 2001 - 1000
        plan = mask_plan(POLICY, secrets_of(name), RID, CTX, POLICY.roster, bytes.fromhex(V["self_secrets"][name]))
        sink = MemoryVector.zeros(20_000)
        group = Words(POLICY)
        digest, masked = opening.seal(POLICY, group, MemoryVector(group.values.octets(values)), sink, plan)
        assert {"sha256": digest, "tag": masked} == V["uploads"][name]


def test_the_tag_of_the_sum() -> None:
    values = [(7919 * np.arange(5000) * number) % 2001 - 1000 for number in (1, 2, 3)]
    key = tag.TagKey.derive(bytes.fromhex(V["tag_key"]), POLICY.limit)
    assert tag.tag(key, [np.sum(values, axis=0)]) == V["sum_tag"]
    assert sum(tag.tag(key, [one]) for one in values) % tag.P == V["sum_tag"]


def test_nothing_else_opens_what_a_key_seals() -> None:
    sealed = schedule.seal(PAIR, b"shares")
    assert schedule.unseal(PAIR, sealed) == b"shares"
    for key, data in ((GROUP, sealed), (PAIR, sealed[:-1]), (PAIR, b""), (PAIR, bytes(len(sealed)))):
        assert schedule.unseal(key, data) is None


def test_no_two_keys_of_one_secret_are_the_same() -> None:
    """Whatever a secret were used for by mistake, each purpose has a key of its own."""
    pads = [schedule.pad_seeds(PAIR, CTX, name) for name in POLICY.roster]
    seeds = [schedule.pair_seeds(PAIR, CTX), schedule.self_seeds(PAIR, CTX), *pads]
    keys = [key for one in seeds for key in (one.vector, one.tag)]
    keys += [schedule.round_key(PAIR, RID), schedule.tag_key(PAIR, CTX), schedule.bundle_key(PAIR, RID)]
    keys += [schedule.share_key(PAIR, RID, *ends, CTX) for ends in ((A, B), (B, A), (A, C))]
    keys += [schedule.confirmation(PAIR, ROSTER_HASH, name) for name in POLICY.roster]
    assert len(set(keys)) == len(keys)


def secrets_of(name: str) -> EpochSecrets:
    pairs = {pair: bytes.fromhex(key) for pair, key in V["pair_keys"].items()}
    keys = {pair.replace(name, "").strip(): key for pair, key in pairs.items() if name in pair.split()}
    return EpochSecrets("s", POLICY.roster, name, ROSTER_HASH, bytes(32), {}, keys, GROUP, b"")
