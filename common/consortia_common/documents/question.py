"""What an analyst asks nodes apart from jobs, signed; its id is bound to every byte, its domain is its own."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from consortia_common.documents.base import Count, Document, Fingerprint, Name, Nonce


class Question(Document):
    """What the analyst signs."""

    STEP: ClassVar[str]
    """The step by which nodes are asked; its event on the logs is STEP.asked."""

    v: Literal[1] = 1
    network: Name
    nonce: Nonce
    asked_ms: Count
    analyst: Fingerprint

    @classmethod
    def domain(cls) -> str:
        """What the signature is made for, so that it can't pass for a submission's or another question's."""
        return f"{cls.STEP}.question"

    @property
    def question_id(self) -> str:
        """Bound to every byte of the question."""
        return f"{self.STEP}-{self.hash()[:16]}"

    @property
    @abstractmethod
    def asked(self) -> tuple[str, ...]:
        """The institutions whose nodes are to answer."""

    @property
    @abstractmethod
    def logged(self) -> dict[str, Any]:
        """What its entry on a log says of it, beside who asked whom."""
