"""PURE: whether a log's "member.confirmed" is what an officer signed, as the attached statement shows."""

from collections.abc import Mapping
from typing import Any

from consortia_common.documents.confirmation import SignedConfirmation
from consortia_crypto.errors import ConsortiaError


def fault(body: Mapping[str, Any], attached: bytes) -> str:
    """Why the attached statement does not bear out the entry's body, in words; empty if it does."""
    try:
        signed = SignedConfirmation.from_canonical(attached, "the attached confirmation")
        event = signed.confirmation.event(signed.verify())
    except ConsortiaError as error:
        return error.what
    recorded = {**body.get("detail", {}), "actor": body.get("actor")}
    if any(recorded.get(name) != value for name, value in event.items()):
        return "the attached confirmation is by another officer, or of another member, than the entry says"
    return ""
