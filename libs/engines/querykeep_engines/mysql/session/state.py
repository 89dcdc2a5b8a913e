"""How the target's connection reads names and texts at this moment.

Read once at the start and again, before the next decision, after anything that may have changed it.
Reading is one SELECT of variables, which starts no transaction and takes no lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from querykeep_engines.mysql.session.charsets import encoding_named
from querykeep_engines.mysql.session.names import Reading, SqlNames
from querykeep_engines.mysql.syntax.modes import is_utf8
from querykeep_engines.mysql.wire.flags import Status
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import ConnectionInfo
from querykeep_guard.sql.facts import Effect, SessionContext, StatementFacts

_VARIABLES = (
    "sql_mode",
    "character_set_client",
    "character_set_results",
    "character_set_connection",
    "collation_connection",
    "lower_case_table_names",
)
STATE_QUERY = "SELECT DATABASE(), " + ", ".join(
    f"@@{'global' if name == 'lower_case_table_names' else 'session'}.{name}" for name in _VARIABLES
)

READ_BY = ("sql_mode", "character_set_client")
"""The settings by which the bytes of a statement become tokens."""

_CHANGING_KINDS = frozenset(
    {
        StatementKind.SET,
        StatementKind.USE,
        StatementKind.CALL,
        StatementKind.EXECUTE,
        StatementKind.DROP,
        StatementKind.UNKNOWN,
    }
)
_NAMES = frozenset({StatementKind.PREPARE, StatementKind.DEALLOCATE})


@dataclass(slots=True)
class SessionState:
    """The modelled state. ``is_known`` False: it must be read before the next decision.
    ``extended_metadata``: column definitions carry MariaDB's type information."""

    connection: ConnectionInfo
    server_version: str = ""
    database: str = ""
    values: dict[str, str] = field(default_factory=dict)
    status: int = int(Status.AUTOCOMMIT)
    is_known: bool = False
    extended_metadata: bool = False
    names: SqlNames = field(default_factory=SqlNames)
    last_context: SessionContext | None = None

    @property
    def reading(self) -> Reading:
        """How texts are read now, as far as it is known."""
        return self.database, tuple(sorted(self.values.items()))

    @property
    def tells_utf8(self) -> bool:
        """True where names that the target tells come as UTF-8."""
        charset = self.values.get("character_set_results", "").lower()
        return is_utf8(charset) or charset in ("", "binary")

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open, as the target last said."""
        return bool(self.status & Status.IN_TRANSACTION)

    @property
    def encoding(self) -> str:
        """How the bytes of a statement are read. Of a character set that is not spoken here only
        ASCII is understood, which means the same in all of them."""
        return encoding_named(self.values.get("character_set_client", "utf8mb4")) or "ascii"

    def learn(self, row: list[str | None]) -> None:
        """Take the answer to ``STATE_QUERY``."""
        self.database = row[0] or ""
        self.values = {name: value or "" for name, value in zip(_VARIABLES, row[1:], strict=True)}
        self.is_known = True

    def ran(self, statement_id: str, facts: StatementFacts) -> None:
        """A statement is sent on: forget the state where it may change it, and note names. The
        statements of one text are told in their order."""
        self.names.sent(statement_id, facts, self.reading, is_certain=self.is_known)
        if (
            facts.kind in _CHANGING_KINDS
            or facts.settings
            or (facts.effects & {Effect.SESSION, Effect.PROCEDURE} and facts.kind not in _NAMES)
        ):
            self.is_known = False

    def context(self, text: str = "") -> SessionContext:
        """Return the context for a decision on ``text``; without one no prepared name is known."""
        now = SessionContext(
            engine=self.connection.engine,
            flavour=self.connection.flavour,
            server_version=self.server_version,
            database=self.database,
            settings=self.reading[1],
            temporary=self.names.temporary(),
            temporary_columns=self.names.temporary_columns(),
            prepared=self.names.prepared(text, self.reading),
            in_transaction=self.in_transaction,
        )
        if now != self.last_context:
            self.last_context = now
        return self.last_context or now

    def with_tables_of_now(self, context: SessionContext) -> SessionContext:
        """Return an earlier context with the temporary tables that there are now: what one holds
        is not known any more once the policy has changed."""
        temporary, columns = self.names.temporary(), self.names.temporary_columns()
        if (temporary, columns) == (context.temporary, context.temporary_columns):
            return context
        return replace(context, temporary=temporary, temporary_columns=columns)
