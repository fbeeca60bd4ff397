"""Enrolment over a real connection: who gets in, who doesn't, and what the log says of each."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import pytest

from consortia_client import profile
from consortia_common import joining, keyfiles, logs, pki, rpc, tls
from consortia_common.audit_log import AuditLog
from consortia_common.errors import ExchangeError, NotPermittedError, SettingsError
from consortia_common.joining import Invitation
from consortia_common.shown import Shown
from consortia_coordinator import ca, config, network, port
from consortia_coordinator.certificates import CertificateService, Issuer
from consortia_coordinator.enrolment import EnrolmentService, log_invitations
from consortia_coordinator.members import Members
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.members import InvitationRecord, MembersStore
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError, SignatureRefusedError
from consortia_crypto.keys import PrivateIdentity
from consortia_node import config as node_config
from consortia_node import enrolment as node_enrolment
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc as rpc_stubs


@dataclass
class Clock:
    """A clock that a test can move; starts now, since TLS looks at the real one."""

    offset: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass
class Running:
    """A coordinator that serves enrolment and certificates only."""

    settings: config.CoordinatorSettings
    store: MembersStore
    log: AuditLog
    clock: Clock
    shown: Shown

    def follow(self) -> None:
        """What a running coordinator does every second."""
        host, _, port = self.settings.listen.rpartition(":")
        self.shown.follow((host, int(port)), 0.0)

    def invite(self, institution: str = "bank-a", role: str = "node", name: str = "node") -> Invitation:
        return network.invite(self.settings, self.store, (institution, role, name), self.clock())

    def events(self) -> list[tuple[str, dict]]:
        bodies = [canonical.decode(raw)["body"] for raw in self.log.read()]
        return [(body["type"], body.get("detail", {}) | body) for body in bodies]


def _serve(
    service: EnrolmentService, certificates: CertificateService, shown: Shown, ready: threading.Event, state: dict
) -> None:
    async def main() -> None:
        server = grpc.aio.server(options=tls.SERVER_OPTIONS)
        rpc_stubs.add_EnrolmentServicer_to_server(service, server)
        rpc_stubs.add_CertificatesServicer_to_server(certificates, server)
        state["port"] = server.add_secure_port("127.0.0.1:0", shown.server_credentials())
        state["stop"], state["loop"] = asyncio.Event(), asyncio.get_running_loop()
        await server.start()
        ready.set()
        await state["stop"].wait()
        await server.stop(0)

    asyncio.run(main())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    clock = Clock()
    folder = tmp_path / "coordinator"
    network.create(folder, "demo", "127.0.0.1:1", clock())
    settings = config.load(folder / "coordinator.toml")
    engine = open_database(settings.database_file)
    identity = keyfiles.load_identity(settings.identity_file)
    log = AuditLog.open(settings.audit_folder, identity, "coordinator", clock)
    service = EnrolmentService(engine, log, Issuer(settings), identity.public, clock)
    members = Members("demo", MembersStore(engine), clock, log)
    certificates = CertificateService(members, log, Issuer(settings), clock)
    ready, state = threading.Event(), {}
    shown = Shown(partial(tls.Credentials.load, folder), "demo")
    thread = threading.Thread(target=_serve, args=(service, certificates, shown, ready, state))
    thread.start()
    assert ready.wait(10)
    settings = settings.model_copy(update={"listen": f"127.0.0.1:{state['port']}"})
    yield Running(settings, MembersStore(engine), log, clock, shown)
    state["loop"].call_soon_threadsafe(state["stop"].set)
    thread.join(10)
    log.close()
    engine.dispose()


def _call(invitation: Invitation, newcomer: PrivateIdentity, **changes: bytes) -> pb.EnrolResponse:
    """Enrol by hand, so that parts can be forged."""
    csr = changes.get("csr_pem") or pki.make_request(pki.new_key())
    proof = newcomer.sign("enrol", joining.proof_message(csr, invitation.invitation_id))
    request = pb.EnrolRequest(
        csr_pem=csr, identity=canonical.encode(newcomer.public.document()), proof=changes.get("proof") or proof
    )
    if "identity" in changes:
        request.identity = changes["identity"]
    with (
        tls.client_channel(invitation.address, invitation.credentials(), invitation.network) as channel,
        rpc.calling("the coordinator"),
    ):
        return rpc_stubs.EnrolmentStub(channel).Enrol(request, timeout=10)


def _identity(institution: str = "bank-a", role: str = "node", name: str = "node") -> PrivateIdentity:
    return PrivateIdentity.generate("demo", institution, role, name)


def test_a_node_enrols_and_both_logs_say_so(running: Running, tmp_path: Path):
    settings_file = node_enrolment.create(tmp_path / "a", "bank-a")
    invitation = running.invite()
    joined = node_enrolment.enrol(node_config.load(settings_file), invitation, running.clock)
    settings = node_config.load(settings_file).require_enrolled()
    assert (settings.network, settings.coordinator) == ("demo", running.settings.listen)
    assert joined.coordinator == keyfiles.load_public_identity(settings.coordinator_file).fingerprint
    member = running.store.active("bank-a", "node", "node")
    assert member is not None
    assert member.fingerprint == joined.own
    assert running.store.identities() == [canonical.encode(member.document())]
    credentials = tls.Credentials.load(settings.folder)
    subject = pki.verify_leaf(credentials.chain_pem, credentials.ca_pem, running.clock())
    assert subject == pki.Subject("demo", "bank-a", "node", "node")
    assert [name for name, _ in running.events()] == ["log.opened", "invitation.created", "member.enrolled"]
    assert running.events()[-1][1]["fingerprint"] == joined.own
    with AuditLog.open(
        settings.audit_folder, keyfiles.load_identity(settings.identity_file), "bank-a", running.clock
    ) as log:
        types = [canonical.decode(raw)["body"]["type"] for raw in log.read()]
    assert "node.enrolled" in types


def test_no_private_key_reaches_the_coordinator(running: Running, tmp_path: Path):
    settings_file = node_enrolment.create(tmp_path / "a", "bank-a")
    node_enrolment.enrol(node_config.load(settings_file), running.invite(), running.clock)
    key = (tmp_path / "a" / "tls.key").read_bytes().splitlines()[1]
    seeds = canonical.decode((tmp_path / "a" / "identity.key").read_bytes())["seeds"].values()
    kept = b"".join(path.read_bytes() for path in running.settings.folder.rglob("*") if path.is_file())
    assert key not in kept
    assert not any(seed.encode() in kept for seed in seeds)


def test_a_member_is_active_by_its_full_name(running: Running):
    _call(running.invite(), _identity())
    (member,) = running.store.all()
    peer = tls.Peer("demo", "bank-a", "node", "node", running.clock(), member.leaf.tls_key)
    assert running.store.standing(peer) == ""
    assert running.store.standing(replace(peer, role="analyst")) == "it has not enrolled"
    assert "an old one" in running.store.standing(replace(peer, key="0" * 64))


def test_the_coordinator_renews_its_own_certificate_in_time(running: Running):
    folder = running.settings.folder
    before = tls.Credentials.load(folder)
    assert not network.renew_server_certificate(running.settings, running.clock() + timedelta(days=19))
    assert network.renew_server_certificate(running.settings, running.clock() + timedelta(days=21))
    after = tls.Credentials.load(folder)
    assert after.key_pem != before.key_pem  # with a fresh key, of which the older one is gone
    assert after.not_after() - before.not_after() > timedelta(days=20)


def test_the_operator_is_told_in_time_that_the_issuing_certificate_ends(
    running: Running, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr(logs, "event", lambda event, **_: said.append(event))
    port.warn_of_issuer(running.settings, running.clock())
    assert said == []
    port.warn_of_issuer(running.settings, running.clock() + timedelta(days=700))
    assert said == ["issuer.expiring"]


def test_a_person_enrols(running: Running, tmp_path: Path):
    profile.create(tmp_path / "p", "bank-a", "analyst", "ana")
    joined = profile.enrol(tmp_path / "p", running.invite("bank-a", "analyst", "ana"), running.clock())
    assert (joined.network, joined.address) == ("demo", running.settings.listen)
    assert profile.Profile.load(tmp_path / "p").identity == joined.identity


def test_an_invitation_works_once(running: Running):
    invitation = running.invite()
    _call(invitation, _identity())
    with pytest.raises(ExchangeError, match="used already"):
        _call(invitation, _identity())
    refusal = running.events()[-1]
    assert refusal[0] == "peer.refused"
    assert refusal[1]["peer"] == f"bank-a/invitee/{invitation.invitation_id}"


def test_a_lost_answer_is_mended_by_a_new_invitation_for_the_same_keys(running: Running):
    identity = _identity()
    _call(running.invite(), identity)
    _call(running.invite(), identity)
    assert len(running.store.identities()) == 1


def test_an_active_name_is_not_given_to_other_keys(running: Running):
    _call(running.invite(), _identity())
    with pytest.raises(ExchangeError, match="active member with other keys"):
        _call(running.invite(), _identity())


def test_an_expired_invitation_is_refused_at_both_ends(running: Running):
    invitation = running.invite()
    running.clock.offset = timedelta(days=8)
    with pytest.raises(SettingsError, match="expired"):
        joining.join(invitation, _identity(), pki.new_key(), running.clock())
    with pytest.raises(ConsortiaError, match="expired"):
        _call(invitation, _identity())


def _invented(running: Running, invitation_id: str) -> Invitation:
    """An invitation of that id with a certificate that the network's own authority signed."""
    key = pki.new_key()
    subject = pki.Subject("demo", "bank-a", "invitee", invitation_id)
    chain = ca.issue(network.load_authority(running.settings), key.public_key(), subject, running.clock())
    return running.invite().model_copy(
        update={
            "invitation_id": invitation_id,
            "chain_pem": chain.decode(),
            "key_pem": pki.key_pem(key).decode(),
        }
    )


