"""Any threshold of shares gives the secret back, fewer say nothing, and what can't be a share is refused."""

import itertools
import random

import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum.shamir import BYTES, P, combine, from_bytes, split, to_bytes

BELOW = random.Random(1).randrange


def test_the_modulus_is_prime() -> None:
    odd, twos = P - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # Miller–Rabin
        powers = [pow(base, odd << turn, P) for turn in range(twos)]
        assert powers[0] == 1 or P - 1 in powers


@pytest.mark.parametrize("secret", [0, 1, P - 1, 2**255])
def test_any_threshold_of_shares_gives_the_secret(secret: int) -> None:
    shares = dict(enumerate(split(secret, 6, 4, BELOW), 1))
    for chosen in itertools.combinations(shares.items(), 4):
        assert combine(dict(reversed(chosen)), 4) == secret
    assert combine(shares, 4) == secret


def test_shares_of_one_are_the_secret_and_a_threshold_of_all_needs_all() -> None:
    assert split(5, 3, 1, BELOW) == (5, 5, 5)
    shares = dict(enumerate(split(5, 50, 50, BELOW), 1))
    assert combine(shares, 50) == 5
    del shares[17]
    with pytest.raises(SumError, match="49 shares and 50"):
        combine(shares, 50)


def test_fewer_shares_fit_every_secret_alike() -> None:
    """For three of four shares and any secret there is a fourth share that gives just that secret."""
    shares = dict(enumerate(split(7, 4, 4, BELOW), 1))
    del shares[4]
    base = combine(shares | {4: 0}, 4)
    weight = (combine(shares | {4: 1}, 4) - base) % P
    for guess in (0, 1, 8, P - 1):
        fitting = (guess - base) * pow(weight, -1, P) % P
        assert combine(shares | {4: fitting}, 4) == guess


def test_a_wrong_share_gives_another_secret() -> None:
    shares = dict(enumerate(split(7, 4, 3, BELOW), 1))
    assert combine(shares | {2: (shares[2] + 1) % P}, 3) != 7


def test_the_secret_is_the_polynomial_at_zero_and_the_coefficients_are_the_sources() -> None:
    drawn = iter([10, 100])
    assert split(1, 3, 3, lambda below: next(drawn)) == (111, 421, 931)


@pytest.mark.parametrize(("secret", "shares", "threshold"), [(P, 3, 2), (-1, 3, 2), (1, 3, 4), (1, 3, 0)])
def test_what_can_t_be_shared_is_refused(secret: int, shares: int, threshold: int) -> None:
    with pytest.raises(SumError):
        split(secret, shares, threshold, BELOW)


@pytest.mark.parametrize(
    ("shares", "threshold"),
    [
        ({}, 1),
        ({1: 1}, 2),
        ({0: 1, 1: 1}, 2),
        ({-1: 1, 1: 1}, 2),
        ({1: P, 2: 1}, 2),
        ({P + 1: 1, 1: 1}, 2),
        ({1: 1}, 0),
    ],
    ids=["none", "too few", "at zero", "negative", "beyond p", "place beyond p", "no threshold"],
)
def test_what_can_t_be_combined_is_refused(shares: dict[int, int], threshold: int) -> None:
    with pytest.raises(SumError):
        combine(shares, threshold)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), P.to_bytes(32, "little"), b"\xff" * 32])
def test_bytes_that_are_no_element_are_refused(data: bytes) -> None:
    with pytest.raises(SumError):
        from_bytes(data)


@pytest.mark.parametrize("element", [0, 1, P - 1])
def test_elements_survive_the_wire(element: int) -> None:
    assert len(to_bytes(element)) == BYTES
    assert from_bytes(to_bytes(element)) == element


def test_only_elements_are_written() -> None:
    with pytest.raises(SumError):
        to_bytes(P)
