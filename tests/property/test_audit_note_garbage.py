"""Notes, keys, checkpoints, requests, policies and proofs: what is made comes back, and garbage is refused."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.note import Note, NoteSignature, parse_signatures
from consortia_crypto.audit.notekeys import KeyKind, SigningKey, VerifierKey
from consortia_crypto.audit.policy import NO_QUORUM, Group, Policy, Witness
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.audit.witness import (
    NOTHING_SEEN,
    Accepted,
    AddCheckpoint,
    Conflict,
    Refused,
    Stale,
    WitnessState,
    decide,
)  # fmt: skip
from consortia_crypto.errors import AuditError, NoteError, PolicyError
from tests.support.tlog import NOW, MemoryLog, witness_key

shared = settings(deadline=None)
LOG = MemoryLog(entries=tuple(b"%d" % number for number in range(9)))
RAW = LOG.note().raw
POLICY = f"log {LOG.keys[0].text}\nwitness w {witness_key('b').verifier.text}\ngroup g any w\nquorum g\n".encode()
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+"), min_size=1, max_size=9)
hashes = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=30).map(
    lambda text: f"{text}\n"
)
signatures = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=30))
keys = st.sampled_from(KeyKind).flatmap(
    lambda kind: st.builds(SigningKey, names, st.just(kind), hashes).map(lambda signer: signer.verifier)
)
damage = st.tuples(
    st.integers(0, len(RAW) - 1), st.sampled_from([b"", b"\n", b"\n\n", b" ", b"A", b"\xe2\x80\x94", b"\xff"])
)


@shared
@given(texts, st.lists(signatures, min_size=1, max_size=4))
def test_notes_come_back(text, lines):
    note = Note(text, tuple(lines))
    assert Note.parse(note.raw) == note
    assert parse_signatures("".join(f"{line.line}\n" for line in lines)) == note.signatures


@shared
@given(keys)
def test_keys_come_back(key):
    assert VerifierKey.parse(key.text) == key
    assert not key.verifies(b"x", bytes(64))
    assert not key.verifies(b"x", bytes(2420))


@shared
@given(
    names, st.sampled_from(KeyKind), st.binary(min_size=32, max_size=32) | st.binary(min_size=1312, max_size=1312)
)
def test_any_bytes_are_a_key_that_verifies_nothing_or_refused(name, kind, public):
    with contextlib.suppress(NoteError):
        key = VerifierKey(name, kind, public)
        assert VerifierKey.parse(key.text) == key
        assert not key.verifies(b"x", bytes(64))


@shared
@given(names, st.integers(1, tree.MAX_SIZE), hashes)
def test_checkpoints_come_back(origin, size, root):
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@shared
@given(st.integers(0, tree.MAX_SIZE), st.lists(hashes, max_size=63).map(tuple), st.binary(max_size=20))
def test_requests_and_proofs_come_back(number, proof, note):
    assert AddCheckpoint.parse(AddCheckpoint(number, proof, note).raw) == AddCheckpoint(number, proof, note)
    assert LogProof.parse(LogProof(number, proof, note).raw) == LogProof(number, proof, note)


@shared
@given(st.text(max_size=60) | st.from_regex(r"\A(x\n1\n.{44}\n|.\+[0-9a-f]{8}\+.*|\u2014 . .*)\Z"))
def test_any_text_is_refused_or_comes_back(text):
    with contextlib.suppress(NoteError):
        assert VerifierKey.parse(text).text == text
    with contextlib.suppress(NoteError):
        assert Checkpoint.parse(text).text == text
    with contextlib.suppress(NoteError):
        assert NoteSignature.parse(text).line == text
    with contextlib.suppress(NoteError):
        assert "".join(f"{item.line}\n" for item in parse_signatures(text)) == text


@shared
@given(
    st.binary(max_size=80)
    | st.from_regex(rb"\A(old [0-9]{1,3}\n|c2sp.org/tlog-proof@v1\nindex [0-9]{1,3}\n)*\n.*\Z")
)
def test_any_bytes_are_refused_or_come_back(raw):
    for kind in (Note, AddCheckpoint, LogProof):
        with contextlib.suppress(NoteError):
            assert kind.parse(raw).raw == raw


@shared
@given(damage)
def test_a_checkpoint_damaged_anywhere_is_refused_or_says_the_same(where):
    """Damage may strike out a signature (its name or id becomes unknown), never change what the others say."""
    place, instead = where
    raw = RAW[:place] + instead + RAW[place + 1 :]
    with contextlib.suppress(NoteError):
        opened = open_checkpoint(raw, LOG.keys)
        assert opened.checkpoint == LOG.checkpoint()
        assert raw == RAW or not opened.is_signed_by_log(LOG.keys)


@shared
@given(
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(hashes, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_only_what_is_proved_is_accepted(known, old, new, junk, other_root, signed):
    """The whole of what a witness promises, for every pair of sizes, honest or not."""
    state = WitnessState(known, LOG.checkpoint(known).root, b"cosigned") if known else NOTHING_SEEN
    proof = tuple(junk) or (tuple(tree.consistency_proof(LOG.hashes[:new], old)) if 0 < old <= new else ())
    note = NOTES[new] if signed else STRANGERS[new]
    if other_root and new:
        note = FORKED[new]
    decision = decide(state, AddCheckpoint(old, proof, note), LOG.origin, LOG.keys)
    honest = signed and not (other_root and new)
    follows = old == known <= new and not junk
    if other_root and new and known in (0, new) and old == known and not junk:
        follows = known == 0
        assert isinstance(decision, Accepted if known == 0 else Conflict)
    elif honest:
        assert isinstance(decision, Accepted) == follows
    elif not other_root:
        assert isinstance(decision, Refused)
    assert isinstance(decision, Accepted | Stale | Refused | Conflict)


def forked():
    fork = MemoryLog(entries=tuple(b"-%d" % number for number in range(9)))
    fork.signers = LOG.signers
    return fork


NOTES = [LOG.note(size).raw for size in range(10)]
FORKED = [forked().note(size).raw for size in range(10)]
STRANGERS = [MemoryLog(entries=tuple(LOG.entries)).note(size).raw for size in range(10)]


@shared
@given(st.integers(0, len(POLICY)), st.integers(0, len(POLICY)), st.binary(max_size=4))
def test_a_damaged_policy_is_refused_or_another_one(start, end, instead):
    raw = POLICY[: min(start, end)] + instead + POLICY[max(start, end) :]
    with contextlib.suppress(PolicyError):
        policy = Policy.parse(raw)
        assert Policy.parse(policy.raw) == policy


@shared
@given(st.text("log witnessgroupquorum 129 any\n\t#+\u00e9", max_size=80))
def test_any_policy_text_is_refused_or_comes_back(text):
    with contextlib.suppress(PolicyError):
        policy = Policy.parse(text.encode())
        assert Policy.parse(policy.raw) == policy


WITNESSES = tuple(
    Witness(f"w{i}", witness_key(f"bank-{i}", KeyKind.ED25519_COSIGNATURE).verifier) for i in range(5)
)


@st.composite
def policies(draw):
    """Groups over witnesses and groups before them, each a member once at most."""
    free, groups = [item.name for item in WITNESSES], []
    for number in range(draw(st.integers(0, 3))):
        members = draw(st.lists(st.sampled_from(free), min_size=1, max_size=4, unique=True))
        groups.append(Group(f"g{number}", draw(st.integers(1, len(members))), tuple(members)))
        free = [name for name in free if name not in members] + [f"g{number}"]
    return Policy((), WITNESSES, tuple(groups), draw(st.sampled_from([*free, NO_QUORUM])))


@shared
@given(policies(), st.sets(st.sampled_from([item.name for item in WITNESSES])))
def test_a_quorum_is_what_its_definition_says(policy, cosigned):
    groups = {group.name: group for group in policy.groups}

    def witnessed(name):
        if name not in groups:
            return name in cosigned or name == NO_QUORUM
        return sum(map(witnessed, groups[name].members)) >= groups[name].threshold

    assert Policy.parse(policy.raw) == policy
    assert policy._reached(sorted(cosigned)) == witnessed(policy.quorum)


@shared
@given(st.binary(max_size=200))
def test_garbage_is_judged_and_never_raises_another_error(raw):
    policy = Policy.parse(POLICY)
    assert not policy.judge(raw, NOW).satisfied
    with contextlib.suppress(AuditError):
        LogProof.parse(raw).judge(b"x", policy)
