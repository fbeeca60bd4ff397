"""Shamir's secret sharing over Z_p, p = 2^256 − 189: n shares, any ``threshold`` of which give the secret back.

Fewer say nothing about it. Shares carry no proof: whoever combines them checks the result against a commitment.
Share number x is the value of a random polynomial at x = 1 … n; 0, where the secret lies, is never given away.
"""

from collections.abc import Callable, Mapping

from consortia_crypto.errors import SumError

P = 2**256 - 189
BYTES = 32


def split(secret: int, shares: int, threshold: int, randbelow: Callable[[int], int]) -> tuple[int, ...]:
    """The shares of ``secret`` at x = 1 … ``shares``; ``randbelow`` is a cryptographic source. Raises SumError."""
    _check_element(secret)
    if not 1 <= threshold <= shares:
        raise _refused("the threshold is not from 1 to the number of shares")
    coefficients = [secret, *(randbelow(P) for _ in range(threshold - 1))]
    return tuple(_value(coefficients, x) for x in range(1, shares + 1))


def combine(shares: Mapping[int, int], threshold: int) -> int:
    """The secret, from the first ``threshold`` of shares ``{x: y}``. Raises SumError if they can't be shares."""
    for x, y in shares.items():
        _check_element(y)
        if not 1 <= x < P:
            raise _refused("a share has no possible place")
    if not 1 <= threshold <= len(shares):
        raise _refused(f"there are {len(shares)} shares and {threshold} are needed")
    used = sorted(shares.items())[:threshold]
    return sum(y * _weight([x for x, _ in used], x) for x, y in used) % P


def to_bytes(element: int) -> bytes:
    """A secret or a share as it travels. Raises SumError outside Z_p."""
    _check_element(element)
    return element.to_bytes(BYTES, "little")


def from_bytes(data: bytes) -> int:
    """A secret or a share that came. Raises SumError unless it is 32 bytes and below p."""
    if len(data) != BYTES:
        raise _refused("a share does not have 32 bytes")
    element = int.from_bytes(data, "little")
    _check_element(element)
    return element


def _value(coefficients: list[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % P
    return value


def _weight(places: list[int], x: int) -> int:
    """Lagrange's coefficient of the share at ``x`` for the value at 0."""
    above, below = 1, 1
    for other in places:
        if other != x:
            above = above * other % P
            below = below * (other - x) % P
    return above * pow(below, -1, P) % P


def _check_element(element: int) -> None:
    if not 0 <= element < P:
        raise _refused("a number is not below the prime")


def _refused(why: str) -> SumError:
    return SumError(
        f"shares of a secret were refused: {why}",
        blame="whoever sent them",
        remedy="stop the job and compare the logs of this round",
    )
