"""Witness keys: made once, stated under the identity, believed by fingerprint; and the policies made of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common import witness_keys
from consortia_common.errors import SettingsError, WitnessError
from consortia_common.witness_owners import read_members
from consortia_crypto import canonical
from consortia_crypto.audit.checkpoint import Checkpoint, sign_checkpoint
from consortia_crypto.audit.note import parse_signatures
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.witnesskeys import WitnessKeys, policy_of
from consortia_crypto.errors import AuditError, PolicyError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("lab", "bank-a", "node", "node")
OTHER = PrivateIdentity.generate("lab", "bank-b", "node", "node")


def made(folder: Path, owner: PrivateIdentity = OWNER) -> witness_keys.WitnessSigner:
    folder.mkdir(exist_ok=True)
    return witness_keys.load_or_make(folder, owner)


def test_keys_are_made_once_and_are_for_one_user_alone(tmp_path: Path) -> None:
    first, again = made(tmp_path), made(tmp_path)
    assert first.statement.keys == again.statement.keys
    assert (tmp_path / "witness.key").stat().st_mode & 0o777 == 0o600
    seeds = [key.seed.hex() for key in first.private]
    assert all(seed not in (tmp_path / "witness.json").read_text() for seed in seeds)
    assert all(seed not in repr(first) for seed in seeds)


def test_a_statement_is_read_back_and_belongs_to_its_owner_only(tmp_path: Path) -> None:
    raw = made(tmp_path).statement.raw
    assert WitnessKeys.parse(raw, OWNER.public).raw == raw
    with pytest.raises(AuditError):
        WitnessKeys.parse(raw, OTHER.public)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value | {"val": value["val"][:-2] + "00"},
        lambda value: value | {"val": "no hexadecimal"},
        lambda value: value | {"ed25519": value["mldsa44"]},
        lambda value: value | {"more": "x"},
        lambda value: value | {"val": 1},
        lambda value: {"val": value["val"]},
        lambda value: [value],
    ],
)
def test_an_altered_statement_is_refused(tmp_path: Path, spoil: Callable[[object], object]) -> None:
    value = canonical.decode(made(tmp_path).statement.raw)
    with pytest.raises(AuditError):
        WitnessKeys.parse(canonical.encode(spoil(value)), OWNER.public)


@given(st.binary(max_size=400))
def test_garbage_raises_only_our_error(raw: bytes) -> None:
    with pytest.raises(AuditError):
        WitnessKeys.parse(raw, OWNER.public)


def test_a_statement_that_was_spoilt_on_disk_is_made_again(tmp_path: Path) -> None:
    before = made(tmp_path).statement
    (tmp_path / "witness.json").write_bytes(b"{}")
    assert made(tmp_path).statement.keys == before.keys
    assert WitnessKeys.parse((tmp_path / "witness.json").read_bytes(), OWNER.public).keys == before.keys


def test_damaged_or_exposed_private_keys_are_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "witness.key").chmod(0o644)
    with pytest.raises(SettingsError):
        made(tmp_path)
    (tmp_path / "witness.key").write_bytes(b"{}")
    (tmp_path / "witness.key").chmod(0o600)
    with pytest.raises(WitnessError, match="does not hold"):
        made(tmp_path)


def test_a_policy_needs_both_keys_of_each_and_never_counts_one_s_own(tmp_path: Path) -> None:
    signers = {
        name: made(tmp_path / name, PrivateIdentity.generate("lab", name, "node", "node"))
        for name in ("bank-a", "bank-b", "bank-c")
    }
    origin = "consortia.lab/bank-a/audit/2027"
    log = [SigningKey.generate(origin, kind) for kind in (KeyKind.ED25519, KeyKind.MLDSA44)]
    policy = policy_of([one.statement for one in signers.values()], 2, [key.verifier for key in log])
    checkpoint = Checkpoint(origin, 3, bytes(32))
    note = sign_checkpoint(checkpoint, log, 5)

    def judged(*names: str) -> bool:
        lines = [line for name in names for line in parse_signatures(signers[name].cosign(checkpoint, 7).decode())]
        return policy.judge(note.with_signatures(lines).raw).satisfied

    assert judged("bank-b", "bank-c")
    assert not judged("bank-a", "bank-b")
    assert not judged("bank-c")
    one_key = parse_signatures(signers["bank-b"].cosign(checkpoint, 7).decode())[:1]
    both = parse_signatures(signers["bank-c"].cosign(checkpoint, 7).decode())
    assert not policy.judge(note.with_signatures([*one_key, *both]).raw).satisfied
    with pytest.raises(PolicyError, match="can't be reached"):
        policy_of([], 1)


def test_a_members_file_may_have_remarks_and_need_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "members.txt"
    assert read_members(path) == {}
    path.write_text("# by telephone\nbank-b ff00 # Monday\n\nnonsense\n")
    assert read_members(path) == {"bank-b": "ff00"}
