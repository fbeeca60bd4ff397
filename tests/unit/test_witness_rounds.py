"""Rounds: what is released only after the quorum, and what none of its faults can bring about."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consortia_common.errors import WitnessError
from consortia_common.witness_alarms import Contradiction
from consortia_common.witness_rounds import FUTURE_SECONDS, latest_of
from consortia_crypto.audit.checkpoint import open_checkpoint
from consortia_crypto.audit.policy import Policy
from consortia_proto.v1 import witness_pb2 as pb
from tests.support.tlog import MemoryLog, witness_key
from tests.support.witnesses import Lab, StoppedError, lab, party, rounds

LOG = MemoryLog(entries=(b"one", b"two"))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path, seconds=0.7) as made:
        yield made


def started(three: Lab, name: str = "bank-a") -> None:
    three[name].rounds.start()


def cosigned(three: Lab, name: str = "bank-a") -> bytes:
    return three[name].log.folder.cosigned.read_bytes()


def test_a_release_waits_for_the_quorum_which_is_then_on_disk(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    entry = a.write(3)
    a.rounds.witnessed(entry)
    judgement = Policy.parse((a.folder / "witness.policy").read_bytes())
    pairs = a.log.signed.by_log
    assert a.log.signed.checkpoint.size > entry.index
    assert b"bank-b/witness" in cosigned(three)
    assert b"bank-c/witness" in cosigned(three)
    assert len(judgement.witnesses) == 4
    assert pairs


def test_one_round_serves_all_who_wait(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    a.rounds.witnessed(a.write())
    before = len(three.asked)
    last = a.write(40)
    a.rounds.witnessed(last)
    for raw in range(last.index):
        a.rounds.witnessed(type(last)(raw, b""))
    assert len(three.asked) - before <= 2


def test_without_the_quorum_nothing_is_released_and_the_missing_ones_are_named(three: Lab) -> None:
    a = three["bank-a"]
    three.away = {"bank-c"}
    started(three)
    with pytest.raises(WitnessError, match="bank-c: it did not answer in time"):
        a.rounds.witnessed(a.write())
    three.away = set()
    a.rounds.witnessed(a.write())


def test_a_quorum_of_one_does_without_the_other(three: Lab) -> None:
    a = three["bank-a"]
    three.policy("bank-a", 1)
    three.away = {"bank-c"}
    started(three)
    a.rounds.witnessed(a.write())
    assert b"bank-c/witness" not in cosigned(three)


@pytest.mark.parametrize("behind", [timedelta(hours=1), timedelta(days=400)])
def test_a_clock_here_that_is_behind_keeps_nothing_back(three: Lab, behind: timedelta) -> None:
    a = three["bank-a"]
    a.rounds = rounds(three, a, 0.7, ahead=-behind.total_seconds())
    started(three)
    a.rounds.witnessed(a.write())
    a.rounds.close()


def test_a_witness_whose_clock_is_ahead_does_not_count_and_the_others_do(three: Lab) -> None:
    a, c = three["bank-a"], three["bank-c"]
    c.desk = replace(c.desk, clock=lambda: datetime.now(UTC) + timedelta(days=1))
    started(three)
    with pytest.raises(WitnessError, match="not cosigned by the quorum"):
        a.rounds.witnessed(a.write())
    three.policy("bank-a", 1)
    a.rounds.witnessed(a.write())


@pytest.mark.parametrize(("now", "times", "latest"), [
    (1000, {}, 1000),
    (1000, {"b": 900}, 1000),
    (1000, {"b": 5000}, 5000),
    (1000, {"b": 1001, "c": 5000}, 1001),
    (1000, {"b": 1, "c": 5000, "d": 6000}, 5000),
    (7000, {"b": 1, "c": 5000, "d": 6000}, 7000),
])  # fmt: skip
def test_the_present_is_this_clock_or_the_middle_one_of_the_witnesses(
    now: int, times: dict[str, int], latest: int
) -> None:
    keys = {name: witness_key(name) for name in times}
    lines = [LOG.checkpoint().sign(key, times[name]) for name, key in keys.items()]
    note = LOG.note().with_signatures(lines)
    signed = open_checkpoint(note.raw, [*LOG.keys, *(key.verifier for key in keys.values())])
    assert latest_of(signed, now) == latest + FUTURE_SECONDS


def test_a_policy_is_logged_when_it_is_first_used_and_when_it_changes(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    a.rounds.witnessed(a.write())
    three.policy("bank-a", 1)
    a.rounds.witnessed(a.write())
    assert len(a.events("witness.policy")) == 2


@pytest.mark.parametrize("content", [None, b"", b"quorum\n", b"\xff\x00", b"quorum nobody\n"])
def test_without_a_good_policy_nothing_is_released(three: Lab, content: bytes | None) -> None:
    a = three["bank-a"]
    (a.folder / "witness.policy").unlink()
    if content is not None:
        (a.folder / "witness.policy").write_bytes(content)
    started(three)
    with pytest.raises(WitnessError, match="no good witness policy"):
        a.rounds.witnessed(a.write())


def test_garbage_false_lines_and_another_s_lines_count_for_nothing(three: Lab) -> None:
    a, c = three["bank-a"], three["bank-c"]
    started(three)
    answers = {
        "garbage": b"\xff\xfe\n",
        "another key": c.desk.signer.cosign(a.log.signed.checkpoint, 1) + b"x",
        "flipped": b"",
    }
    for what, lines in answers.items():

        def spoil(name: str, answer: pb.CosignAnswer, lines: bytes = lines, what: str = what) -> pb.CosignAnswer:
            if name == "bank-b":
                flipped = answer.cosignatures.replace(b"A", b"B")
                answer.cosignatures = flipped if what == "flipped" else lines
            return answer

        three.meddle = spoil
        with pytest.raises(WitnessError, match="are not cosignatures by its keys"):
            a.rounds.witnessed(a.write())


def test_cosignatures_of_another_checkpoint_or_in_another_s_name_do_not_count(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    a.rounds.witnessed(a.write())
    kept: dict[str, pb.CosignAnswer] = {}

    def keep(name: str, answer: pb.CosignAnswer) -> pb.CosignAnswer:
        return kept.setdefault(name, answer)

    three.meddle = keep
    a.rounds.witnessed(a.write())
    with pytest.raises(WitnessError, match="are not cosignatures"):
        a.rounds.witnessed(a.write())
    three.meddle = lambda name, answer: kept["bank-c"]
    with pytest.raises(WitnessError, match="bank-b: what it answered"):
        a.rounds.witnessed(a.write())


def test_a_coordinator_that_drops_everything_stops_releases(three: Lab) -> None:
    a = three["bank-a"]
    three.meddle = lambda name, answer: None
    started(three)
    with pytest.raises(WitnessError, match="bank-b: it did not answer in time; bank-c"):
        a.rounds.witnessed(a.write())


@pytest.mark.parametrize("outcome", [pb.STALE, pb.CONFLICT])
def test_a_witness_that_lies_about_what_it_saw_harms_nobody_but_the_round(three: Lab, outcome: int) -> None:
    a = three["bank-a"]
    started(three)

    def lie(name: str, answer: pb.CosignAnswer) -> pb.CosignAnswer:
        other = three["bank-c"].log.checkpoint().note.raw
        return pb.CosignAnswer(outcome=outcome, note=other) if name == "bank-b" else answer

    three.meddle = lie
    with pytest.raises(WitnessError, match="never signed"):
        a.rounds.witnessed(a.write())
    three.meddle = lambda name, answer: answer
    a.rounds.witnessed(a.write())


def test_a_conflict_that_shows_nothing_is_only_told(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    own = a.log.signed.note.raw
    three.meddle = lambda name, answer: pb.CosignAnswer(outcome=pb.CONFLICT, note=own)
    with pytest.raises(WitnessError, match="shows nothing of the kind"):
        a.rounds.witnessed(a.write())


def test_a_log_put_back_from_a_backup_refuses_to_start_and_names_both_sizes(three: Lab, tmp_path: Path) -> None:
    a = three["bank-a"]
    a.write(2)
    a.log.checkpoint()
    with ExitStack() as stack:
        old = tmp_path / "old"
        shutil.copytree(a.folder, old, ignore=shutil.ignore_patterns("lock", "node.db*"))
        a.write(20)
        started(three)
        a.rounds.witnessed(a.write())
        newest = a.log.signed.checkpoint.size
        restored = party(stack, old, a.identity)
        again = rounds(three, restored)
        with pytest.raises(WitnessError, match=f"bank-[bc] cosigned {newest} entries") as refused:
            again.compare_at_start()
        assert f"it has {restored.log.size}" in refused.value.what


def test_a_restored_log_that_has_grown_past_what_was_seen_is_found_too(three: Lab, tmp_path: Path) -> None:
    a = three["bank-a"]
    a.log.checkpoint()
    with ExitStack() as stack:
        old = tmp_path / "old"
        shutil.copytree(a.folder, old, ignore=shutil.ignore_patterns("lock", "node.db*"))
        a.write(3)
        started(three)
        a.rounds.witnessed(a.write())
        restored = party(stack, old, a.identity)
        restored.write(50)
        restored.log.checkpoint()
        again = rounds(three, restored)
        again.start()
        stack.callback(again.close)
        with pytest.raises(WitnessError, match="put back from an old copy"):
            again.witnessed(restored.write())
        with pytest.raises(WitnessError, match="put back from an old copy"):
            again.require_whole()


def test_a_start_without_witnesses_is_possible_and_a_start_that_only_grew_is_whole(three: Lab) -> None:
    a = three["bank-a"]
    three.away = {"bank-b", "bank-c"}
    a.rounds.compare_at_start()
    three.away = set()
    started(three)
    a.rounds.witnessed(a.write())
    a.write(7)
    again = rounds(three, a)
    again.compare_at_start()


def test_a_contradiction_stops_releases_at_once(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    a.alarms.keep(Contradiction("consortia.lab/bank-b/audit/2026", b"one", b"two", True, "two logs", "bank-c"))
    with pytest.raises(WitnessError, match="contradict each other: two logs"):
        a.rounds.witnessed(a.write())


def test_whoever_waits_is_let_go_when_the_process_stops(three: Lab) -> None:
    a = three["bank-a"]
    three.meddle = lambda name, answer: None
    started(three)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            a.rounds.witnessed(a.write())
        except StoppedError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 5
    while not a.rounds._state.waiting and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    a.rounds.close()
    waiting.join(5)
    assert len(raised) == 1


def test_many_writers_are_all_witnessed(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                a.rounds.witnessed(a.write())
        except WitnessError as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []


def test_rotated_keys_are_witnessed(three: Lab) -> None:
    a = three["bank-a"]
    started(three)
    a.rounds.witnessed(a.write())
    a.log.rotate_keys(overlap=1)
    a.rounds.witnessed(a.write(4))


def test_whoever_runs_the_process_is_told_of_a_lost_log(three: Lab, tmp_path: Path) -> None:
    a = three["bank-a"]
    a.log.checkpoint()
    shutil.copytree(a.folder, tmp_path / "old", ignore=shutil.ignore_patterns("lock", "node.db*"))
    a.write(9)
    started(three)
    a.rounds.witnessed(a.write())
    told = threading.Event()
    with ExitStack() as stack:
        restored = party(stack, tmp_path / "old", a.identity)
        again = rounds(three, restored)
        again._means = replace(again._means, lost=told.set)
        again.start()
        stack.callback(again.close)
        assert told.wait(5)
