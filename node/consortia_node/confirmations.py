"""Fingerprints that this institution's people compared with their owners: logged, and kept in the members file.

The coordinator shows whose identity is whose; what counts is that it is the one whose words were read out.
"""

from pathlib import Path

from consortia_common import fingerprint_words, keyfiles, rpc
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_node.errors import NodeError
from consortia_node.tools import Tools
from consortia_node.witnessing import COORDINATOR, channel_of
from consortia_proto.v1 import control_pb2 as pb
from consortia_proto.v1 import network_pb2, network_pb2_grpc

CALL_SECONDS = 20
NODE = "node"


def confirm(tools: Tools, request: pb.ConfirmMemberRequest) -> pb.ConfirmedMember:
    """Log and keep the fingerprint that ``request`` says in words. Raises ConsortiaError if it is another one."""
    identity = _shown(tools, request.institution)
    if identity is None or not fingerprint_words.is_same(request.said, identity.fingerprint):
        tools.log.append("message.refused", reason="a fingerprint was not the one read out", peer="coordinator")
        raise NodeError(
            f"that is not the fingerprint that the coordinator shows for {request.institution[:60]}",
            blame="a mistake in reading or typing, or the coordinator",
            remedy="compare again, word by word; if it still differs, sign nothing with that institution, and tell "
            "its people and the network's operator",
        )
    tools.log.append(
        "member.confirmed",
        institution=identity.institution,
        role=identity.role,
        name=identity.name,
        fingerprint=identity.fingerprint,
        actor=request.by,
    )
    if identity.role == NODE:
        _keep(tools.settings.members, identity)
    return pb.ConfirmedMember(fingerprint=identity.fingerprint, path=str(tools.settings.members))


def _shown(tools: Tools, institution: str) -> PublicIdentity | None:
    """The node of that institution, as the coordinator knows it; the coordinator's own is here since enrolment."""
    if institution == COORDINATOR:
        return keyfiles.load_public_identity(tools.settings.coordinator_file)
    with channel_of(tools.settings, tools.clock) as channel, rpc.calling("the coordinator"):
        statements = network_pb2_grpc.StatementsStub(channel)
        shown = statements.Members(network_pb2.MembersRequest(), timeout=CALL_SECONDS).identities
    members = [PublicIdentity.from_document(canonical.decode(data)) for data in shown]
    return next((one for one in members if (one.institution, one.role) == (institution, NODE)), None)


def _keep(path: Path, identity: PublicIdentity) -> None:
    """Put the line into the members file, in the place of an older one of that institution."""
    lines = keyfiles.read_file(path).decode("utf-8", "replace").splitlines() if path.exists() else []
    others = [line for line in lines if line.split("#")[0].split()[:1] != [identity.institution]]
    kept = [*others, f"{identity.institution} {identity.fingerprint}"]
    keyfiles.write_file(path, "".join(f"{line}\n" for line in kept).encode())
