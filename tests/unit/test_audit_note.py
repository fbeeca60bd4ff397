"""Signed notes and their keys: what parses, and what is refused."""

import base64

import pytest

from consortia_crypto.audit.note import MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteSignature, parse_signatures
from consortia_crypto.audit.notekeys import KeyKind, SigningKey, VerifierKey
from consortia_crypto.errors import NoteError

KEYS = {kind: SigningKey("example.com/x", kind, bytes(32)) for kind in KeyKind}
LINE = "\u2014 example.com/x AQIDBAU="


def test_a_note_is_a_text_and_signatures():
    note = Note.parse(f"a\n\nb\n\n{LINE}\n".encode())
    assert note.text == "a\n\nb\n"
    assert note.signatures == (NoteSignature("example.com/x", b"\1\2\3\4", b"\5"),)
    assert note.raw == f"a\n\nb\n\n{LINE}\n".encode()


@pytest.mark.parametrize("raw", [
    b"", b"a", b"a\n", b"a\n\n", f"{LINE}\n".encode(), f"\n{LINE}\n".encode(), f"a\n{LINE}\n".encode(),
    f"a\n\n{LINE}".encode(), f"a\n\n{LINE}\n\n".encode(), f"a\n\n{LINE}\n{LINE}x\n".encode(),
    f"a\r\n\r\n{LINE}\r\n".encode(), f"a\0\n\n{LINE}\n".encode(), f"a\t\n\n{LINE}\n".encode(),
    b"\xff\n\n" + f"{LINE}\n".encode(), f"a\n\n {LINE}\n".encode(), f"a\n\n{LINE} \n".encode(),
    "a\n\n\u2014 x AQIDBAU\n".encode(), "a\n\n\u2014 x AQIDBA==\n".encode(), "a\n\n\u2014 x AQIDBAV=\n".encode(),
    "a\n\n\u2014 x+y AQIDBAU=\n".encode(), "a\n\n\u2014 x\u00a0y AQIDBAU=\n".encode(),
    "a\n\n\u2014  AQIDBAU=\n".encode(), b"a\n\n- x AQIDBAU=\n", "a\n\n\u2014 x AQID\u2029BAU=\n".encode(),
    b"x" * MAX_NOTE_BYTES + f"\n\n{LINE}\n".encode(), ("a\n\n" + f"{LINE}\n" * (MAX_SIGNATURES + 1)).encode(),
], ids=range(26))  # fmt: skip
def test_what_is_no_note_is_refused(raw):
    with pytest.raises(NoteError):
        Note.parse(raw)


def test_a_newer_signature_of_the_same_key_takes_the_older_ones_place():
    one, two = NoteSignature("x", b"1234", b"old"), NoteSignature("y", b"1234", b"?")
    newer = NoteSignature("x", b"1234", b"new")
    assert Note("a\n", (one, two)).with_signatures([newer]).signatures == (newer, two)


def test_signature_lines_alone():
    assert [item.line for item in parse_signatures(f"{LINE}\n{LINE}\n")] == [LINE, LINE]
    for text in ("", LINE, f"{LINE}\n\n", f"\n{LINE}\n", f"{LINE}\n" * (MAX_SIGNATURES + 1)):
        with pytest.raises(NoteError):
            parse_signatures(text)


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_comes_back_from_its_text_and_verifies(kind):
    key = KEYS[kind].verifier
    assert VerifierKey.parse(key.text) == key
    signature = KEYS[kind].sign(b"message")
    assert key.verifies(b"message", signature)
    assert not key.verifies(b"massage", signature)
    assert not key.verifies(b"message", signature[:-1])
    assert not key.verifies(b"message", signature + b"\0")


def test_the_same_key_for_another_kind_or_name_has_another_id():
    public = KEYS[KeyKind.ED25519].verifier.public
    ids = {
        VerifierKey(name, kind, public).key_id
        for name in ("a", "b") for kind in (KeyKind.ED25519, KeyKind.ED25519_COSIGNATURE)
    }  # fmt: skip
    assert len(ids) == 4


def test_a_seed_is_never_printed():
    secret = SigningKey("x", KeyKind.ED25519, bytes(range(32)))
    assert "seed" not in repr(secret)
    assert bytes(range(32)).hex() not in repr(secret)


@pytest.mark.parametrize("text", [
    "", "x", "x+y", "x++", "x+00000000+", "x+00000000+AQ==",
    KEYS[KeyKind.ED25519].verifier.text[:-4], KEYS[KeyKind.ED25519].verifier.text + "\n",
    "y" + KEYS[KeyKind.ED25519].verifier.text, KEYS[KeyKind.ED25519].verifier.text.upper(),
    "x+" + base64.b16encode(b"abcd").decode().lower() + "+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
])  # fmt: skip
def test_what_is_no_key_is_refused(text):
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "\x07", "x" * 256, "é" * 128, "\ud800"])
def test_a_name_that_no_key_may_have(name):
    with pytest.raises(NoteError):
        SigningKey(name, KeyKind.ED25519, bytes(32))


P = 2**255 - 19
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
SMALL_ORDER = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, P - 1, P, P + 1, int.from_bytes(ORDER_8, "little"), P - int.from_bytes(ORDER_8, "little"))
    for sign in (0, 1)
]


@pytest.mark.parametrize("public", SMALL_ORDER, ids=range(14))
def test_a_key_under_which_anybody_could_sign_is_refused(public):
    for kind in (KeyKind.ED25519, KeyKind.ED25519_COSIGNATURE):
        with pytest.raises(NoteError):
            VerifierKey("x", kind, public)


def test_keys_of_a_wrong_length_are_refused():
    for kind in KeyKind:
        with pytest.raises(NoteError):
            VerifierKey("x", kind, bytes(31))
        with pytest.raises(NoteError):
            SigningKey("x", kind, bytes(33))
        assert SigningKey.generate("x", kind).seed != SigningKey.generate("x", kind).seed
