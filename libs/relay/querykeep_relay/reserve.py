"""Room on the spool's disk that is kept for what must still be written when the disk is full.

A statement that may not begin for want of room is refused; the end of one that runs, the end of its
session, and the state that trimming needs, are written all the same: into the room of this file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

RESERVE_BYTES = 256 * 1024
"""Some 400 ends."""
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


class DiskReserve:
    """A file that takes room, and gives it up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_held = False

    def keep(self) -> bool:
        """Take the room, where it is not held already; False where the disk has none.

        A process that is short of descriptors for a while takes it the next time: the segment that
        it writes to is open, so nothing of it is lost.
        """
        if self._is_held:
            return True
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                return True
            self._path.unlink(missing_ok=True)
            return False
        self._is_held = True
        return True

    def give_up(self) -> bool:
        """Free the room; False where it was not held."""
        was_held, self._is_held = self._is_held, False
        if was_held:
            self._path.unlink(missing_ok=True)
        return was_held
