"""How the two sides of an encrypted scoring lay out rows and share the precision of a ciphertext.

Rows lie in slots, 2048 to a block; a block is one CKKS ciphertext per feature, block after block. Scale 2^24 each
for features and weights, no rescale: a product has scale 2^48, so scores up to 2^11 fit the 60-bit prime and 2^10
is what is allowed. Fresh noise is the same whatever is encrypted, so features are multiplied by GAIN = 2^8 before
and weights divided by it: features then have 32 bits and weights 16. (Scale 2^26 without gain wraps round at
|score| = 128, and with 23 weights of 30 a score errs by up to 7e-3.)
"""

from consortia_crypto.errors import ScoreError
from consortia_crypto.he.params import SCORE

GAIN = 2.0**8
WEIGHT_STEP = GAIN / SCORE.scale
MAX_SCORE = 2.0**10
MAX_FEATURES = 512
MAX_ROWS = 2**20


def blocks(rows: int) -> int:
    """How many blocks ``rows`` rows fill."""
    return -(-rows // SCORE.slots)


def room(rows: int) -> int:
    """How many customers the ciphertexts of ``rows`` rows have slots for.

    The model's owner can't see how many slots are really in use: whoever sends one row may ask for a block of them.
    """
    return blocks(rows) * SCORE.slots


def refused(why: str, blame: str) -> ScoreError:
    """The error for matrices, weights and answers that do not fit."""
    return ScoreError(
        f"an encrypted scoring was refused: {why}",
        blame=blame,
        remedy="compare the model's feature list and preprocessing with the job specification on both sides",
    )
