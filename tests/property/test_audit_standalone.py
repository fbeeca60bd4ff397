"""The standalone verifier's own Ed25519 and Merkle tree against the libraries' and RFC 8032's vectors."""

import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_common import audit_copy, audit_selftest, audit_standalone
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_crypto.audit import tree
from consortia_crypto.audit.tiles import bundles_of, tiles_of
from consortia_crypto.keys import PrivateIdentity

NAMES = runpy.run_path(str(Path(audit_standalone.__file__).parent / "verify.py"), run_name="verify")
ed25519, ORDER = NAMES["ed25519"], NAMES["ORDER"]
VECTORS = [  # RFC 8032 §7.1: public key, message, signature
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(public, message, signature):
    public, message, signature = map(bytes.fromhex, (public, message, signature))
    assert ed25519(public, message, signature)
    assert not ed25519(public, message + b"x", signature)
    assert not ed25519(public, message, signature[:-1])
    assert not ed25519(public[:-1], message, signature)
    high = int.from_bytes(signature[32:], "little") + ORDER
    assert not ed25519(public, message, signature[:32] + high.to_bytes(32, "little"))


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_it_agrees_with_the_library_on_good_and_bad_signatures(seed, message, bit):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert ed25519(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not ed25519(public, message, bytes(flipped))


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20])
def test_a_key_of_small_order_vouches_for_nothing(y):
    identity = (1).to_bytes(32, "little")
    assert not ed25519(y.to_bytes(32, "little"), b"message", identity + bytes(32))


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_garbage_is_refused_without_an_error(public, signature):
    assert not ed25519(public, b"message", signature)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700))
def test_roots_proofs_and_tile_names_are_those_of_the_log(size):
    entries = [str(number).encode() for number in range(size)]
    leaves = tree.leaf_hashes(entries)
    root = tree.root(leaves)
    assert NAMES["root_of"](leaves) == root
    for index in {0, size // 2, size - 1}:
        proof = tree.inclusion_proof(leaves, index)
        assert NAMES["proved_root"](index, size, leaves[index], proof) == root
        assert NAMES["proved_root"](index, size, leaves[index], [*proof, root]) != root
    named = {path for path, _ in NAMES["tiles"](leaves, entries)}
    assert named == {place.path for place in (*tiles_of(size), *bundles_of(size))}


@settings(max_examples=300, deadline=None)
@given(
    st.integers(-2, 40),
    st.integers(-2, 40),
    st.lists(st.sampled_from([b"x" * n for n in (0, 31, 32, 33)]), max_size=7),
)
def test_proofs_of_any_shape_lead_where_the_library_says(index, size, proof):
    leaf = tree.leaf_hash(b"entry")
    assert NAMES["proved_root"](index, size, leaf, proof) == tree.proved_root(size, index, leaf, proof)


@pytest.mark.parametrize(
    ("number", "path"), [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")]
)
def test_tile_paths_are_written_as_tlog_tiles_says(number, path):
    assert NAMES["tile_path"]("0", number, 256) == f"tile/0/{path}"
    assert NAMES["tile_path"]("entries", number, 17) == f"tile/entries/{path}.p/17"


def test_what_harms_a_log_is_found_here_too(tmp_path):
    """All but harm to the ML-DSA half of the keys' endorsement, which is not checked here."""
    owner = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
    with AuditLog.open(tmp_path / "log", owner, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        commit = log.attach(b"{}")
        log.append_many([("peer.connected", {"peer": f"bank-{n}", "payload_commit": commit}) for n in range(8)])
        for name, data in audit_copy.LogCopy(LogFolder(tmp_path / "log")).files():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / name).write_bytes(data)
    target = audit_selftest._target(LogFolder(tmp_path / "copy"))
    dice = audit_selftest.Dice(3)
    policy = policy_of(target.folder.path)
    verdicts = {}
    for name, (_, way) in audit_selftest.WAYS_BY_NAME.items():
        changes = way(target, dice)
        before = {path: path.read_bytes() for path in changes}
        audit_selftest._write(changes)
        verdicts[name] = verdict(target.folder.path, owner, policy)
        audit_selftest._write(before)
    assert verdict(target.folder.path, owner, policy) == "verified"
    assert [name for name, found in verdicts.items() if found == "verified"] in ([], ["a bit of the keys"])


def policy_of(log):
    keys = [word for word in (log / "vkeys.json").read_text().split('"') if "+" in word]
    return "".join(f"log {key}\n" for key in keys) + "quorum none\n"


def verdict(log, owner, policy):
    return NAMES["verdict_on"](log, log.parent, {"bank-a": owner.public.fingerprint}, policy)["verdict"]
