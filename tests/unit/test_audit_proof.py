"""Proofs that stand by themselves: entry, policy and proof are all that is needed."""

from dataclasses import replace

import pytest

from consortia_crypto.audit import tree
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.errors import NoteError
from tests.support.tlog import NOW, MemoryLog, witness_key

LOG = MemoryLog(entries=tuple(b"%d" % number for number in range(11)))
WITNESS = witness_key("bank-b")
NOTE = LOG.note().with_signatures([LOG.checkpoint().sign(WITNESS, NOW)]).raw
LINES = [*(f"log {key.text}" for key in LOG.keys), f"witness b {WITNESS.verifier.text}", "quorum b", ""]
POLICY = Policy.parse("\n".join(LINES).encode())


def proof(index):
    return LogProof(index, tuple(tree.inclusion_proof(LOG.hashes, index)), NOTE)


def test_every_entry_is_proved_and_no_other():
    for index, entry in enumerate(LOG.entries):
        one = LogProof.parse(proof(index).raw)
        assert one == proof(index)
        assert one.judge(entry, POLICY, NOW).satisfied
        for judgement in (one.judge(entry + b"?", POLICY), replace(one, index=index + 1).judge(entry, POLICY)):
            assert not judgement.satisfied
            assert "not entry" in judgement.cause


def test_a_proof_is_worth_what_its_checkpoint_is():
    bare = replace(proof(3), note=LOG.note().raw)
    assert not bare.judge(b"3", POLICY).satisfied
    assert not proof(3).judge(b"3", POLICY, NOW - 1).satisfied
    assert not replace(proof(3), note=b"garbage").judge(b"3", POLICY).satisfied


def test_an_only_entry_needs_no_hashes():
    log = MemoryLog(entries=(b"only",))
    one = LogProof.parse(LogProof(0, (), log.note().raw).raw)
    rule = Policy.parse("".join(f"log {key.text}\n" for key in log.keys).encode() + b"quorum none\n")
    assert one.judge(b"only", rule).satisfied


@pytest.mark.parametrize("head", [
    "", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2\nindex 0", "c2sp.org/tlog-proof@v1\nindex 00",
    "c2sp.org/tlog-proof@v1\nindex -1", "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0",
    " c2sp.org/tlog-proof@v1\nindex 0",
    "c2sp.org/tlog-proof@v1\nindex 0\nAAAA", "c2sp.org/tlog-proof@v1\nindex 0\n?",
    "c2sp.org/tlog-proof@v1\nindex ١",
    "c2sp.org/tlog-proof@v1\nindex 0" + "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" * 64,
], ids=range(11))  # fmt: skip
def test_what_is_no_proof_is_refused(head):
    with pytest.raises(NoteError):
        LogProof.parse(f"{head}\n\n".encode() + NOTE)
    with pytest.raises(NoteError):
        LogProof.parse(head.encode())


def test_a_proof_that_is_too_long_is_refused():
    with pytest.raises(NoteError):
        LogProof.parse(proof(0).raw + bytes(1 << 22))
