"""PURE: whether a party has withdrawn the model of a job, as the coordinator passes on its signed word.

Trusted for: nobody but a party of the job can make a result count no more. A coordinator that keeps the word back
is not noticed here; the parties' own nodes have it by then, and their logs show it.
"""

from collections.abc import Iterable, Mapping

from consortia_client.errors import ResultError
from consortia_common.documents.statements import MODEL_WITHDRAWN, ModelWithdrawal
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb


def require_standing(
    statements: Iterable[pb.Statement], job_id: str, network: str, parties: Mapping[str, PublicIdentity]
) -> None:
    """Return if no party has withdrawn the job's model. Raises ResultError if one has."""
    for statement in statements:
        party = parties.get(statement.institution)
        if statement.type != MODEL_WITHDRAWN or party is None:
            continue
        stated = _read(statement, party)
        if stated and (stated.network, stated.job, stated.institution) == (network, job_id, party.institution):
            raise ResultError(
                f"the model of {job_id} was withdrawn by {stated.institution}: {stated.reason}",
                blame="nobody; a withdrawn model is not used any more",
                remedy="use another model, and delete copies of this one; or ask that institution why",
            )


def _read(statement: pb.Statement, party: PublicIdentity) -> ModelWithdrawal | None:
    """What the party stated; None if it did not."""
    try:
        party.verify(MODEL_WITHDRAWN, statement.document, statement.signature)
        return ModelWithdrawal.from_canonical(statement.document, "a withdrawal")
    except ConsortiaError:
        return None
