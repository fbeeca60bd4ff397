"""The public side: computing on ciphertexts with a context that can't open them.

Trusted for nothing but availability: it holds no secret. Every ciphertext is checked against its exact form
before SEAL sees it, and TenSEAL's exceptions come out as CiphertextError.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tenseal as ts
from numpy.typing import NDArray

from consortia_crypto.he.context import load_public
from consortia_crypto.he.params import ParameterSet, centred
from consortia_crypto.he.wire import check_ciphertext, form, refused, translated


class Evaluator:
    """Adds and weighs ciphertexts of one parameter set under one public key."""

    def __init__(self, params: ParameterSet, public: bytes, owner: str) -> None:
        """``owner`` is who supplied ``public``. Raises CiphertextError, PrivateKeyMaterialError."""
        self._params = params
        self._context = load_public(params, public, owner)

    def add(self, blocks: Mapping[str, bytes]) -> bytes:
        """The BFV sum of one ciphertext per sender. Raises CiphertextError naming who sent a bad one."""
        loaded = [self._bfv(data, sender) for sender, data in blocks.items()]
        if not loaded:
            raise refused("there is no ciphertext to add", "this process")
        with translated("adding ciphertexts", "the senders together"):
            for addend in loaded[1:]:
                loaded[0].add_(addend)
            return bytes(loaded[0].serialize())

    def add_plain(self, block: bytes, slots: NDArray[np.int64], sender: str) -> bytes:
        """The BFV sum of a ciphertext and a full row of ``slots`` in [0, plain modulus). Raises CiphertextError."""
        loaded = self._bfv(block, sender)
        with translated("adding to a ciphertext", sender):
            return bytes(loaded.add_(centred(self._params, slots)).serialize())

    def checked(self, block: bytes, sender: str) -> bytes:
        """``block``, which can be added. Raises CiphertextError naming ``sender`` if it can't."""
        self._bfv(block, sender)
        return block

    def affine(self, features: Sequence[bytes], weights: Sequence[float], bias: float, owner: str) -> bytes:
        """CKKS Σ weight·feature + bias, one scalar weight per ciphertext, started from a fresh encryption.

        A weight of zero leaves its feature out; the fresh start keeps the answer encrypted even if all are zero.
        """
        with translated("encrypting the bias", "this process"):
            constant = [bias] * self._params.slots
            total = ts.ckks_vector(self._context, constant, scale=self._params.product_scale)
        for data, weight in zip(features, weights, strict=True):
            feature = self._ckks(data, owner)
            if weight:
                with translated("weighing a feature", owner):
                    feature.mul_(weight)
                    total.add_(feature)
        with translated("writing the answer", "this process"):
            return bytes(total.serialize())

    def _bfv(self, data: bytes, sender: str) -> ts.BFVVector:
        check_ciphertext(data, form(self._params, self._params.scale), sender)
        with translated("reading a ciphertext", sender):
            return ts.bfv_vector_from(self._context, data)

    def _ckks(self, data: bytes, sender: str) -> ts.CKKSVector:
        check_ciphertext(data, form(self._params, self._params.scale), sender)
        with translated("reading a ciphertext", sender):
            return ts.ckks_vector_from(self._context, data)
