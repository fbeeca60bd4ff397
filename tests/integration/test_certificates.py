"""Certificates in a running network: renewed in time under a running job, and worth nothing once revoked."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from consortia_client import profile as profiles
from consortia_client.profile import Profile
from consortia_client.session import Session
from consortia_common import keyfiles, leaves, pki, renewal, rpc, tls
from consortia_common.errors import CertificateError, NotPermittedError
from consortia_common.fingerprint_words import words
from consortia_common.renewal import Renewal
from consortia_common.witness_owners import read_members
from consortia_coordinator import ca
from consortia_crypto.errors import SignatureRefusedError
from consortia_crypto.keys import PrivateIdentity
from consortia_node import config, enrolment
from consortia_node.service import Running
from consortia_node.upkeep import renewal_of
from consortia_node.witnessing import channel_of
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc
from consortia_proto.v1.exchange_pb2 import Frame
from consortia_proto.v1.exchange_pb2_grpc import ExchangeStub
from tests.support import consortium as support
from tests.support import evidence
from tests.support.cli import as_json, consortia
from tests.support.consortium import Consortium
from tests.support.specs import BANKS, spec

SOON = 10.0
LATER = timedelta(days=21)


def later() -> datetime:
    return datetime.now(UTC) + LATER


def events(consortium: Consortium, whose: str, name: str) -> list[dict[str, Any]]:
    return [dict(entry.body) for entry in evidence.entries(consortium, whose) if entry.type == name]


def until(condition: Callable[[], bool], seconds: float = SOON) -> float:
    """Wait until it holds; how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, condition
        threading.Event().wait(0.01)
    return time.monotonic() - began


def node(consortium: Consortium, bank: str) -> Running:
    running: Running = consortium.running[1 + BANKS.index(bank)]
    return running


def test_a_node_renews_and_hands_its_stream_over_while_a_job_runs(consortium: Consortium) -> None:
    running = node(consortium, "bank-b")
    tools, folder = running.tools, consortium.root / "bank-b"
    before = tls.Credentials.load(folder)
    assert not renewal_of(tools).check()  # nothing is due yet
    connect = partial(channel_of, tools.settings, later)
    due = Renewal(folder, tools.identity, connect, later, lambda new: tools.log.append(
        "certificate.renewed", until=f"{new.not_after:%Y-%m-%d}"))  # fmt: skip
    assert due.is_due()
    assert due.check().not_after is not None
    connections = len(events(consortium, "coordinator", "peer.connected"))
    job = consortium.submit(spec("statistics"))
    running.exchange.redial("the node has a new certificate")
    assert consortium.finish(job).state == "finished"
    until(lambda: len(events(consortium, "coordinator", "peer.connected")) > connections)
    after = tls.Credentials.load(folder)
    assert after.key_pem != before.key_pem
    assert after.not_after() > before.not_after()
    (issued,) = [
        entry["detail"]
        for entry in events(consortium, "coordinator", "certificate.issued")
        if entry["detail"]["institution"] == "bank-b"
    ]
    assert issued["digest"] == pki.digest(after.leaf)
    assert events(consortium, "bank-b", "certificate.renewed")
    ended = events(consortium, "coordinator", "peer.disconnected")[-1]
    assert ended["reason"] == "the node has a new certificate"
    assert ended["detail"]["orderly"]


def test_a_lost_answer_leaves_a_folder_that_works(consortium: Consortium) -> None:
    """The coordinator has issued, the member has not heard of it: both keys are good, and it asks again."""
    folder = support.enrol_person(consortium, "bank-b", "analyst", "lou")
    profile = Profile.load(folder)
    before = tls.Credentials.load(folder)

    def lose(_: object) -> None:
        raise ConnectionError

    due = Renewal(folder, profile.identity, profile.channel, later, lose)
    with pytest.raises(ConnectionError):
        due.check()
    assert tls.Credentials.load(folder) == before
    assert len(keyfiles.read_secret(folder / tls.KEY_FILE)) > len(before.key_pem)
    with Session(profile) as session:
        assert session.members()
    assert Renewal(folder, profile.identity, profile.channel, later).check()
    assert tls.Credentials.load(folder).key_pem != before.key_pem
    with Session(Profile.load(folder)) as session:
        assert session.members()


