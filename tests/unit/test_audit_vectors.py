"""The log's formats against the checked-in vectors, which come from the specifications' own definitions."""

import json

import pytest

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.cosignature import ed25519_message, mldsa44_message
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.audit.note import Note, NoteSignature
from consortia_crypto.audit.notekeys import KeyKind, SigningKey, VerifierKey
from consortia_crypto.audit.tiles import Bundle, Tile, parse_path
from consortia_crypto.audit.witness import Accepted, AddCheckpoint, WitnessState, decide
from tests.tools import vectors

TREES = json.loads((vectors.FOLDER / "rfc9162.json").read_text("utf-8"))
NOTES = json.loads((vectors.FOLDER / "tlog.json").read_text("utf-8"))
KEYS = {role: VerifierKey.parse(row["vkey"]) for role, row in NOTES["keys"].items()}
LEAVES = tree.leaf_hashes(f"entry {number}".encode() for number in range(257))


def unhex(item, *names):
    return [bytes.fromhex(item[name]) for name in names] + [[bytes.fromhex(one) for one in item["proof"]]]


def test_the_committed_vectors_are_what_the_definitions_give():
    assert vectors.outdated() == []


def test_roots():
    for size, root in TREES["roots"].items():
        assert tree.root(LEAVES[: int(size)]).hex() == root
        frontier = Frontier()
        frontier.extend(LEAVES[: int(size)])
        assert frontier.root().hex() == root


def test_inclusion():
    for item in TREES["inclusion"]:
        leaf, root, proof = unhex(item, "leaf_hash", "root")
        size, index = item["size"], item["index"]
        assert tree.inclusion_proof(LEAVES[:size], index) == proof
        assert tree.includes(root, size, index, leaf, proof)


def test_consistency():
    for item in TREES["consistency"]:
        old_root, new_root, proof = unhex(item, "old_root", "new_root")
        old, new = item["old_size"], item["new_size"]
        assert tree.consistency_proof(LEAVES[:new], old) == proof
        assert tree.is_consistent(old, old_root, new, new_root, proof)


@pytest.mark.parametrize("item", TREES["refused_inclusion"], ids=lambda item: f"{item['size']}-{item['why']}")
def test_refused_inclusion(item):
    leaf, root, proof = unhex(item, "leaf_hash", "root")
    assert not tree.includes(root, item["size"], item["index"], leaf, proof)


@pytest.mark.parametrize("item", TREES["refused_consistency"], ids=lambda item: f"{item['new_size']}-{item['why']}")
def test_refused_consistency(item):
    old_root, new_root, proof = unhex(item, "old_root", "new_root")
    assert not tree.is_consistent(item["old_size"], old_root, item["new_size"], new_root, proof)


def test_keys_and_what_they_sign():
    checkpoint = Checkpoint.parse(NOTES["text"])
    assert checkpoint == Checkpoint(NOTES["origin"], NOTES["size"], bytes.fromhex(NOTES["root"]))
    for role, row in NOTES["keys"].items():
        key = KEYS[role]
        signer = SigningKey(key.name, key.kind, bytes.fromhex(row["seed"]))
        assert key.text == row["vkey"]
        assert signer.verifier == key
        time = checkpoint.verify(NoteSignature.parse(row["line"]), key)
        assert time == (None if key.kind is KeyKind.ED25519 else NOTES["time"])
        if key.kind is not KeyKind.MLDSA44:  # whose signatures are random
            assert checkpoint.sign(signer, NOTES["time"]).line == row["line"]


def test_cosigned_messages():
    message = {role: bytes.fromhex(row["message"]) for role, row in NOTES["keys"].items()}
    size, root = NOTES["size"], bytes.fromhex(NOTES["root"])
    assert ed25519_message(NOTES["text"], NOTES["time"]) == message["witness_ed25519"]
    for role in ("log_mldsa44", "witness_mldsa44"):
        assert mldsa44_message(KEYS[role].name, NOTES["time"], NOTES["origin"], size, root) == message[role]


def test_the_signed_checkpoint_opens_under_each_key_alone():
    raw = NOTES["note"].encode()
    assert Note.parse(raw).raw == raw
    for key in KEYS.values():
        assert [item.key for item in open_checkpoint(raw, [key]).verified] == [key]


def test_the_request_for_a_cosignature_is_accepted():
    raw = NOTES["add_checkpoint"].encode()
    request = AddCheckpoint.parse(raw)
    assert request.raw == raw
    state = WitnessState(NOTES["old_size"], bytes.fromhex(NOTES["old_root"]), b"as cosigned")
    decision = decide(state, request, NOTES["origin"], list(KEYS.values()))
    assert isinstance(decision, Accepted)
    assert decision.state == WitnessState(NOTES["size"], bytes.fromhex(NOTES["root"]), NOTES["note"].encode())


@pytest.mark.parametrize("item", NOTES["paths"], ids=lambda item: item["path"])
def test_paths(item):
    place = Bundle if item["level"] == "entries" else lambda *where: Tile(item["level"], *where)
    assert place(item["index"], item["width"]).path == item["path"]
    assert parse_path(item["path"]) == place(item["index"], item["width"])


def test_a_note_signed_by_another_implementation():
    """The example in the documentation of Go's golang.org/x/mod/sumdb/note."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = Note.parse(
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZIn"
        "NIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        .encode()
    )  # fmt: skip
    assert note.signatures[0].is_by(key)
    assert key.verifies(note.text.encode(), note.signatures[0].value)
