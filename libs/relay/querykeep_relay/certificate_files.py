"""A certificate and its key in files, taken anew when they change: renewed without a restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)
_Loaded = TypeVar("_Loaded")
_Stamp = tuple[tuple[int, int, int], ...]


class CertificateFiles(Generic[_Loaded]):
    """What a listener makes of its certificate; ``current`` is asked once per connection.

    Two files are not replaced in one step: while they do not fit together, or one is missing, the
    certificate that was loaded last goes on, and the log says so once per change of the files.
    Connections that stand keep theirs.
    """

    def __init__(self, cert_file: str, key_file: str, load: Callable[[str, str], _Loaded]) -> None:
        """Load the files.

        Raises:
            OSError, ValueError, Exception: What ``load`` raises for files that it cannot use.
        """
        self._files = (cert_file, key_file)
        self._load = load
        self._stamp = self._look()
        self._loaded = load(cert_file, key_file)

    def current(self) -> _Loaded:
        """Return what the files hold, or held when they were last usable. Two ``stat`` calls."""
        try:
            stamp = self._look()
        except OSError as error:
            stamp = ()
            reason: Exception | None = error
        else:
            reason = None
        if stamp == self._stamp:
            return self._loaded
        self._stamp = stamp
        if reason is None:
            try:
                self._loaded = self._load(*self._files)
            except Exception as error:  # of two TLS libraries, all mean the same
                reason = error
        if reason is None:
            _LOG.info("certificate %s was renewed", self._files[0])
        else:
            _LOG.error(
                "certificate %s with key %s cannot be used, the one loaded before goes on: %s",
                *self._files,
                reason,
            )
        return self._loaded

    def _look(self) -> _Stamp:
        # The inode tells a file that was moved into place within one tick of the clock.
        found = (os.stat(file) for file in self._files)
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)
