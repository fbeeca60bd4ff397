"""What an analyst signed, as the coordinator hands it over: believed only with the signature.

The coordinator adds the identities of the analyst and the parties; whether they are the right ones is for the
agreement to say, which names their fingerprints.
"""

from dataclasses import dataclass

from consortia_common.content import Content
from consortia_common.documents.base import refuse
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError
from consortia_crypto.keys import PublicIdentity


@dataclass(frozen=True)
class Asked:
    """The document, its signature, and the identities that came with it."""

    document: bytes
    signature: bytes
    identities: list[PublicIdentity]

    def verify(self, domain: str, analyst: str, source: str) -> PublicIdentity:
        """The identity with the fingerprint ``analyst``, if it signed. Raises DocumentError, CryptoError."""
        found = next((item for item in self.identities if item.fingerprint == analyst), None)
        if found is None:
            raise refuse(source, ["the analyst's identity is missing"])
        found.verify(domain, self.document, self.signature)
        return found


def read(content: Content, name: str, source: str) -> Asked:
    """What came under ``name``. Raises DocumentError."""
    config = content.config
    data, signature, documents = (config.get(key) for key in (name, "signature", "identities"))
    if not (isinstance(data, bytes) and isinstance(signature, bytes) and isinstance(documents, list)):
        raise refuse(source, [f"it lacks the signed {name} or the parties' identities"])
    return Asked(data, signature, [_identity(document, source) for document in documents])


def _identity(document: object, source: str) -> PublicIdentity:
    try:
        return PublicIdentity.from_document(canonical.decode(document if isinstance(document, bytes) else b""))
    except EncodingError as error:
        raise refuse(source, ["an identity in it can't be read"]) from error
