"""What the coordinator sees, keeps and says holds no customer, no row, no contribution, no model and no key.

Every test first shows that it would find the thing if it were there.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import tenseal as ts
from prometheus_client import generate_latest

from consortia_common import keyfiles
from consortia_common.content import Bytes, Content
from consortia_crypto.envelope import unseal
from consortia_crypto.errors import EnvelopeError
from consortia_crypto.he import context as contexts
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1 import network_pb2
from tests.privacy.conftest import AGE, BANKS, INCOME, JOBS, PLANTED, Observed, folder
from tests.support.evidence import cohort_files, entries, kept_values
from tests.support.recorder import IN, OUT, Needles
from tests.support.specs import PURPOSE, spec
from tests.support.spoilt import lie

SECRET = ("data", "pseudonyms", "sealed", "keys", "enveloped")
"""The Needles of Observed."""
ATTACH = "Exchange/Attach"


def chunks(seen: Observed, *ways: str) -> list[pb.Chunk]:
    frames = map(pb.Frame.FromString, seen.recorder.of(ATTACH, *ways))
    return [frame.chunk for frame in frames if frame.HasField("chunk")]


def contents(seen: Observed) -> Iterator[Content]:
    """The contents of all tasks and replies that crossed."""
    for way, kind in ((OUT, pb.Task), (IN, pb.Reply)):
        for chunk in chunks(seen, way):
            body, head = chunk.data[: chunk.body], chunk.data[chunk.body :]
            message = kind.FromString(head)
            if message.HasField("content"):
                yield Content.from_proto(message.content, "a test", Bytes(body))


def blobs(seen: Observed) -> Iterator[bytes]:
    """Everything in those that could hold more than a number."""
    for content in contents(seen):
        for value in (*content.config.values(), *content.arrays.values()):
            for item in value if isinstance(value, list) else [value]:
                data = item.tobytes() if isinstance(item, np.ndarray) else item
                if isinstance(data, bytes) and len(data) >= 1000:
                    yield data


def test_the_recorder_saw_every_message_whole(observed: Observed) -> None:
    methods = {name.rsplit("/", 1)[1] for name, _, _ in observed.recorder.payloads}
    assert {"Attach", "Publish", "Submit", "Get", "Result", "Members"} <= methods
    carried = chunks(observed)
    assert all(chunk.total == len(chunk.data) for chunk in carried)
    with observed.consortium.analyst() as session:
        told = {job.job_id: job.bytes_up + job.bytes_down for job in session.jobs()}
    for job_id in observed.jobs.values():
        crossed = sum(len(chunk.data) for chunk in carried if chunk.message_id.startswith(job_id))
        assert crossed == told[job_id] > 0


def test_there_was_something_to_find(observed: Observed) -> None:
    assert {"income", "age", "region", "note", "row", "income of a row"} <= set(observed.data.words.values())
    assert {"network", "means", "update", "contribution", "sum", "score", "result"} <= set(
        observed.sealed.words.values()
    )
    assert set(observed.keys.words.values()) == {"key of sums", "shared key", "score.secret"}
    for name in SECRET:
        assert len(getattr(observed, name).words) > 30, name


@pytest.mark.parametrize("name", SECRET)
def test_the_search_finds_each_thing_wherever_it_stands(name: str, observed: Observed) -> None:
    needles: Needles = getattr(observed, name)
    around = observed.recorder.of(ATTACH)[0]
    for things in (needles.words, needles.texts):
        for thing, what in list(things.items())[:: max(1, len(things) // 20)]:
            assert what in needles.found_in(around + b"-" + thing + around)
    assert needles.found_in(b"") == needles.found_in(b"\0" * 100) == set()


def test_rows_in_the_clear_are_found_in_any_usual_form(observed: Observed) -> None:
    rows = np.array([[INCOME, AGE]] * 3)
    for form in (
        rows.tobytes(),
        rows.T.copy().tobytes(),
        rows.astype("<f4").tobytes(),
        rows.astype("<f4").T.copy().tobytes(),
        np.rint(rows * 100).astype(np.int64).tobytes(),
        np.rint(rows * 1000).astype(np.int64).tobytes(),
        str(rows.tolist()).encode(),
        Content(arrays={"rows": rows}).to_proto().SerializeToString(),
        Content(metrics={"rows": rows.ravel().tolist()}).to_proto().SerializeToString(),
    ):
        assert observed.data.found_in(b"x" + form)


@pytest.mark.parametrize("name", SECRET)
def test_nothing_of_it_crosses_the_coordinators_connections(name: str, observed: Observed) -> None:
    everything = observed.recorder.everything()
    assert spec("train").name.encode() in everything
    assert getattr(observed, name).found_in(everything) == set()


@pytest.mark.parametrize("name", SECRET)
def test_nothing_of_it_is_in_what_the_coordinator_keeps(name: str, observed: Observed) -> None:
    for kept in (observed.during, observed.coordinator_folder()):
        assert spec("train").name.encode() in kept
        assert getattr(observed, name).found_in(kept) == set()


@pytest.mark.parametrize("name", SECRET)
def test_nothing_of_it_is_in_metrics_and_process_logs(name: str, observed: Observed) -> None:
    metrics, log = generate_latest(), observed.process_log.read_bytes()
    assert b"consortia_exchange_bytes" in metrics
    assert observed.jobs["train"].encode() in log
    assert getattr(observed, name).found_in(metrics + log) == set()


def test_the_banks_own_logs_hold_no_customers_number_and_no_value(observed: Observed) -> None:
    for bank in BANKS:
        log = folder(observed.consortium.log(bank))
        assert b"access.cohort" in log
        assert observed.data.found_in(log) | observed.keys.found_in(log) == set()
    changed = [entry for entry in entries(observed.consortium, "bank-a") if entry.type == "consent.changed"]
    assert [entry.body["subject"].encode() in observed.pseudonyms.texts for entry in changed] == [True]


def test_no_context_that_crosses_can_decrypt(observed: Observed) -> None:
    secret = ts.context(ts.SCHEME_TYPE.BFV, 4096, 1032193).serialize(save_secret_key=True)
    assert is_private(secret) is True
    found = [is_private(data) for data in blobs(observed)]
    assert found.count(False) == 1, "the public context of the job with the engine lattice"
    assert True not in found


def is_private(data: bytes) -> bool | None:
    """Whether it is a TenSEAL context with its secret key; None if it is no context at all."""
    try:
        context = ts.context_from(data)
    except Exception:  # whatever the library says of bytes that are something else
        return None
    return bool(context.is_private() or contexts.PRIVATE in contexts.fields_of(data, "a test"))


def test_only_the_analyst_opens_the_result(observed: Observed) -> None:
    root = observed.consortium.root
    results = [network_pb2.JobResult.FromString(data) for data in observed.recorder.of("Jobs/Result")]
    sealed = {result.job_id: result for result in results if result.envelope}
    assert set(observed.jobs.values()) <= set(sealed)
    sender = keyfiles.load_identity(root / "bank-a" / "identity.key").public
    for job_id in observed.jobs.values():
        place = {"sender": sender, "purpose": PURPOSE, "job": job_id, "step": "result", "sequence": 0}
        envelope = sealed[job_id].envelope
        analyst = keyfiles.load_identity(root / "analyst" / "identity.key")
        assert unseal(envelope, recipient=analyst, **place).startswith(b"{")
        for other in ("coordinator", "regulator", "bank-b"):
            with pytest.raises(EnvelopeError):
                unseal(envelope, recipient=keyfiles.load_identity(root / other / "identity.key"), **place)


@pytest.mark.parametrize("kind", JOBS)
def test_nothing_of_the_job_is_left_in_the_banks_folders(kind: str, observed: Observed) -> None:
    for bank in BANKS:
        assert cohort_files(observed.consortium, bank, observed.jobs[kind]) == []
        assert kept_values(observed.consortium, bank, observed.jobs[kind]) == 0


def test_neither_rows_nor_keys_nor_models_are_left_in_the_banks_databases(observed: Observed) -> None:
    results = observed.consortium.root / "bank-a" / "results" / observed.jobs["score"]
    assert [file.name for file in results.iterdir()] == ["scores.parquet"]
    numbers = Needles(words=observed.data.words)
    for bank in BANKS:
        left = folder(observed.consortium.root / bank, without=("data", "results"))
        assert b"CANARY-" not in left  # whose consent it is lies sealed under the customer's key
        assert numbers.found_in(left) == set()
        assert observed.sealed.found_in(left) - {"result"} == set()
        assert observed.keys.found_in(left) | observed.enveloped.found_in(left) == set()


def test_a_plaintext_that_does_cross_is_noticed(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([[INCOME, AGE]] * PLANTED)

    def blurt(said: pb.Reply) -> pb.Reply:
        leak = Content(arrays={"rows": rows}, config={"of": "CANARY-BANK-B-001"})
        return pb.Reply(task_id=said.task_id, job_id=said.job_id, content=leak.to_proto())

    before = len(observed.recorder.payloads)
    with monkeypatch.context() as lying:
        lie(lying, "bank-b", "query.tabulate", blurt)
        assert observed.consortium.run(spec("statistics")).state == "failed"
    assert {"income", "age", "customer"} <= observed.data.found_in(observed.recorder.everything(before))
    del observed.recorder.payloads[before:]