def test_the_database_decides_when_an_invitation_ends(running: Running):
    record = InvitationRecord("inv-" + "0" * 32, "bank-a", "node", "node", created_ms=0, expires_ms=1)
    running.store.invite(record)
    with pytest.raises(ExchangeError, match="the invitation has expired"):
        _call(_invented(running, record.invitation_id), _identity())


def test_an_invitation_nobody_made_is_refused(running: Running):
    with pytest.raises(ExchangeError, match="no such invitation"):
        _call(_invented(running, "inv-" + "f" * 32), _identity())


def test_a_forged_invitation_is_refused_by_tls(running: Running):
    now = running.clock()
    own = ca.make_issuing(ca.make_root("demo", now), "demo", now)
    invitation = running.invite()
    key = pki.new_key()
    subject = pki.Subject("demo", "bank-a", "invitee", invitation.invitation_id)
    chain = ca.issue(own, key.public_key(), subject, now)
    forged = invitation.model_copy(update={"chain_pem": chain.decode(), "key_pem": pki.key_pem(key).decode()})
    with pytest.raises(ExchangeError, match="secure connection was refused"):
        _call(forged, _identity())


def test_an_invitation_to_another_network_is_refused_by_the_newcomer(running: Running):
    now = running.clock()
    foreign_root = ca.make_root("demo", now).certificate_pem.decode()
    invitation = running.invite().model_copy(update={"ca_pem": foreign_root})
    with pytest.raises(ExchangeError, match="does not show a certificate of this network"):
        _call(invitation, _identity())


