"""What institutions say that they offer under an agreement: signed by each, and in answer to this question."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from consortia_client.errors import ResultError
from consortia_common.documents.catalogue import ANSWER_DOMAIN, CatalogueAnswer, CatalogueQuestion
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb


@dataclass(frozen=True)
class Told:
    """One institution's answer, or why there is none."""

    institution: str
    answer: CatalogueAnswer | None
    failure: exchange_pb2.Failure | None = None


def checked(
    question: CatalogueQuestion, answers: Iterable[pb.SignedAnswer], identities: Mapping[str, PublicIdentity]
) -> tuple[Told, ...]:
    """One for each party. Raises CryptoError, DocumentError or ResultError for what is not its institution's."""
    came = {item.institution: item for item in answers}
    return tuple(_told(question, came.get(party, _nothing(party)), identities[party]) for party in question.parties)


def _nothing(party: str) -> pb.SignedAnswer:
    failure = exchange_pb2.Failure(what=f"nothing came from {party}", blame="the coordinator", remedy="ask again")
    return pb.SignedAnswer(institution=party, failure=failure)


def _told(question: CatalogueQuestion, item: pb.SignedAnswer, identity: PublicIdentity) -> Told:
    if not item.document:
        return Told(item.institution, None, item.failure)
    identity.verify(ANSWER_DOMAIN, item.document, item.signature)
    answer = CatalogueAnswer.from_canonical(item.document, f"the catalogue of {identity.institution}")
    said = (answer.network, answer.institution, answer.question)
    if said != (question.network, identity.institution, question.hash()):
        raise ResultError(
            f"what came as the catalogue of {identity.institution} answers another question",
            blame="the coordinator",
            remedy="ask again; if it persists, tell the network's operator",
        )
    return Told(identity.institution, answer)
