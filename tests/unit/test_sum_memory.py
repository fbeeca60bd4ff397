"""However long the vector: masking, adding and opening it takes a few frames of memory."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from consortia_crypto.sum.masking import accumulate, adjust
from consortia_crypto.sum.opening import open_total, seal
from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.vector import FileVector, frame_of
from consortia_crypto.sum.words import group_of
from tests.support.sealing import masks_of, policy_of, seed_of, without

def peak():
    # Kilobytes. Not getrusage's maximum, in which a child begins with what its parent had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def run(folder, length):
    policy = policy_of(32, length)
    group, masks, tag_masks = group_of(policy), masks_of("memory", 3), masks_of("tag", 3)
    piece = np.random.default_rng(1).integers(-policy.limit, policy.limit, 1 << 16, endpoint=True)
    creating, reading = FileVector.creating, FileVector.reading
    with creating(folder / "values", group.values.size) as values:
        for start in range(0, length, len(piece)):
            values.write(4 * start, group.values.octets(piece[: length - start]))
    with reading(folder / "values") as values, creating(folder / "upload", group.wire.size) as upload:
        plan = MaskPlan(masks, tag_masks, seed_of("key"))
        _, tag = seal(policy, group, values, upload, plan, threads=2)
    with reading(folder / "upload") as upload, creating(folder / "total", group.wire.size) as total:
        accumulate(group, total, upload, "bank-0", first=True)
        accumulate(group, total, upload, "bank-1", first=False)
        adjust(group, total, without(masks[:1]) * 2, total, threads=2)
        plan = OpenPlan(
            without(masks[1:]) * 2, without(tag_masks) * 2, seed_of("key"), 2 * tag, 2 * policy.limit, ("a", "b"), 1
        )
        with creating(folder / "sum", group.values.size) as sum_:
            open_total(group, total, sum_, plan, threads=2)
    with reading(folder / "sum") as sum_:
        last = group.values.frames - 1
        opened = group.values.integers(frame_of(sum_, group.values, last))
        start = group.values.start(last)
        np.testing.assert_array_equal(opened[-1000:], 2 * np.resize(piece, length % len(piece))[-1000:])

folder = Path(sys.argv[1])
run(folder, 2_000_000)
small = peak()
run(folder, int(sys.argv[2]))
print(peak() - small)
"""


@pytest.mark.parametrize("length", [4_000_123, pytest.param(100_000_123, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_vector(tmp_path: Path, length: int) -> None:
    """Two million words first, to load what is loaded; then not even one vector of 4 000 123 words (16 MB) more."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(length)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 12_000
