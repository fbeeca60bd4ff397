"""The keys that a policy is made of, each believed only if it leads back to a fingerprint that is known here."""

from collections.abc import Mapping
from pathlib import Path

from consortia_client.errors import ClientError
from consortia_client.profile import Profile
from consortia_common import keyfiles, rpc
from consortia_common.audit_verify import find_log
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.audit.witnesskeys import WitnessKeys
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import witness_pb2, witness_pb2_grpc

SECONDS = 20


def fetch(profile_folder: Path, members: Mapping[str, str]) -> list[WitnessKeys]:
    """The witness keys of those ``members`` who have said theirs. Raises ConsortiaError."""
    profile = Profile.load(profile_folder)
    with rpc.calling("the coordinator"), profile.channel() as channel:
        request = witness_pb2.WitnessesRequest()
        said = witness_pb2_grpc.WitnessingStub(channel).Witnesses(request, timeout=SECONDS).statements
    pairs = [(PublicIdentity.from_document(canonical.decode(one.identity)), one.statement) for one in said]
    return [
        WitnessKeys.parse(statement, identity)
        for identity, statement in pairs
        if members.get(identity.institution) == identity.fingerprint
    ]


def log_keys(source: Path, members: Mapping[str, str]) -> list[VerifierKey]:
    """The keys that sign the checkpoints of the log in ``source``. Raises ConsortiaError."""
    folder = find_log(source)
    owner = keyfiles.load_public_identity(folder.identity)
    if members.get(owner.institution) != owner.fingerprint:
        raise ClientError(
            f"{source} is the log of {owner.institution} with fingerprint {owner.fingerprint[:16]}, which the "
            "members file does not have",
            blame="whoever handed the log over, or wrote the members file",
            remedy="compare the fingerprint with that institution by another way than the network",
        )
    pairs = logkeys.parse(keyfiles.read_file(folder.vkeys), owner)
    return [key for pair in pairs for key in pair.keys]
