"""Fingerprints as words, to be read out over a telephone and compared with what the other side sees.

A byte at an even place is one of 256 short words, at an odd place one of 256 longer ones (the PGP word list), so
that words left out or in another order are heard. Sixteen words are 128 bits: nobody makes keys that share them.
"""

from functools import cache
from importlib.resources import files

WORDS = 16
_IN_A_LINE = 4


def words(fingerprint: str) -> str:
    """The first 16 bytes of a fingerprint (hexadecimal) as words, four to a group."""
    table = _table()
    said = [table[place % 2][byte] for place, byte in enumerate(bytes.fromhex(fingerprint)[:WORDS])]
    groups = (said[start : start + _IN_A_LINE] for start in range(0, WORDS, _IN_A_LINE))
    return " · ".join(" ".join(group) for group in groups)


def is_same(said: str, fingerprint: str) -> bool:
    """Whether what a person typed, all words or all 64 digits, is this fingerprint. Case and dots don't matter."""
    plain = said.replace("·", " ").replace(",", " ").lower().split()
    return plain in ([fingerprint], words(fingerprint).replace("·", " ").lower().split())


@cache
def _table() -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines = files(__package__).joinpath("fingerprint_words.txt").read_text(encoding="ascii").splitlines()
    short, long = zip(*(line.split() for line in lines), strict=True)
    return short, long
