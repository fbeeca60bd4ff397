"""A regulator fetches the coordinator's log over mutual TLS; an analyst may not."""

import asyncio
import threading
from datetime import UTC, datetime

import grpc.aio
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine

from consortia_client import profile
from consortia_client.cli.audit import audit
from consortia_common import keyfiles, tls
from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import NotPermittedError
from consortia_common.shown import Shown
from consortia_coordinator import config, network
from consortia_coordinator.auditservice import AuditService
from consortia_coordinator.certificates import Issuer
from consortia_coordinator.enrolment import EnrolmentService
from consortia_coordinator.members import Members
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.tables import metadata
from consortia_proto.v1 import network_pb2_grpc


def now():
    return datetime.now(UTC)


async def _serve(folder, services, ready, state):
    server = grpc.aio.server(options=tls.SERVER_OPTIONS)
    enrolment, reader = services
    network_pb2_grpc.add_EnrolmentServicer_to_server(enrolment, server)
    network_pb2_grpc.add_AuditServicer_to_server(reader, server)
    state["port"] = server.add_secure_port(
        "127.0.0.1:0", Shown(lambda: tls.Credentials.load(folder), "demo").server_credentials()
    )
    state["stop"], state["loop"] = asyncio.Event(), asyncio.get_running_loop()
    await server.start()
    ready.set()
    await state["stop"].wait()
    await server.stop(0)


@pytest.fixture
def enrolled(tmp_path):
    """Enrols people with a coordinator that also serves its log; gives their profile folders."""
    folder = tmp_path / "coordinator"
    network.create(folder, "demo", "127.0.0.1:1", now())
    settings = config.load(folder / "coordinator.toml")
    engine = create_engine(f"sqlite:///{settings.database_file}")
    metadata.create_all(engine)
    store = MembersStore(engine)
    identity = keyfiles.load_identity(settings.identity_file)
    log = AuditLog.open(settings.audit_folder, identity, "coordinator", now)
    services = (
        EnrolmentService(engine, log, Issuer(settings), identity.public, now),
        AuditService(Members("demo", store, now, log), log),
    )
    ready, state = threading.Event(), {}
    thread = threading.Thread(target=lambda: asyncio.run(_serve(folder, services, ready, state)))
    thread.start()
    assert ready.wait(10)
    settings = settings.model_copy(update={"listen": f"127.0.0.1:{state['port']}"})

    def enrol(role):
        profile.create(tmp_path / role, "authority", role, "ann")
        profile.enrol(tmp_path / role, network.invite(settings, store, ("authority", role, "ann"), now()), now())
        return tmp_path / role

    yield enrol
    state["loop"].call_soon_threadsafe(state["stop"].set)
    thread.join(10)
    log.close()
    engine.dispose()


def fetch(profile_folder, out):
    return CliRunner().invoke(audit, ["fetch", "--profile", str(profile_folder), "--out", str(out)])


def test_a_regulator_fetches_the_log_and_verifies_it(enrolled, tmp_path):
    regulator = enrolled("regulator")
    result = fetch(regulator, tmp_path / "copy")
    assert result.exit_code == 0, result.output
    report = verify_folder(tmp_path / "copy", profile.Profile.load(regulator).coordinator.fingerprint)
    assert (report.verdict, report.key_confirmed) == ("verified", True)
    assert report.entries == 3


def test_an_analyst_is_refused_and_nothing_is_left_behind(enrolled, tmp_path):
    result = fetch(enrolled("analyst"), tmp_path / "copy")
    assert isinstance(result.exception, NotPermittedError)
    assert not list(tmp_path.glob("*copy*"))
