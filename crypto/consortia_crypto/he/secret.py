"""The secret side: making keys, encrypting, decrypting. The coordinator may not import this module.

A secret is a serialised TenSEAL context that holds its secret key; it travels only inside sealed envelopes and
is never logged. Nothing here tells anyone about noise budgets or why a decryption went wrong.
"""

from typing import Any

import numpy as np
import tenseal as ts
from numpy.typing import NDArray

from consortia_crypto.he import context as contexts
from consortia_crypto.he.params import ParameterSet, centred
from consortia_crypto.he.wire import Form, check_ciphertext, check_key, refused, translated

_OWNER = "whoever supplied the secret"


def generate(params: ParameterSet) -> bytes:
    """A fresh key pair as a serialised private context; randomness is the operating system's, through SEAL."""
    with translated("making a key", "this process"):
        if params.scheme == "bfv":
            context = ts.context(
                ts.SCHEME_TYPE.BFV, params.degree, params.plain_modulus, list(params.modulus_bits), n_threads=1
            )
        else:
            context = ts.context(ts.SCHEME_TYPE.CKKS, params.degree, -1, list(params.modulus_bits), n_threads=1)
            context.global_scale = params.scale
        context.auto_relin = context.auto_rescale = context.auto_mod_switch = False
        return _serialised(context, secret=True)


def public_part(params: ParameterSet, secret: bytes) -> bytes:
    """The same context without its secret key, as it may leave the institution. Raises CiphertextError."""
    context = _load(params, secret)
    with translated("writing a public context", "this process"):
        return _serialised(context, secret=False)


class SecretContext:
    """Encrypts and decrypts under one secret."""

    def __init__(self, params: ParameterSet, secret: bytes) -> None:
        """Raises CiphertextError if ``secret`` is not exactly a private context of ``params``."""
        self._params = params
        self._context = _load(params, secret)

    def encrypt(self, slots: NDArray[np.int64] | NDArray[np.float64]) -> bytes:
        """One ciphertext of a full row of slots: BFV integers in [0, plain modulus), or CKKS numbers."""
        if slots.shape != (self._params.slots,):
            raise refused(f"a ciphertext takes exactly {self._params.slots} slots", "this process")
        with translated("encrypting", "this process"):
            if self._params.scheme == "bfv":
                return bytes(ts.bfv_vector(self._context, centred(self._params, slots)).serialize())
            return bytes(ts.ckks_vector(self._context, slots).serialize())

    def decrypt_integers(self, data: bytes, expected: Form, sender: str) -> NDArray[np.int64]:
        """The slots of a BFV ciphertext, in [0, plain modulus). Raises CiphertextError."""
        check_ciphertext(data, expected, sender)
        with translated("opening a ciphertext", sender):
            signed = np.array(ts.bfv_vector_from(self._context, data).decrypt(), np.int64)
        return np.mod(signed, self._params.plain_modulus)

    def decrypt_numbers(self, data: bytes, expected: Form, sender: str) -> NDArray[np.float64]:
        """The slots of a CKKS ciphertext. Raises CiphertextError."""
        check_ciphertext(data, expected, sender)
        with translated("opening a ciphertext", sender):
            return np.array(ts.ckks_vector_from(self._context, data).decrypt(), np.float64)


def _load(params: ParameterSet, secret: bytes) -> Any:
    fields = contexts.fields_of(secret, _OWNER)
    public_key = contexts.public_key_in(params, fields, _OWNER)
    secret_key = contexts.fields_of(fields.get(contexts.PRIVATE, b""), _OWNER).get(contexts.KEY, b"")
    check_key(secret_key, 72 + 8 * params.degree * len(params.modulus_bits), _OWNER)
    if contexts.encoded(params, public_key, secret_key) != secret:
        raise refused(f"a secret is not exactly a private context of {params.name}", _OWNER)
    return contexts.load(secret, _OWNER)


def _serialised(context: ts.Context, *, secret: bool) -> bytes:
    return bytes(
        context.serialize(
            save_public_key=True, save_secret_key=secret, save_galois_keys=False, save_relin_keys=False
        )
    )
