"""The vectors of a sealed sum inside a job's worker process: masked on their way out, opened on their way in.

A peer's ciphertext is parsed here and nowhere else at a node. The agent decides by the protocol's state machine and
hands over which masks there are; neither identity nor database is within reach.
"""

from consortia_crypto.errors import ConsortiaError
from consortia_crypto.sum import lattice_secret, opening
from consortia_crypto.sum.masking import MemberGroup
from consortia_crypto.sum.vector import FileVector
from consortia_node.errors import TotalRefusedError
from consortia_node.step import KeyRequest, Masked, MaskRequest, OpenRequest
from consortia_node.sumfiles import replacing


def new_key(request: KeyRequest) -> tuple[bytes, bytes]:
    """A fresh key of the engine "lattice" for a job: the secret, and its public part."""
    del request
    secret = lattice_secret.new_secret()
    return secret, lattice_secret.public_part(secret)


def mask(request: MaskRequest) -> Masked:
    """Seal the summand. Raises CryptoError."""
    group = _group(request)
    with (
        FileVector.reading(request.files.summand) as values,
        replacing(request.files.masked) as path,
        FileVector.creating(path, group.wire.size) as sink,
    ):
        digest, tag = opening.seal(request.policy, group, values, sink, request.plan)
    return Masked(digest, tag, group.wire)


def open_total(request: OpenRequest) -> None:
    """Open the total that came into the file of the total. Raises TotalRefusedError if it is not the sum."""
    group = _group(request)
    try:
        with (
            FileVector.reading(request.files.sealed) as sealed,
            replacing(request.files.total) as path,
            FileVector.creating(path, group.values.size) as sink,
        ):
            opening.open_total(group, sealed, sink, request.plan)
    except ConsortiaError as error:
        raise TotalRefusedError(error.what) from error


def _group(request: MaskRequest | OpenRequest) -> MemberGroup:
    return lattice_secret.member_group(request.policy, request.secret)