def test_a_person_renews_by_command(consortium: Consortium) -> None:
    shown = consortia("user", "renew", "--profile", consortium.root / "analyst")
    assert shown.exit_code == 0, shown.output
    assert "nothing is due" in shown.output
    facts = as_json(consortia("user", "show", "--profile", consortium.root / "analyst", "--json"))
    assert facts["words"] == words(facts["fingerprint"])


def test_a_renewal_is_for_oneself_with_the_enrolled_keys(consortium: Consortium) -> None:
    profile = Profile.load(consortium.root / "regulator")
    csr = pki.make_request(pki.new_key())
    stranger = PrivateIdentity.generate("lab", "authority", "regulator", "rex")
    with profile.channel() as channel:
        calls = network_pb2_grpc.CertificatesStub(channel)
        for proof in (stranger.sign("renew", renewal.proof_message(csr)), b"", profile.identity.sign("enrol", csr)):
            request = pb.RenewRequest(csr_pem=csr, proof=proof)
            with pytest.raises((SignatureRefusedError, NotPermittedError)), rpc.calling("it"):
                calls.Renew(request, timeout=20)
        with pytest.raises(Exception, match="can't be read"), rpc.calling("it"):
            calls.Renew(pb.RenewRequest(csr_pem=b"rubbish"), timeout=20)


@pytest.fixture
def newcomer(consortium: Consortium) -> Path:
    """The folder of a fourth institution that has enrolled."""
    folder = consortium.root / "bank-x"
    settings = enrolment.create(folder, "bank-x")
    enrolment.enrol(config.load(settings), support._invite(consortium, "bank-x", "node", "node"), support._now)
    return folder


async def test_a_revocation_reaches_a_live_stream_at_once(consortium: Consortium, newcomer: Path) -> None:
    credentials = tls.Credentials.load(newcomer)
    fingerprint = keyfiles.load_identity(newcomer / "identity.key").public.fingerprint
    channel = tls.client_channel(f"127.0.0.1:{consortium.port}", credentials, "lab", aio=True)
    async with channel:
        call = ExchangeStub(channel).Attach()
        await call.write(Frame(hello={"version": 1, "network": "lab", "software": "by hand"}))
        assert (await call.read()).HasField("hello")
        command = ("network", "revoke", "--config", consortium.coordinator_config, "--institution", "bank-x")
        began = time.monotonic()
        done = await asyncio.to_thread(consortia, *command, "--reason", "it left", "--by", "olga")
        assert done.exit_code == 0, done.output
        assert "members revoked: 1" in done.output
        while not (frame := await call.read()).HasField("bye"):
            pass
        assert frame.bye.reason == "its membership was revoked"
        assert time.monotonic() - began < SOON  # a third of a second where nothing else runs
        call.cancel()
    with (
        tls.client_channel(f"127.0.0.1:{consortium.port}", credentials, "lab") as blocking,
        pytest.raises(NotPermittedError, match="it was revoked"),
        rpc.calling("it"),
    ):
        await asyncio.to_thread(network_pb2_grpc.CertificatesStub(blocking).Trust, pb.TrustRequest(), timeout=20)
    for bank in BANKS:
        await asyncio.to_thread(until, partial(knows, consortium, bank, fingerprint))
        is_revoked = partial(node(consortium, bank).tools.peers.is_revoked, fingerprint)
        await asyncio.to_thread(until, is_revoked)  # logged first, acted upon second


def knows(consortium: Consortium, bank: str, fingerprint: str) -> bool:
    return any(
        entry["detail"]["fingerprint"] == fingerprint for entry in events(consortium, bank, "member.revoked")
    )


