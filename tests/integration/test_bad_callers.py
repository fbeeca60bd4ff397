"""People and nodes who hand in what is not theirs to hand in, or with a certificate that does not let them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from consortia_client import profile
from consortia_client.session import Session
from consortia_common import keyfiles, pki, rpc, tls
from consortia_common.documents.jobspec import Submission
from consortia_coordinator import ca
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import network_pb2, network_pb2_grpc
from tests.support.consortium import Consortium, enrol_person
from tests.support.specs import spec
from tests.support.spoilt import check_explained, check_silent, in_this_process, logged, reasons


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


@pytest.fixture(scope="module")
def stranger(spoilt: Consortium) -> Path:
    """The profile of an enrolled analyst whom the agreement does not name."""
    return enrol_person(spoilt, "bank-a", "analyst", "eve")


def test_an_analyst_whom_the_agreement_does_not_name(spoilt: Consortium, stranger: Path) -> None:
    with Session(profile.Profile.load(stranger)) as session:
        job_id = session.submit(spec("statistics"), 1).job_id
    status = spoilt.finish(job_id)
    assert status.state == "refused"
    for refusal in status.refusals:
        assert refusal.failure.clause == "analysts"
        assert refusal.failure.blame == "whoever submitted the job"
        assert "bank-a/ana" in refusal.failure.what
        (decision,) = logged(spoilt, refusal.institution, "job.decided", job_id)
        assert decision["detail"]["clause"] == "analysts"
    assert len(status.refusals) == 3
    assert spoilt.run(spec("statistics")).state == "finished"


def submission(analyst: Path, **changes: Any) -> Submission:
    fingerprint = keyfiles.load_identity(analyst / "identity.key").public.fingerprint
    value = {
        "network": "lab",
        "spec": spec("statistics"),
        "nonce": "0" * 32,
        "submitted_ms": 1,
        "analyst": fingerprint,
    }
    return Submission(**(value | changes))


def handed_in(consortium: Consortium, document: bytes, sign: Callable[[bytes], bytes]) -> ConsortiaError:
    """Why the coordinator does not take this from the analyst."""
    with profile.Profile.load(consortium.root / "analyst").channel() as channel:
        request = network_pb2.Submission(document=document, signature=sign(document))
        with pytest.raises(ConsortiaError) as caught, rpc.calling("the coordinator"):
            network_pb2_grpc.JobsStub(channel).Submit(request, timeout=20)
    return caught.value


def test_submissions_made_by_hand_are_refused_and_logged(spoilt: Consortium, stranger: Path) -> None:
    ana, eve = (keyfiles.load_identity(folder / "identity.key") for folder in (spoilt.root / "analyst", stranger))
    good = submission(spoilt.root / "analyst")
    document = good.canonical()
    unknown = document.replace(b'"kind":"statistics"', b'"kind":"divination"')
    extra = document.replace(b'"name":"a-statistics-job"', b'"more":1,"name":"a-statistics-job"')
    elsewhere = submission(spoilt.root / "analyst", network="other").canonical()
    another = submission(stranger).canonical()
    cases: list[tuple[bytes, Callable[[bytes], bytes], str]] = [
        (b"", lambda data: ana.sign("job", data), "the submission was refused"),
        (b"\xff" * 100, lambda data: ana.sign("job", data), "the submission was refused"),
        (document + b" ", lambda data: ana.sign("job", data), "canonical"),
        (unknown, lambda data: ana.sign("job", data), "there is no kind"),
        (extra, lambda data: ana.sign("job", data), "there is no such field"),
        (elsewhere, lambda data: ana.sign("job", data), "for another network"),
        (another, lambda data: eve.sign("job", data), "names another analyst than its sender"),
        (document, lambda data: eve.sign("job", data), "signature"),
        (document, lambda data: ana.sign("receipt", data), "signature"),
        (document, lambda _: b"", "signature"),
    ]
    for made, sign, words in cases:
        error = handed_in(spoilt, made, sign)
        assert words in error.what
        check_explained(error.what, error.blame, error.remedy)
        assert reasons(spoilt, "coordinator", "message.refused")[-1] == error.what
    check_silent(spoilt)
    assert spoilt.run(spec("statistics")).state == "finished"


def stub(consortium: Consortium, folder: Path) -> tuple[grpc.Channel, network_pb2_grpc.JobsStub]:
    channel = tls.client_channel(f"127.0.0.1:{consortium.port}", tls.Credentials.load(folder), "lab")
    return channel, network_pb2_grpc.JobsStub(channel)


@pytest.mark.parametrize("whose", ["bank-a", "regulator"])
def test_a_certificate_of_another_role_is_refused_and_logged(whose: str, spoilt: Consortium) -> None:
    channel, jobs = stub(spoilt, spoilt.root / whose)
    with channel, pytest.raises(ConsortiaError, match="may not make this call") as caught, rpc.calling("it"):
        jobs.Submit(network_pb2.Submission(), timeout=20)
    check_explained(caught.value.what, caught.value.blame, caught.value.remedy)
    assert reasons(spoilt, "coordinator", "peer.refused")[-1] == caught.value.what


def test_a_certificate_of_another_authority_is_not_spoken_to(spoilt: Consortium, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    issuing, key = ca.make_issuing(ca.make_root("lab", now), "lab", now), pki.new_key()
    chain = ca.issue(issuing, key.public_key(), pki.Subject("lab", "bank-a", "analyst", "ana"), now)
    for name, data in ((tls.CHAIN_FILE, chain), (tls.KEY_FILE, pki.key_pem(key))):
        keyfiles.write_file(tmp_path / name, data)
    keyfiles.write_file(tmp_path / tls.CA_FILE, keyfiles.read_file(spoilt.root / "analyst" / tls.CA_FILE))
    channel, jobs = stub(spoilt, tmp_path)
    with channel, pytest.raises(ConsortiaError) as caught, rpc.calling("the coordinator"):
        jobs.Submit(network_pb2.Submission(), timeout=20)
    assert "certificate" in caught.value.blame
    check_explained(caught.value.what, caught.value.blame, caught.value.remedy)
    assert spoilt.run(spec("statistics")).state == "finished"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (network_pb2.Statement(type="agreement.praised", institution="bank-a"), "no statements of type"),
        (network_pb2.Statement(type="agreement.signed", institution="bank-b"), "can't publish for 'bank-b'"),
        (network_pb2.Statement(type="agreement.signed", institution="bank-a"), "the agreement was refused"),
    ],
)
def test_a_statement_that_is_none_is_refused_and_logged(
    statement: network_pb2.Statement, words: str, spoilt: Consortium
) -> None:
    channel = tls.client_channel(f"127.0.0.1:{spoilt.port}", tls.Credentials.load(spoilt.root / "bank-a"), "lab")
    with channel, pytest.raises(ConsortiaError) as caught, rpc.calling("the coordinator"):
        network_pb2_grpc.StatementsStub(channel).Publish(statement, timeout=20)
    assert words in caught.value.what
    check_explained(caught.value.what, caught.value.blame, caught.value.remedy)
    assert reasons(spoilt, "coordinator", "message.refused")[-1] == caught.value.what