@pytest.mark.parametrize(
    "identity",
    [
        PrivateIdentity.generate("demo", "bank-b", "node", "node"),
        PrivateIdentity.generate("demo", "bank-a", "analyst", "node"),
        PrivateIdentity.generate("other", "bank-a", "node", "node"),
    ],
)
def test_an_invitation_is_for_one_name_only(running: Running, identity: PrivateIdentity):
    with pytest.raises(ExchangeError, match="nobody else"):
        _call(running.invite(), identity)


def test_a_proof_by_other_keys_is_refused(running: Running):
    csr = pki.make_request(pki.new_key())
    invitation = running.invite()
    proof = _identity().sign("enrol", joining.proof_message(csr, invitation.invitation_id))
    with pytest.raises((SignatureRefusedError, NotPermittedError)):
        _call(invitation, _identity(), csr_pem=csr, proof=proof)


@pytest.mark.parametrize("changes", [{"csr_pem": b"rubbish"}, {"identity": b"{}"}, {"identity": b"\xff"}])
def test_rubbish_is_refused_and_the_invitation_stays_good(running: Running, changes: dict[str, bytes]):
    invitation = running.invite()
    with pytest.raises(ConsortiaError):
        _call(invitation, _identity(), **changes)
    assert _call(invitation, _identity()).certificate_pem


def test_a_member_may_not_use_the_invitees_call(running: Running):
    invitation = running.invite()
    key = pki.new_key()
    identity = _identity()
    answer = _call(invitation, identity, csr_pem=pki.make_request(key))
    credentials = tls.Credentials(invitation.ca_pem.encode(), answer.certificate_pem, pki.key_pem(key))
    with (
        tls.client_channel(invitation.address, credentials, "demo") as channel,
        pytest.raises(NotPermittedError, match="bank-a/node/node may not"),
        rpc.calling("the coordinator"),
    ):
        rpc_stubs.EnrolmentStub(channel).Enrol(pb.EnrolRequest(), timeout=10)


def test_invitations_are_logged_in_order_before_they_are_honoured(running: Running):
    first, second = running.invite("bank-a"), running.invite("bank-b")
    assert log_invitations(running.store, running.log, running.clock) == 2
    assert log_invitations(running.store, running.log, running.clock) == 0
    logged = [body["invitation"] for name, body in running.events() if name == "invitation.created"]
    assert logged == [first.invitation_id, second.invitation_id]


def test_nothing_is_issued_when_the_log_cannot_be_written(running: Running):
    invitation = running.invite()
    running.log.close()
    with pytest.raises(ConsortiaError):
        _call(invitation, _identity())
    assert running.store.identities() == []


def test_an_altered_answer_is_refused(running: Running):
    invitation = running.invite().model_copy(update={"coordinator": "0" * 64})
    with pytest.raises(ExchangeError, match="not what the invitation promises"):
        joining.join(invitation, _identity(), pki.new_key(), running.clock())


def test_a_folder_takes_only_its_own_invitation(running: Running, tmp_path: Path):
    settings_file = node_enrolment.create(tmp_path / "a", "bank-a")
    with pytest.raises(SettingsError, match="the invitation is for bank-b/node/node"):
        node_enrolment.enrol(node_config.load(settings_file), running.invite("bank-b"), running.clock)


def test_invitations_survive_their_file(running: Running, tmp_path: Path):
    invitation = running.invite()
    path = tmp_path / "invitation.json"
    invitation.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Invitation.load(path) == invitation
    assert invitation.key_pem not in repr(invitation)