def test_revoked_keys_never_come_back(consortium: Consortium) -> None:
    folder = support.enrol_person(consortium, "bank-b", "analyst", "eva")
    command = ("network", "revoke", "--config", consortium.coordinator_config, "--institution", "bank-b")
    who = ("--role", "analyst", "--name", "eva")
    assert consortia(*command, *who, "--reason", "stolen laptop", "--by", "pia").exit_code == 0
    with Session(Profile.load(folder)) as session, pytest.raises(NotPermittedError, match="it was revoked"):
        session.members()
    with pytest.raises(Exception, match="were revoked, and keys never come back"):
        profiles.enrol(folder, support._invite(consortium, "bank-b", "analyst", "eva"), support._now())
    shown = as_json(consortia("network", "members", "--config", consortium.coordinator_config, "--json"))
    states = {(one["institution"], one["name"]): one["state"] for one in shown}
    assert states["bank-b", "eva"] == "revoked"
    assert states["bank-b", "node"] == "active"
    refused = consortia(*command, *who, "--reason", "again", "--by", "pia")
    assert "there is no active member bank-b/analyst/eva" in refused.output


def test_members_are_confirmed_by_what_they_read_out(consortium: Consortium) -> None:
    told = as_json(consortia("node", "status", "--config", consortium.node_config("bank-a"), "--json"))["words"]
    command = ("network", "confirm", "--config", consortium.coordinator_config, "--institution", "bank-a")
    who = ("--role", "node", "--by", "olga")
    assert consortia(*command, *who, *told.split()).exit_code == 0
    until(lambda: bool(events(consortium, "coordinator", "member.confirmed")))
    (entry,) = events(consortium, "coordinator", "member.confirmed")
    assert (entry["actor"], entry["detail"]["institution"]) == ("olga", "bank-a")
    wrong = consortia(*command, *who, *reversed(told.split()))
    assert "not the fingerprint" in wrong.output


def test_a_bank_confirms_another_by_what_it_reads_out(consortium: Consortium) -> None:
    mine, theirs = consortium.node_config("bank-a"), consortium.node_config("bank-c")
    told = as_json(consortia("node", "status", "--config", theirs, "--json"))
    members = consortium.root / "bank-a" / "members.txt"
    members.write_text("# by telephone\nbank-c 00  # wrong\n" + members.read_text())
    command = ("node", "confirm", "--config", mine, "--by", "olga", "--institution", "bank-c")
    assert consortia(*command, *told["words"].split()).exit_code == 0
    (entry,) = events(consortium, "bank-a", "member.confirmed")
    assert (entry["actor"], entry["detail"]["fingerprint"]) == ("olga", told["fingerprint"])
    assert read_members(members)["bank-c"] == told["fingerprint"]
    assert members.read_text().startswith("# by telephone\n")
    for whose in ("bank-b", "nobody", "coordinator"):
        wrong = consortia(*command[:-1], whose, *told["words"].split())
        assert "not the fingerprint that the coordinator shows" in wrong.output
    own = keyfiles.load_public_identity(consortium.root / "bank-a" / "coordinator.json").fingerprint
    assert consortia(*command[:-1], "coordinator", own).exit_code == 0
    assert set(read_members(members)) == set(BANKS)


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (timedelta(days=-1), "is valid from"),
        (timedelta(days=31), "expired at"),
    ],
)
def test_a_wrong_clock_is_told_from_a_wrong_certificate(
    consortium: Consortium, moment: timedelta, why: str
) -> None:
    credentials = tls.Credentials.load(consortium.root / "bank-a")
    with pytest.raises(CertificateError, match=why) as refused:
        credentials.require_valid(datetime.now(UTC) + moment)
    assert "clock" in refused.value.blame + refused.value.remedy
    now = datetime.now(UTC)
    foreign = tls.Credentials(ca.make_root("lab", now).certificate_pem, credentials.chain_pem, credentials.key_pem)
    with pytest.raises(CertificateError, match="no root of this network vouches"):
        foreign.require_valid(now)
    assert not leaves.is_due(credentials.leaf, now)
