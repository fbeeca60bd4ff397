"""The engine "lattice" inside a job's worker process: the only module of the coordinator that loads SEAL.

What it reads came from parties, and nothing in it is secret: public contexts, ciphertexts and masks that were
revealed. It writes the one file that it is given.
"""

from typing import assert_never

from consortia_coordinator.adding import AddRequest, AdjustRequest, CheckRequest, Here, Request
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.lattice import LatticeCollector


def do(request: Request) -> str:
    """Do what was asked; what it came to. Raises CryptoError."""
    match request:
        case CheckRequest(key):
            Evaluator(SUM, key.context, key.owner)
            return ""
        case AddRequest():
            _adder(request).accumulate(request.total, request.upload, request.sender, first=request.first)
            return ""
        case AdjustRequest():
            return _adder(request).adjust(request.total, request.masks, request.sink)
        case _:
            assert_never(request)


def _adder(request: AddRequest | AdjustRequest) -> Here:
    return Here(LatticeCollector(request.policy, request.key.context, request.key.owner))
