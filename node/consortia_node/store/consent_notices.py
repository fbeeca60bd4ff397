"""The notices that consent records cite. One is never altered: another text or other terms are another version."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from consortia_common.documents.consent_notice import ConsentNotice
from consortia_node.consent import Terms
from consortia_node.errors import ConsentError
from consortia_node.store.tables import consent_notices


class NoticeStore:
    """Reads and writes of notices on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, notice: ConsentNotice) -> bool:
        """Keep a notice; False if it is kept already. Raises ConsentError for another one of that name."""
        kept = self._document(notice.reference)
        if kept is None:
            values = {"reference": notice.reference, "document": notice.canonical()}
            self._connection.execute(insert(consent_notices).values(values))
        elif kept != notice.canonical():
            raise ConsentError(
                f"another notice is registered as {notice.reference}",
                blame="whoever wrote the notice",
                remedy="give what has changed a new version",
            )
        return kept is None

    def all(self) -> list[ConsentNotice]:
        """Every notice, by reference."""
        query = select(consent_notices.c.document).order_by(consent_notices.c.reference)
        documents = self._connection.execute(query).scalars()
        return [ConsentNotice.from_canonical(document, "a stored notice") for document in documents]

    def terms(self) -> Mapping[str, Terms]:
        """What consent under each notice allows, by reference."""
        return {notice.reference: Terms.of(notice) for notice in self.all()}

    def _document(self, reference: str) -> bytes | None:
        here = consent_notices.c.reference == reference
        return self._connection.execute(select(consent_notices.c.document).where(here)).scalar()


def offers(terms: Mapping[str, Terms], notice: str, purpose: str) -> bool:
    """Whether that notice is registered, and for this purpose."""
    return notice in terms and purpose in terms[notice].purposes
