"""The seam to an engine's native client, used in threads by the editor's runner and by jobs.

Blocking by design. The editor opens a driver on a governed session's private socket; jobs open it
on the target itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.session import Target

GOVERNED_PROGRAM = "querykeep-editor"
"""What a driver calls itself on a governed session: the client program that the audit log, live
sessions and the target's process list show for the editor, whatever the engine."""


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A result column as the driver names it. ``kind`` is neutral, for grids and exports: text,
    integer, decimal, float, boolean, date, time, timestamp, timestamptz, interval, json, binary,
    uuid, array, other."""

    name: str
    type_name: str
    kind: str


@dataclass(frozen=True, slots=True)
class ResultStarted:
    """A statement began to return rows."""

    columns: tuple[ResultColumn, ...]


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows as exact text (binary as ``\\x…`` hex), None for NULL. At most a few thousand rows."""

    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class StatementDone:
    """A statement ended well. ``tag`` is the engine's own word (``UPDATE 3``); ``row_count`` the
    rows returned or changed, None when the engine says nothing."""

    tag: str
    row_count: int | None


@dataclass(frozen=True, slots=True)
class StatementFailed:
    """A statement failed. ``position`` is a 0-based character offset into the text given to
    ``stream``, or -1; ``code`` the engine's own (SQLSTATE or number); ``fatal``: the connection is
    gone."""

    code: str
    message: str
    detail: str = ""
    hint: str = ""
    position: int = -1
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice or warning."""

    severity: str
    code: str
    message: str


StreamItem = ResultStarted | RowBatch | StatementDone | StatementFailed | Notice


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where a governed session listens for its driver: a Unix socket path, or loopback host and
    port with a one-time password where a driver knows no Unix socket."""

    unix_path: str = ""
    host: str = ""
    port: int = 0
    username: str = "querykeep"
    password: str = ""


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step of *Test*: ``dns``, ``tcp``, ``tls``, ``authentication``, ``database``,
    ``permission``; ``state``: ok, failed, warning, skipped. ``message`` is for a person."""

    name: str
    state: str
    message: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Result of *Test*. ``server_version`` as the server prints it."""

    ok: bool
    steps: tuple[ProbeStep, ...]
    server_version: str = ""
    flavour: str = ""


@dataclass(frozen=True, slots=True)
class NativeProcess:
    """A row of the engine's own process list."""

    native_id: str
    user: str
    database: str
    state: str
    statement: str
    since_s: float | None


class NativeConnection(Protocol):
    """One open connection of a native client."""

    def stream(self, text: str, *, batch_rows: int = 2000) -> Generator[StreamItem]:
        """Run a text (one or several statements) and yield what happens, rows in batches, without
        ever holding a whole result. Closing the iterator early cancels at the server."""
        ...

    def cancel(self) -> None:
        """Cancel what runs; callable from another thread."""
        ...

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open."""
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class CatalogWatch(Protocol):
    """A kept connection that tells whether the catalog moved. Used by one thread at a time."""

    def fingerprint(self) -> str:
        """Return what ``crawl`` would give as ``Catalog.fingerprint``; raises ``DriverError``, and
        is of no more use then."""
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class Driver(Protocol):
    """What an engine's driver module offers."""

    def probe(self, target: Target) -> ProbeReport:
        """Reach, sign in and look around, telling the failing step apart. Never raises."""
        ...

    def connect(self, target: Target) -> NativeConnection:
        """Open a connection to a target; raises ``DriverError``."""
        ...

    def connect_governed(self, address: SocketAddress, database: str) -> NativeConnection:
        """Open a connection to a governed session's private socket; raises ``DriverError``."""
        ...

    def crawl(self, target: Target) -> Catalog:
        """Read the whole catalog in a bounded number of queries; raises ``DriverError``."""
        ...

    def fingerprint(self, target: Target) -> str:
        """Return what ``crawl`` would give as ``Catalog.fingerprint``, cheaply (one query)."""
        ...

    def watch(self, target: Target) -> CatalogWatch:
        """Open a connection that is kept to ask for the fingerprint again and again; raises
        ``DriverError``."""
        ...

    def cancel(self, target: Target, native_id: bytes) -> None:
        """Cancel what the session ``native_id`` runs; raises ``DriverError``."""
        ...

    def stop_left_running(self, target: Target, native_id: bytes, age_s: float) -> None:
        """Stop what the session ``native_id`` runs, whose own process died. It was ready ``age_s``
        seconds ago: an id that another session may have by now is left alone. Raises
        ``DriverError``."""
        ...

    def processes(self, target: Target) -> tuple[NativeProcess, ...]:
        """Return the server's process list as far as the stored account sees it."""
        ...

    def kill(self, target: Target, native_id: str) -> None:
        """End a server process."""
        ...


class DriverError(Exception):
    """A native client failed. ``stage`` is a ``ProbeStep`` name; ``code`` the engine's own."""

    def __init__(self, stage: str, message: str, code: str = "") -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.code = code
