"""Flower's SecAgg+, as flwr comes: its clients' own functions, and its server's arithmetic between them.

Everybody is everybody's neighbour, as in the sealed sum: with fewer the masks cost less and fewer need to collude.
Key exchange and shares are in the figures; messages are counted as the values in them, without Flower's frames.
"""

from pathlib import Path
from typing import Any

import consortia_common.flower_compat  # noqa: F401  before Flower: it switches telemetry off

# isort: split
import numpy as np
from flwr.app import ConfigRecord
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    factor_extract,
    get_parameters_shape,
    parameters_addition,
    parameters_mod,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import dequantize
from flwr.common.secure_aggregation.secaggplus_constants import Key
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

from benchmarks.sum.alone import Ledger
from benchmarks.sum.vectors import require, whole

CLIP, TARGET, MODULUS, WEIGHT = 8.0, 1 << 22, 1 << 32, 1000.0
"""Flower's defaults."""


def play(ledger: Ledger, folder: Path) -> None:
    """One round, from which nobody drops out."""
    ids = range(1, ledger.shape.institutions + 1)
    setup = ConfigRecord({
        Key.SAMPLE_NUMBER: len(ids), Key.SHARE_NUMBER: len(ids), Key.THRESHOLD: len(ids) // 2 + 1,
        Key.CLIPPING_RANGE: CLIP, Key.TARGET_RANGE: TARGET, Key.MOD_RANGE: MODULUS, Key.MAX_WEIGHT: WEIGHT,
    })  # fmt: skip
    states, keys = _each(ledger, {number: SecAggPlusState(nid=number) for number in ids}, _begin, setup)
    public = {str(number): [said[Key.PUBLIC_KEY_1], said[Key.PUBLIC_KEY_2]] for number, said in keys.items()}
    ledger.received += len(ids) * _size(public)
    states, dealt = _each(ledger, states, _share, public)
    for number in ids:
        letters = _letters(ledger, dealt, number)
        states[number] = ledger.run("institution", seal, states[number], letters, folder, number)
        ledger.sent += (folder / f"upload.{number}").stat().st_size
    shares = [ledger.run("institution", _reveal, states[number], list(ids)) for number in ids]
    ledger.sent += sum(map(_size, shares))
    ledger.received += len(ids) * ledger.run("coordinator", _total, folder, shares, len(ids))
    expected = whole(folder / "update")
    require(right=bool(np.allclose(np.fromfile(folder / "mean"), expected, atol=1e-3)), system="SecAgg+")


def _each(ledger: Ledger, states: dict[int, Any], act: Any, said: Any) -> tuple[dict[int, Any], dict[int, Any]]:
    """Every client does ``act`` from its state; their states afterwards, and what they say."""
    done = {number: ledger.run("institution", act, state, said) for number, state in states.items()}
    ledger.sent += sum(_size(answer) for _, answer in done.values())
    return {number: state for number, (state, _) in done.items()}, {
        number: said for number, (_, said) in done.items()
    }


def _begin(state: Any, said: Any) -> tuple[Any, Any]:
    return state, _setup(state, said)


def _share(state: Any, said: Any) -> tuple[Any, Any]:
    return state, _share_keys(state, said)


def _letters(ledger: Ledger, dealt: dict[int, Any], reader: int) -> dict[str, Any]:
    """What the server passes on to ``reader``."""
    found = [
        (writer, sealed)
        for writer, said in dealt.items()
        for to, sealed in zip(said[Key.DESTINATION_LIST], said[Key.CIPHERTEXT_LIST], strict=True)
        if to == reader
    ]
    letters = {
        Key.SOURCE_LIST: [writer for writer, _ in found],
        Key.CIPHERTEXT_LIST: [sealed for _, sealed in found],
    }
    ledger.received += _size(letters)
    return letters


def seal(state: Any, letters: Any, folder: Path, number: int) -> Any:
    """Quantise, mask, write; what a client does with its update."""
    update = ndarrays_to_parameters([whole(folder / "update")])
    said: Any = _collect_masked_vectors(state, letters, int(WEIGHT), update)
    (folder / f"upload.{number}").write_bytes(said[Key.MASKED_PARAMETERS][1])
    (folder / f"factor.{number}").write_bytes(said[Key.MASKED_PARAMETERS][0])
    return state


def _reveal(state: Any, ids: list[int]) -> Any:
    return _unmask(state, ConfigRecord({Key.ACTIVE_NODE_ID_LIST: ids, Key.DEAD_NODE_ID_LIST: []}))


def _total(folder: Path, said: list[Any], count: int) -> int:
    """What Flower's workflow does with uploads and shares; the mean is kept, and its length on the way returned."""
    vector: Any = None
    for number in range(1, count + 1):
        upload = [bytes_to_ndarray((folder / f"{part}.{number}").read_bytes()) for part in ("factor", "upload")]
        vector = upload if vector is None else parameters_addition(vector, upload)
    vector = parameters_mod(vector, MODULUS)
    for place in range(count):
        seed = combine_shares([one[Key.SHARE_LIST][place] for one in said])
        vector = parameters_subtraction(vector, pseudo_rand_gen(seed, MODULUS, get_parameters_shape(vector)))
    factor, vector = factor_extract(parameters_mod(vector, MODULUS))
    (mean,) = dequantize(vector, CLIP, TARGET)
    mean -= (count - 1) * CLIP
    mean *= TARGET / factor
    mean.tofile(folder / "mean")
    return len(ndarrays_to_parameters([mean]).tensors[0])


def _size(said: Any) -> int:
    """Bytes of the values in a message."""
    if isinstance(said, dict):
        return sum(_size(value) for value in said.values())
    if isinstance(said, (list, tuple)):
        return sum(_size(value) for value in said)
    return len(said) if isinstance(said, bytes) else 8
