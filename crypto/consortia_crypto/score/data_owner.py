"""The side that holds the customers: encrypts their features under its own key and alone reads the scores.

The secret never leaves this institution. Decrypted scores carry CKKS noise that depends on the key: they must be
rounded before they leave the node, and never go back to the model's owner unrounded.
"""

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.he import secret as keys
from consortia_crypto.he.params import SCORE
from consortia_crypto.he.wire import form
from consortia_crypto.score.scale import GAIN, MAX_FEATURES, MAX_ROWS, blocks, refused

_SELF = "the institution that prepares the features"
_OTHER = "the model's owner"


def new_secret() -> bytes:
    """A fresh secret for one scoring job; stays here."""
    return keys.generate(SCORE)


def public_part(secret: bytes) -> bytes:
    """What the model's owner gets. Raises CiphertextError."""
    return keys.public_part(SCORE, secret)


def encrypt(secret: bytes, matrix: NDArray[np.float64]) -> list[bytes]:
    """Features (rows, d), each in [−1, 1], as ceil(rows / 2048)·d ciphertexts, block by block, feature by feature.

    Raises ScoreError for another shape, type or range, CiphertextError for a bad secret.
    """
    _check(matrix)
    context = keys.SecretContext(SCORE, secret)
    rows, features = matrix.shape
    padded = np.zeros((blocks(rows) * SCORE.slots, features))
    padded[:rows] = matrix * GAIN
    columns = padded.reshape(blocks(rows), SCORE.slots, features).transpose(0, 2, 1)
    return [context.encrypt(column) for block in columns for column in block]


def decrypt(secret: bytes, answer: list[bytes], rows: int, sender: str = _OTHER) -> NDArray[np.float64]:
    """The linear scores z = w·x + b, shape (rows,); ``sender`` is who answered.

    Raises ScoreError, CiphertextError.
    """
    if not 1 <= rows <= MAX_ROWS or len(answer) != blocks(rows):
        raise refused("the answer has another number of blocks than the rows sent", sender)
    context = keys.SecretContext(SCORE, secret)
    shape = form(SCORE, SCORE.product_scale)
    scores = [context.decrypt_numbers(block, shape, sender) for block in answer]
    return np.concatenate(scores)[:rows]


def _check(matrix: NDArray[np.float64]) -> None:
    if not isinstance(matrix, np.ndarray) or matrix.dtype != np.float64 or matrix.ndim != 2:
        raise refused("the features are not a float64 matrix of rows and columns", _SELF)
    rows, features = matrix.shape
    if not (1 <= rows <= MAX_ROWS and 1 <= features <= MAX_FEATURES):
        raise refused(f"it takes 1 to {MAX_ROWS} rows and 1 to {MAX_FEATURES} features", _SELF)
    if not (np.abs(matrix) <= 1.0).all():  # NaN fails it too
        raise refused("a feature is outside [−1, 1] or not a number", _SELF)
