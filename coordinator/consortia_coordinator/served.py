"""Every service on the coordinator's port, and what each is given to answer with.

Trusted for: each gets no more than it needs, so it is seen here which of them can reach the issuing key, the log or
the jobs. Who may call, each decides by the caller's certificate (members).
"""

from collections.abc import Callable

import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from consortia_coordinator.assembly import Parts, Shared
from consortia_coordinator.auditservice import AuditService
from consortia_coordinator.certificates import CertificateService, Issuer
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.enrolment import EnrolmentService
from consortia_coordinator.health import HealthService
from consortia_coordinator.jobservice import JobService
from consortia_coordinator.questions import QuestionService
from consortia_proto.v1 import (
    exchange_pb2,
    exchange_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    witness_pb2,
    witness_pb2_grpc,
)

SERVICES = tuple(
    service.full_name
    for contract in (exchange_pb2, network_pb2, witness_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
)
"""Everything that is served here, besides gRPC's own health protocol."""
QUESTION_SECONDS = 30.0
"""How long a party may take to say what its gate would decide, or what it offers."""


def add_services(server: grpc.aio.Server, parts: Parts, is_ready: Callable[[], bool]) -> None:
    """Have ``server`` serve all of them once it starts; ``is_ready`` is what the health protocol says."""
    exchange_pb2_grpc.add_ExchangeServicer_to_server(parts.exchange, server)
    network_pb2_grpc.add_StatementsServicer_to_server(parts.relay, server)
    witness_pb2_grpc.add_WitnessingServicer_to_server(parts.witnessing.service, server)
    _add_for_members(server, parts.shared)
    _add_for_analysts(server, parts.shared, parts.conductor)
    health = HealthService(parts.shared.members.require, SERVICES, is_ready)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)


def _add_for_members(server: grpc.aio.Server, shared: Shared) -> None:
    """What every member may call: to enrol, to stay, to read the coordinator's log."""
    members, log = shared.members, shared.log
    issuer = Issuer(shared.settings)
    enrolment = EnrolmentService(shared.engine, log, issuer, shared.identity.public, members.clock)
    certificates = CertificateService(members, log, issuer, members.clock)
    network_pb2_grpc.add_EnrolmentServicer_to_server(enrolment, server)
    network_pb2_grpc.add_CertificatesServicer_to_server(certificates, server)
    network_pb2_grpc.add_AuditServicer_to_server(AuditService(members, log), server)


def _add_for_analysts(server: grpc.aio.Server, shared: Shared, conductor: Conductor) -> None:
    """What analysts may call: jobs, and questions about what would be answered."""
    settings, members, mailbox, log = shared.settings, shared.members, shared.mailbox, shared.log
    jobs = JobService(members, shared.jobs, mailbox, log, conductor, shared.now_ms, limits=settings.job_limits)
    questions = QuestionService(members, mailbox, log, min(QUESTION_SECONDS, settings.offer_seconds))
    network_pb2_grpc.add_JobsServicer_to_server(jobs, server)
    network_pb2_grpc.add_QuestionsServicer_to_server(questions, server)
