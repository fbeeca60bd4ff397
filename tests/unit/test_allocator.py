"""A process that keeps what it freed gets it without a page fault again."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
from consortia_common import allocator
if sys.argv[1] == "kept":
    allocator.keep_freed()
def take():
    return [bytearray(1 << 20) for _ in range(8)]
take(), take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is settled")
def test_what_was_freed_is_not_fetched_from_the_kernel_again() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", _FAULTS, how], check=True, capture_output=True).stdout)

    assert faults("kept") < faults("as it is") / 10
