"""The pinned bytes and numbers of each named set are what TenSEAL itself makes of them."""

import pytest
import tenseal as ts

from consortia_crypto.he import secret
from consortia_crypto.he.params import SCORE, SUM, ParameterSet
from consortia_crypto.he.wire import form

MOST_MODULUS_BITS = {4096: 109}  # HomomorphicEncryption.org standard, 128-bit security, ternary secret

PARAMS = pytest.mark.parametrize("params", [SUM, SCORE], ids=lambda params: params.name)


@PARAMS
def test_sets_are_128_bit_secure(params: ParameterSet) -> None:
    assert sum(params.modulus_bits) <= MOST_MODULUS_BITS[params.degree]


@PARAMS
def test_parameters_are_written_as_pinned(params: ParameterSet) -> None:
    assert params.encoded in secret.generate(params)[:100]


def test_moduli_allow_batching_and_the_ring() -> None:
    for prime in (SUM.plain_modulus, SUM.data_modulus):
        assert prime % (2 * SUM.degree) == 1
    assert SUM.plain_modulus == max(
        candidate for candidate in range(2**48 - 20 * 8192 + 1, 2**48, 8192) if is_prime(candidate)
    )


@PARAMS
def test_fresh_ciphertexts_have_the_expected_form(params: ParameterSet) -> None:
    context = ts.context_from(secret.generate(params), 1)
    encrypt = ts.bfv_vector if params.scheme == "bfv" else ts.ckks_vector
    expected = form(params, params.scale)
    for value in range(20):
        data = encrypt(context, [value] * params.slots).serialize()
        assert len(data) == expected.length
        assert data.startswith(expected.prefix)
        assert data.endswith(expected.suffix)


def is_prime(number: int) -> bool:
    """Fermat's test to a few bases: no composite among the few numbers asked about passes all of them."""
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11, 13))
