"""Checkpoints: their text, who signed them, and that no signature serves for anything else."""

from dataclasses import replace

import pytest

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import (
    Checkpoint,
    add_cosignatures,
    log_origin,
    open_checkpoint,
    sign_checkpoint,
    witness_name,
)
from consortia_crypto.audit.note import Note, NoteSignature
from consortia_crypto.audit.notekeys import KeyKind, SigningKey, VerifierKey
from consortia_crypto.errors import NoteError, NoteSignatureError
from tests.support.tlog import NOW, MemoryLog, witness_key

LOG = MemoryLog(entries=(b"one", b"two", b"three"))
ROOT = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
ED25519, MLDSA44 = LOG.signers


def test_names():
    assert log_origin("demo", "bank-a", 2027) == "consortia.demo/bank-a/audit/2027"
    assert witness_name("demo", "bank-a") == "consortia.demo/bank-a/witness"
    for network, institution in [
        ("demo/bank-a", "b"),
        ("demo", "a/b"),
        ("demo", "a b"),
        ("de+mo", "a"),
        ("x" * 255, "a"),
    ]:
        with pytest.raises(NoteError):
            witness_name(network, institution)


def test_a_checkpoint_comes_back_from_its_text():
    checkpoint = LOG.checkpoint()
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert Checkpoint.parse(f"x\n0\n{EMPTY}\n") == Checkpoint("x", 0, tree.EMPTY_ROOT)


@pytest.mark.parametrize("text", [
    "", "x", f"x\n1\n{ROOT}", f"x\n1\n{ROOT}\n\n", f"x\n1\n{ROOT}\nextension\n", f"\n1\n{ROOT}\n", f"x\n\n{ROOT}\n",
    f"x\n01\n{ROOT}\n", f"x\n-1\n{ROOT}\n", f"x\n+1\n{ROOT}\n", f"x\n1 \n{ROOT}\n", f"x\n١\n{ROOT}\n",
    f"x\n{2**63}\n{ROOT}\n", f"x\n1\n{ROOT[:-1]}\n", "x\n1\nAAAA\n", f"x\n0\n{ROOT}\n", f"a b\n1\n{ROOT}\n",
    f"x\n1\n{ROOT[:-2]}B=\n", f"x\r\n1\r\n{ROOT}\r\n", f"{'x' * 256}\n1\n{ROOT}\n",
], ids=range(20))  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_an_opened_checkpoint_says_who_signed_and_when():
    witness, stranger = witness_key("bank-b"), witness_key("bank-x")
    checkpoint = LOG.checkpoint()
    note = LOG.note().with_signatures([checkpoint.sign(witness, NOW + 5), checkpoint.sign(stranger, NOW)])
    opened = open_checkpoint(note.raw, [*LOG.keys, witness.verifier])
    assert opened.checkpoint == checkpoint
    assert [item.timestamp for item in opened.by_log] == [None, NOW]
    assert [(item.key, item.timestamp) for item in opened.cosigned] == [(witness.verifier, NOW + 5)]
    assert opened.time == NOW
    assert opened.is_signed_by_log(LOG.keys)


def test_each_kind_of_key_must_have_signed():
    for signer in LOG.signers:
        opened = open_checkpoint(sign_checkpoint(LOG.checkpoint(), [signer], NOW).raw, LOG.keys)
        assert not opened.is_signed_by_log(LOG.keys)
        assert opened.is_signed_by_log([signer.verifier])
        assert not opened.is_signed_by_log([])


def test_while_keys_change_the_new_ones_or_the_old_ones_are_enough():
    newer = [SigningKey.generate(LOG.origin, kind) for kind in (KeyKind.ED25519, KeyKind.MLDSA44)]
    known = [*LOG.keys, *(signer.verifier for signer in newer)]
    for signers in (LOG.signers, newer, [*LOG.signers, *newer], [LOG.signers[0], newer[1]]):
        note = sign_checkpoint(LOG.checkpoint(), signers, NOW)
        assert open_checkpoint(note.raw, known).is_signed_by_log(known)


def test_a_log_is_not_signed_by_a_key_of_another_name():
    other = MemoryLog("bank-z")
    note = sign_checkpoint(LOG.checkpoint(), other.signers, NOW)
    opened = open_checkpoint(note.raw, [*other.keys, *LOG.keys])
    assert not opened.is_signed_by_log(other.keys)
    assert not opened.is_signed_by_log(LOG.keys)
    assert opened.by_log == ()
    assert opened.time is None


def test_a_note_without_a_known_signature_is_refused():
    with pytest.raises(NoteSignatureError):
        open_checkpoint(LOG.note().raw, [witness_key("bank-b").verifier])
    with pytest.raises(NoteSignatureError):
        open_checkpoint(LOG.note().raw, [])


