"""The coordinator's statement that a member's keys count no more, signed for every node to check."""

from typing import Literal

from consortia_common.documents.agreement import Line
from consortia_common.documents.base import Count, Document, Fingerprint, Name

REVOKED = "member.revoked"
"""The domain of the signature."""
STEP = "notice.revocation"
"""The step by which a node is told."""


class Revocation(Document):
    """An identity is named by its fingerprint; its names are for people, and for finding its jobs."""

    v: Literal[1] = 1
    network: Name
    institution: Name
    role: Literal["node", "analyst", "officer", "regulator"]
    name: Name
    fingerprint: Fingerprint
    reason: Line = ""
    at_ms: Count
