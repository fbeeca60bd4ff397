"""The one error shape of Consortia, and the family that this package raises.

Every error says what was refused, whose fault it is and what to do next; none of the three ever holds a
secret, a customer's identifier or a value from a customer's row.
"""


class ConsortiaError(Exception):
    """Something was refused: ``what`` happened, who is to ``blame``, and the ``remedy``."""

    def __init__(self, what: str, *, blame: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.blame = blame
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} (at fault: {self.blame}; what to do: {self.remedy})"


class CryptoError(ConsortiaError):
    """The only family that consortia_crypto raises, whatever bytes it is given."""


class EncodingError(CryptoError):
    """Bytes that are not the canonical form of anything."""


class SignatureRefusedError(CryptoError):
    """A signature that does not verify under the key that should have made it."""


class EnvelopeError(CryptoError):
    """An envelope that is not for us, not from whom it says, out of place, or altered."""


class CiphertextError(CryptoError):
    """A ciphertext, key or context that does not have the agreed shape."""


class PrivateKeyMaterialError(CiphertextError):
    """A homomorphic context that carries its secret key to where only public ones belong."""


class ScoreError(CryptoError):
    """Features, weights or answers of an encrypted scoring that do not fit each other."""


class SumError(CryptoError):
    """A sealed sum that was asked for or answered against its policy."""


class SubjectKeyError(CryptoError):
    """Something kept under a customer's key that does not open, because that key is gone or another."""


class AuditError(CryptoError):
    """A log entry that is malformed, or an event that is not in the catalogue."""


class NewerFormatError(AuditError):
    """A log entry in a format that this version does not know."""


class NoteError(AuditError):
    """A signed note, checkpoint or key in text form that is malformed."""


class NoteSignatureError(NoteError):
    """A signed note that nobody known signed, or with a signature that does not verify."""


class TileError(AuditError):
    """A tile or entry bundle that is malformed, or that a tree of the given size does not have."""


class PolicyError(AuditError):
    """A witness policy that is malformed or contradicts itself."""