def test_a_note_with_one_false_signature_is_refused_whole():
    note = LOG.note()
    for i, signature in enumerate(note.signatures):
        for place in (0, 7, len(signature.value) - 1):
            value = bytearray(signature.value)
            value[place] ^= 1
            lines = [*note.signatures[:i], replace(signature, value=bytes(value)), *note.signatures[i + 1 :]]
            with pytest.raises(NoteSignatureError):
                open_checkpoint(Note(note.text, tuple(lines)).raw, LOG.keys)


@pytest.mark.parametrize("value", [b"x", bytes(63), bytes(65), bytes(72), bytes(2427), bytes(2429), b"\xff" * 2428])
def test_a_signature_of_a_wrong_length_or_an_impossible_time_is_false(value):
    for key in LOG.keys:
        with pytest.raises(NoteSignatureError):
            LOG.checkpoint().verify(NoteSignature(key.name, key.key_id, value), key)


def test_no_signature_stands_under_another_checkpoint_name_time_or_kind():
    checkpoint = LOG.checkpoint()
    keys = [ED25519, MLDSA44, witness_key("bank-b"), witness_key("bank-b", KeyKind.ED25519_COSIGNATURE)]
    for signer in keys:
        signature, key = checkpoint.sign(signer, NOW), signer.verifier
        checkpoint.verify(signature, key)
        for other in (replace(checkpoint, origin=checkpoint.origin + "8"), replace(checkpoint, size=4),
                      replace(checkpoint, root=bytes(32))):  # fmt: skip
            with pytest.raises(NoteSignatureError):
                other.verify(signature, key)
        if key.kind is not KeyKind.ED25519:
            later = replace(signature, value=(NOW + 1).to_bytes(8, "big") + signature.value[8:])
            with pytest.raises(NoteSignatureError):
                checkpoint.verify(later, key)


def test_one_seed_does_not_sign_for_another_kind_or_name():
    checkpoint, seed = LOG.checkpoint(), bytes(range(32))
    plain = SigningKey("x", KeyKind.ED25519, seed)
    timed = SigningKey("x", KeyKind.ED25519_COSIGNATURE, seed)
    as_timed = NoteSignature("x", timed.verifier.key_id, bytes(8) + checkpoint.sign(plain, 0).value)
    with pytest.raises(NoteSignatureError):
        checkpoint.verify(as_timed, timed.verifier)
    one, other = (SigningKey(name, KeyKind.MLDSA44, seed) for name in "xy")
    stolen = replace(checkpoint.sign(one, NOW), name="y", key_id=other.verifier.key_id)
    with pytest.raises(NoteSignatureError):
        checkpoint.verify(stolen, other.verifier)


def test_a_signature_under_another_name_or_id_is_not_the_keys():
    for signer in LOG.signers:
        signature = LOG.checkpoint().sign(signer, NOW)
        for other in (replace(signature, name="x"), replace(signature, key_id=b"1234")):
            with pytest.raises(NoteSignatureError):
                LOG.checkpoint().verify(other, signer.verifier)


def test_an_impossible_time_is_not_signed():
    for time in (-1, 2**63):
        with pytest.raises(NoteError):
            LOG.checkpoint().sign(MLDSA44, time)


def test_a_key_that_is_no_point_verifies_nothing():
    key = VerifierKey(LOG.origin, KeyKind.ED25519, (2).to_bytes(32, "little"))
    assert not key.verifies(b"x", bytes(64))


def test_a_witness_adds_only_what_it_signed_itself():
    witness, stranger = witness_key("bank-b"), witness_key("bank-x")
    note, checkpoint, known = LOG.note(), LOG.checkpoint(), [witness.verifier]
    good, foreign = checkpoint.sign(witness, NOW), checkpoint.sign(stranger, NOW)
    both = add_cosignatures(note, f"{good.line}\n{foreign.line}\n", known)
    assert both.signatures == (*note.signatures, good)
    false = replace(checkpoint, size=2).sign(witness, NOW)
    for lines, error in [([foreign], NoteSignatureError), ([false], NoteSignatureError),
                         ([good, false], NoteSignatureError), ([], NoteError)]:  # fmt: skip
        with pytest.raises(error):
            add_cosignatures(note, "".join(f"{line.line}\n" for line in lines), known)
    for answer in (good.line, f"x\n\n{good.line}\n"):
        with pytest.raises(NoteError):
            add_cosignatures(note, answer, known)


def test_contradictions():
    one = LOG.checkpoint()
    assert one.contradicts(replace(one, root=bytes(32)))
    for other in (one, replace(one, origin="x", root=bytes(32)), replace(one, size=4, root=bytes(32))):
        assert not one.contradicts(other)
