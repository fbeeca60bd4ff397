"""Homomorphic encryption as NVFlare does it: TenSEAL's CKKS at its parameters, one key that all institutions share.

Whole updates are encrypted at once, as its filters do. What making and loading the keys costs is left out.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tenseal as ts

from benchmarks.sum.alone import Ledger
from benchmarks.sum.vectors import require, whole

POLY_MODULUS_DEGREE = 8192
MODULUS_BITS = (60, 40, 40)
SCALE = 2.0**40


def play(ledger: Ledger, folder: Path) -> None:
    """One round."""
    shape = ledger.shape
    secret, public = Ledger(shape, ledger.apart).run("institution", keys)
    upload, total = folder / "upload", folder / "total"
    for number in range(shape.institutions):
        ledger.run("institution", seal, folder / "update", upload, ready=partial(ts.context_from, secret))
        ledger.run("coordinator", add, upload, total, number == 0, ready=partial(ts.context_from, public))
        ledger.sent += upload.stat().st_size
    for _ in range(shape.institutions):
        ledger.run("institution", unseal, total, folder / "back", ready=partial(ts.context_from, secret))
        ledger.received += total.stat().st_size
    expected = whole(folder / "update") * shape.institutions
    found = np.fromfile(folder / "back")
    require(right=bool(np.allclose(found, expected, atol=1e-2)), system="CKKS")


def keys() -> tuple[bytes, bytes]:
    """The shared context, and what the coordinator has of it."""
    context = ts.context(
        ts.SCHEME_TYPE.CKKS, POLY_MODULUS_DEGREE, coeff_mod_bit_sizes=list(MODULUS_BITS)
    )  # fmt: skip
    context.global_scale = SCALE
    secret = context.serialize(save_secret_key=True)
    context.make_context_public()
    return secret, context.serialize()


def seal(context: Any, update: Path, upload: Path) -> None:
    """Encrypt an update."""
    upload.write_bytes(ts.ckks_vector(context, whole(update)).serialize())


def add(context: Any, upload: Path, total: Path, first: bool) -> None:
    """Add an upload to the total."""
    sealed = ts.ckks_vector_from(context, upload.read_bytes())
    if not first:
        sealed += ts.ckks_vector_from(context, total.read_bytes())
    total.write_bytes(sealed.serialize())


def unseal(context: Any, total: Path, back: Path) -> None:
    """Decrypt the total."""
    np.array(ts.ckks_vector_from(context, total.read_bytes()).decrypt()).tofile(back)
