"""How the C library's allocator treats what a process that carries large messages gives back.

glibc returns a freed mebibyte to the kernel, and each thread has memory of its own: so nearly every piece of a
message is written to fresh pages, which the kernel must clear first. Here a process keeps up to ``KEPT_BYTES`` of
what it has freed and its threads share it. Only time depends on this; a C library without it is left as it is.
"""

import ctypes

KEPT_BYTES = 32 << 20
MAPPED_BYTES = 16 << 20
"""What is as long comes from the kernel and goes back to it."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""The names in malloc.h."""
_SETTLED = ((_TRIM_THRESHOLD, KEPT_BYTES), (_MMAP_THRESHOLD, MAPPED_BYTES), (_ARENA_MAX, 2))


def keep_freed() -> None:
    """Settle it for this process, at its start: threads that run already have their memory."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _SETTLED:
            mallopt(option, value)
