"""The side that owns the model: computes w·x + b on features that it can't read.

The answer starts from a fresh encryption of the bias, so its randomness is new and no ciphertext that came in goes
out again. That doesn't hide the model from whoever decrypts: d + 1 exact scores can be solved for the d weights
and the bias, and the noise of one answer depends on the weights. Features beyond ±1 can't be told when encrypted.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SCORE
from consortia_crypto.score.scale import MAX_FEATURES, MAX_ROWS, MAX_SCORE, WEIGHT_STEP, blocks, refused

_SELF = "the model's owner"
_OTHER = "the institution that sent the features"


def evaluate(
    public: bytes,
    features: Sequence[bytes],
    weights: NDArray[np.float64],
    bias: float,
    rows: int,
    sender: str = _OTHER,
) -> list[bytes]:
    """The encrypted scores of ``rows`` rows, one ciphertext per block of 2048.

    ``features`` are block after block, one ciphertext per weight. Weights are rounded to multiples of 2^-16.
    ``sender`` is who sent public context and features, for the errors.
    Raises ScoreError where counts or sizes do not fit, CiphertextError for a bad context or ciphertext,
    PrivateKeyMaterialError for a context that holds its secret key.
    """
    _check_model(weights, bias)
    if not 1 <= rows <= MAX_ROWS or len(features) != blocks(rows) * len(weights):
        raise refused("it is not one ciphertext per feature of the model and block of rows", sender)
    evaluator = Evaluator(SCORE, public, sender)
    scaled = [float(weight) for weight in np.rint(weights / WEIGHT_STEP) / SCORE.scale]
    width = len(scaled)
    return [
        evaluator.affine(features[start : start + width], scaled, bias, sender)
        for start in range(0, len(features), width)
    ]


def _check_model(weights: NDArray[np.float64], bias: float) -> None:
    if not isinstance(weights, np.ndarray) or weights.dtype != np.float64 or weights.ndim != 1:
        raise refused("the weights are not one vector of float64", _SELF)
    if not 1 <= len(weights) <= MAX_FEATURES:
        raise refused(f"a model has 1 to {MAX_FEATURES} features", _SELF)
    largest = float(np.abs(weights).sum()) + abs(bias)
    if not math.isfinite(largest) or largest > MAX_SCORE:
        raise refused(f"the model can give scores beyond ±{MAX_SCORE:.0f}, or holds a NaN", _SELF)
