"""A kept connection that asks for a catalog's fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from querykeep_engines.kit.driver import NativeConnection

C = TypeVar("C", bound=NativeConnection)


class ConnectionWatch(Generic[C]):
    """Implements ``kit.driver.CatalogWatch`` over an engine's own connection."""

    def __init__(self, connection: C, read: Callable[[C], str]) -> None:
        self._connection = connection
        self._read = read

    def fingerprint(self) -> str:
        """Ask; raises ``DriverError``."""
        return self._read(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
