"""Witness policies: their text, and which checkpoints satisfy them."""

import pytest

from consortia_crypto.audit.checkpoint import sign_checkpoint
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.policy import Group, Policy
from consortia_crypto.errors import PolicyError
from tests.support.tlog import NOW, MemoryLog, witness_key

LOG = MemoryLog(entries=(b"one", b"two"))
BANKS = {name: witness_key(name) for name in ("bank-b", "bank-c", "bank-d")}
LOG_LINES = "".join(f"log {key.text}\n" for key in LOG.keys)
WITNESS_LINES = "".join(f"witness {name} {key.verifier.text}\n" for name, key in BANKS.items())


def policy(rule):
    return Policy.parse(f"# who must have seen it\n\n{LOG_LINES}{WITNESS_LINES}{rule}\n".encode())


def cosigned(*names, time=NOW):
    return LOG.note().with_signatures([LOG.checkpoint().sign(BANKS[name], time) for name in names]).raw


@pytest.mark.parametrize(("rule", "enough", "too_few"), [
    ("quorum none", [()], []),
    ("quorum bank-b", [("bank-b",), ("bank-b", "bank-c")], [(), ("bank-c", "bank-d")]),
    ("group g any bank-b bank-c\nquorum g", [("bank-b",), ("bank-c",)], [(), ("bank-d",)]),
    ("group g all bank-b bank-c\nquorum g", [("bank-b", "bank-c")], [("bank-b",), ("bank-c", "bank-d")]),
    ("group g 2 bank-b bank-c bank-d\nquorum g", [("bank-b", "bank-d"), tuple(BANKS)], [("bank-b",), ()]),
    ("group g any bank-b bank-c\ngroup h all g bank-d\nquorum h",
     [("bank-b", "bank-d"), ("bank-c", "bank-d")], [("bank-b", "bank-c"), ("bank-d",)]),
    ("group g all bank-b bank-c\nquorum none", [()], []),
])  # fmt: skip
def test_a_quorum_is_reached_or_not(rule, enough, too_few):
    judge = policy(rule).judge
    for names in enough:
        judgement = judge(cosigned(*names))
        assert judgement.satisfied, names
        assert set(judgement.cosigned) == set(names)
        assert set(judgement.missing) == set(BANKS) - set(names)
    for names in too_few:
        judgement = judge(cosigned(*names))
        assert not judgement.satisfied, names
        assert "quorum" in judgement.cause


def test_the_logs_own_signatures_must_stand():
    rule = policy("quorum bank-b")
    checkpoint, other = LOG.checkpoint(), MemoryLog("bank-z", (b"one",))
    by_witness = checkpoint.sign(BANKS["bank-b"], NOW)
    half = sign_checkpoint(checkpoint, LOG.signers[:1], NOW).with_signatures([by_witness])
    only_witness = sign_checkpoint(checkpoint, [BANKS["bank-b"]], NOW)
    unknown = other.note().with_signatures([other.checkpoint().sign(BANKS["bank-b"], NOW)])
    for note, word in [(half, "each kind"), (only_witness, "each kind"), (unknown, "not a known log")]:
        judgement = rule.judge(note.raw)
        assert not judgement.satisfied
        assert word in judgement.cause


def test_what_is_no_signed_checkpoint_satisfies_nothing():
    for raw in (b"", b"garbage", LOG.note().raw[:-1], cosigned("bank-b").replace(b"\n2\n", b"\n3\n")):
        judgement = policy("quorum none").judge(raw)
        assert not judgement.satisfied
        assert judgement.cause
        assert judgement.signed is None


def test_cosignatures_without_a_time_or_from_the_future_do_not_count():
    rule = policy("quorum bank-b")
    assert rule.judge(cosigned("bank-b"), NOW).satisfied
    assert not rule.judge(cosigned("bank-b"), NOW - 1).satisfied
    assert not rule.judge(cosigned("bank-b", time=0)).satisfied


