"""Fingerprints that this institution's people compared with their owners: logged, and kept in the members file.

The coordinator shows whose identity is whose; what counts is that it is the one whose words were read out. That is
said by whoever commands this node, or by an officer of this institution whose own fingerprint was confirmed here:
an officer whom only the coordinator calls one is logged and believed nothing.
"""

from pathlib import Path

from consortia_common import fingerprint_words, keyfiles, membership
from consortia_common.content import Content
from consortia_common.documents.base import refuse
from consortia_common.documents.confirmation import CONFIRMED, STEP, Confirmation, SignedConfirmation
from consortia_common.witness_owners import read_members
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_node.answers import Answer, failed_by
from consortia_node.errors import NodeError
from consortia_node.notices import signed_parts
from consortia_node.tools import Tools
from consortia_node.witnessing import COORDINATOR, channel_of
from consortia_proto.v1 import control_pb2 as pb
from consortia_proto.v1 import exchange_pb2, network_pb2_grpc

CALL_SECONDS = 20
NODE = "node"


def confirm(tools: Tools, request: pb.ConfirmMemberRequest) -> pb.ConfirmedMember:
    """Log and keep the fingerprint that ``request`` says in words. Raises ConsortiaError if it is another one."""
    identity = _shown(tools, request)
    if identity is None or not fingerprint_words.is_same(request.said, identity.fingerprint):
        tools.log.append("message.refused", reason="a fingerprint was not the one read out", peer="coordinator")
        raise NodeError(
            f"that is not the fingerprint that the coordinator shows for {request.institution[:60]}",
            blame="a mistake in reading or typing, or the coordinator",
            remedy="compare again, word by word; if it still differs, sign nothing with that institution, and tell "
            "its people and the network's operator",
        )
    tools.log.append(
        CONFIRMED,
        institution=identity.institution,
        role=identity.role,
        name=identity.name,
        fingerprint=identity.fingerprint,
        actor=request.by,
    )
    if identity.role != COORDINATOR:
        _keep(tools.settings.members, _named(identity), identity.fingerprint)
    return pb.ConfirmedMember(fingerprint=identity.fingerprint, path=str(tools.settings.members))


def receive(tools: Tools, task: exchange_pb2.Task, content: Content) -> Answer:
    """What an officer has signed: logged, and kept if this node's people know the officer."""
    del task
    try:
        document, signature, signer = signed_parts(content)
        signed = SignedConfirmation.of(document, signature, signer)
        _require_possible(tools, signed.confirmation)
    except ConsortiaError as error:
        tools.log.append("message.refused", reason=error.what, peer="coordinator", step=STEP)
        return Answer(failed_by(error))
    said = signed.confirmation
    tools.log.append(CONFIRMED, payload_commit=tools.log.attach(signed.canonical()), **said.event(signer))
    if said.role == NODE and _may_keep(tools, said, signer):
        _keep(tools.settings.members, said.member, said.fingerprint)
    return Answer(Content())


def _may_keep(tools: Tools, said: Confirmation, officer: PublicIdentity) -> bool:
    """Whether an officer of this institution, known here, says it, and nothing else was said of that member before.

    An old statement that comes again must not bring back keys that were replaced.
    """
    known = read_members(tools.settings.members)
    is_own = officer.institution == tools.institution and known.get(_named(officer)) == officer.fingerprint
    return is_own and known.get(said.member) in (None, said.fingerprint)


def _require_possible(tools: Tools, said: Confirmation) -> None:
    """Return if it is about this network, and about keys that can be right as far as is known here."""
    if said.network != tools.settings.network:
        raise refuse("the confirmation", ["it is for another network"])
    for fingerprint in (said.officer, said.fingerprint):
        tools.peers.require_standing(fingerprint)
    coordinator = keyfiles.load_public_identity(tools.settings.coordinator_file)
    if COORDINATOR in (said.role, said.member) and not said.is_of(coordinator):
        raise refuse("the confirmation", ["it gives the coordinator another fingerprint than it had at enrolment"])


def _shown(tools: Tools, request: pb.ConfirmMemberRequest) -> PublicIdentity | None:
    """The member as the coordinator knows it; the coordinator's own identity is here since enrolment."""
    if request.institution == COORDINATOR:
        return keyfiles.load_public_identity(tools.settings.coordinator_file)
    with channel_of(tools.settings, tools.clock) as channel:
        members = membership.shown(network_pb2_grpc.StatementsStub(channel), CALL_SECONDS)
    return membership.named(members, request.institution, request.role, request.name)


def _named(identity: PublicIdentity) -> str:
    """How the members file names a member: a node by its institution, a person with role and name."""
    if identity.role == NODE:
        return identity.institution
    return f"{identity.institution}/{identity.role}/{identity.name}"


def _keep(path: Path, named: str, fingerprint: str) -> None:
    """Put the line into the members file, in the place of an older one of that member."""
    lines = keyfiles.read_file(path).decode("utf-8", "replace").splitlines() if path.exists() else []
    others = [line for line in lines if line.split("#")[0].split()[:1] != [named]]
    kept = [*others, f"{named} {fingerprint}"]
    keyfiles.write_file(path, "".join(f"{line}\n" for line in kept).encode())
