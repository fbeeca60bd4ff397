"""Damaged keys go through SEAL's decompressor, so this runs in a process of its own: a crash there is a failure."""

import subprocess
import sys

import pytest

SCRIPT = """
import random, sys
from consortia_crypto.errors import CryptoError
from consortia_crypto.he import secret
from consortia_crypto.he.context import load_public
from consortia_crypto.he.params import SCORE, SUM

rng = random.Random(int(sys.argv[1]))
refused = 0
for params in (SUM, SCORE):
    private = secret.generate(params)
    public = secret.public_part(params, private)
    for turn in range(int(sys.argv[2])):
        data = bytearray((public, private)[turn % 2])
        for _ in range(rng.choice([1, 4, 64])):
            data[rng.choice([rng.randrange(len(data)), rng.randrange(80, 400)])] ^= rng.randrange(1, 256)
        try:
            secret.SecretContext(params, bytes(data)) if turn % 2 else load_public(params, bytes(data), "bank-a")
        except CryptoError:
            refused += 1
print(refused)
"""


@pytest.mark.parametrize("turns", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_keys_never_crash_the_reader(turns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, "11", str(turns)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > turns
