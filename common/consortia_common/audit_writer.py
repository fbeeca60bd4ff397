"""Writing records to a log's segments: the last one goes on, and a new one is begun when it is full.

When ``append`` returns, the records are on disk, and so is the name of the segment that holds them. After an error
nobody can know what is on disk; the log must not be written to any more. Not safe for several threads at once.
"""

import os

from consortia_common import keyfiles
from consortia_common.audit_disk import Disk, sync_folders
from consortia_common.audit_segments import LogFolder

_CLOSED = -1


class SegmentWriter:
    """Writes to the segments of ``folder``; a segment is full when it has ``segment_bytes``."""

    def __init__(self, folder: LogFolder, disk: Disk, segment_bytes: int) -> None:
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._file = _CLOSED
        self._length = 0

    def append(self, data: bytes, index: int) -> None:
        """Write records, of which the first is entry ``index``. Raises OSError."""
        if self._file == _CLOSED:
            self._open(max(self._folder.firsts(), default=index))
        if self._length >= self._segment_bytes:
            self.close()
            self._open(index)
        self._disk.write(self._file, data)
        self._disk.sync_data(self._file)
        self._length += len(data)

    def close(self) -> None:
        """Close the segment, if one is open; the next record opens the last one that there is then."""
        if self._file != _CLOSED:
            file, self._file = self._file, _CLOSED
            self._disk.close(file)

    def release(self) -> None:
        """Give the descriptor back, whatever the disk says."""
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def _open(self, first: int) -> None:
        """Open the segment that begins with entry ``first``; a new one's name is on disk afterwards."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = self._disk.open(self._folder.segment(first), flags, keyfiles.PRIVATE)
        self._length = os.fstat(self._file).st_size
        sync_folders(self._disk, {self._folder.segments})
