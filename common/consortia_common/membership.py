"""Who belongs to the network, as the coordinator shows it: whose identity is whose is for people to compare."""

from consortia_common import rpc
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc


def shown(statements: network_pb2_grpc.StatementsStub, seconds: float) -> list[PublicIdentity]:
    """Every active member's public identity. Raises ConsortiaError."""
    pages = rpc.gathered(statements.Members(pb.MembersRequest(), timeout=seconds), "the coordinator")
    documents = [document for page in pages for document in page.identities]
    return [PublicIdentity.from_document(canonical.decode(document)) for document in documents]


def named(members: list[PublicIdentity], institution: str, role: str, name: str) -> PublicIdentity | None:
    """The member of these names."""
    wanted = institution, role, name
    return next((one for one in members if (one.institution, one.role, one.name) == wanted), None)