def test_a_witness_of_both_kinds_is_a_group():
    keys = [witness_key("bank-e", kind) for kind in (KeyKind.ED25519_COSIGNATURE, KeyKind.MLDSA44)]
    lines = "".join(f"witness e{i} {key.verifier.text}\n" for i, key in enumerate(keys))
    rule = policy(f"{lines}group e all e0 e1\nquorum e")
    signatures = [LOG.checkpoint().sign(key, NOW) for key in keys]
    assert rule.judge(LOG.note().with_signatures(signatures).raw).satisfied
    assert not rule.judge(LOG.note().with_signatures(signatures[:1]).raw).satisfied


def test_a_policy_comes_back_from_its_text():
    one = policy(
        "witness w\u00e9 " + witness_key("x").verifier.text + " https://x/\t\n group  g 2 bank-b\tbank-c \nquorum g"
    )
    assert Policy.parse(one.raw) == one
    assert one.groups == (Group("g", 2, ("bank-b", "bank-c")),)
    assert one.witnesses[3].url == "https://x/"
    assert set(one.keys) >= set(LOG.keys)


def test_bytes_that_are_no_utf8_are_names_like_others():
    raw = WITNESS_LINES.encode().replace(b" bank-b ", b" \xff\xfe ") + b"quorum \xff\xfe\n"
    one = Policy.parse(raw)
    assert Policy.parse(one.raw) == one
    assert b"quorum \xff\xfe\n" in one.raw


TWICE = SigningKey(LOG.origin + "/again", KeyKind.MLDSA44, LOG.signers[1].seed).verifier.text
AS_WITNESS = SigningKey(LOG.origin + "/again", KeyKind.MLDSA44, BANKS["bank-b"].seed).verifier.text
AS_LOG = witness_key("x", KeyKind.ED25519_COSIGNATURE).verifier.text


@pytest.mark.parametrize(("rule", "line"), [
    ("", None), ("quorum", 8), ("quorum bank-b bank-c", 8), ("quorum nobody", 8), ("quorum none\nquorum none", 9),
    ("group g", 8), ("group g any", 8), ("group g 0 bank-b", 8), ("group g 3 bank-b bank-c", 8),
    ("group g 01 bank-b", 8),
    ("group g some bank-b", 8), ("group g -1 bank-b", 8), ("group g any none", 8), ("group none any bank-b", 8),
    ("group g any later\ngroup later any bank-b", 8), ("group g any g", 8), ("group g 2 bank-b bank-b", 8),
    ("group g any bank-b\ngroup h any bank-b", 9), ("group bank-b any bank-c", 8), ("quorum bank-b\nwitness", 9),
    ("log", 8), (f"log {LOG.keys[0].text}", 8), (f"log {TWICE}", 8), (f"log {AS_WITNESS}", 8),
    (f"log {AS_LOG}", 8), ("log x+y+z", 8),
    (f"witness w {TWICE}", 8), (f"witness bank-b {AS_LOG}", 8), (f"witness none {AS_LOG}", 8), ("witness w x", 8),
    (f"witness w {LOG.keys[0].text}", 8), (f"witness w {AS_LOG} url more", 8),
    ("speak friend", 8), ("Quorum none", 8),
    ("quorum\u00a0none", 8), ("quorum none\r", None), ("quorum none\0", None), ("quorum none\x7f", None),
    ("group g ١ bank-b", 8),
], ids=lambda value: str(value)[:20])  # fmt: skip
def test_what_is_no_policy_is_refused_with_its_line(rule, line):
    with pytest.raises(PolicyError) as caught:
        policy(rule)
    assert ("in line" in caught.value.what) == (line is not None)
    assert line is None or f"in line {line}:" in caught.value.what


def test_a_policy_that_was_cut_is_refused():
    whole = policy("quorum none").raw
    for end in range(len(whole)):
        with pytest.raises(PolicyError):
            Policy.parse(whole[:end])
    with pytest.raises(PolicyError):
        Policy.parse(whole[:-1] + b"x")


def test_a_policy_that_is_too_long_is_refused():
    with pytest.raises(PolicyError):
        Policy.parse(b"#" * (1 << 20) + b"\nquorum none\n")
