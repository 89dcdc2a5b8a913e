"""Twin databases of PostgreSQL: two servers from one data folder, so that every OID is the same.

Governed sessions are real ``PostgresqlSession`` objects (through the harness), bare ones go
straight to the server with the same account.
"""

from __future__ import annotations

import re
import select
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import psycopg
from psycopg import pq, sql
from tests.engines.postgresql import twin_rows
from tests.engines.postgresql.harness import Governed, governed_by, plain_target
from tests.guard import policy_cases
from tests.guard.twin_runner import Observation, Session, World
from tests.ports import free_port
from tests.security.observing import Copied, postgresql_results

from querykeep_demo.servers import PostgresqlServer
from querykeep_engines.postgresql.analyzer import PostgresqlAnalyzer
from querykeep_engines.postgresql.driver import PostgresqlDriver
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import Target
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

ENGINE = "postgresql"
DATABASE = "shop"
ACCOUNT = "twin_app"
ROADS = ("simple", "extended", "prepared")
StartServer = Callable[[type[PostgresqlServer], Path], PostgresqlServer]

_TIMED_OUT = b"57014"
_PATIENCE_S = 60
_KEPT_DECISIONS = 2_000
_LEAVES_A_TRACE = re.compile(
    r"\b(?:set|reset|temp|temporary|prepare|discard|create|alter|drop|into|listen|set_config|lock"
    r"|commit|rollback|end|begin|start|abort|prepared|deallocate|declare|load|notify)\b|nextval|setval",
    re.IGNORECASE,
)
"""What a ROLLBACK does not undo in a session, or in what the guard knows of it."""


class PostgresqlTwins:
    """Implements ``tests.guard.twin_runner.Twins``."""

    roads: tuple[str, ...] = ROADS

    def __init__(
        self, servers: dict[World, PostgresqlServer], password: str, rules: SessionPolicy
    ) -> None:
        self.servers = servers
        self.targets = {world: _target(server, password) for world, server in servers.items()}
        self.rules = rules
        self.analyzer = PostgresqlAnalyzer()
        self.catalog = self.crawl()
        self._decided: dict[tuple[str, SessionContext, SessionPolicy], tuple[Decision, ...]] = {}
        self._stack = ExitStack()
        self._governed: dict[World, Governed] = {}
        self._idle: dict[tuple[World, bool, SessionPolicy], list[PostgresqlTwinSession]] = {}

    def crawl(self, world: World = World.HERE) -> Catalog:
        """Read the schema with the stored account, as an enforcement point does."""
        return PostgresqlDriver().crawl(self.targets[world])

    def decide(self, text: str, context: SessionContext) -> tuple[Decision, ...]:
        """Judge a text under the rules; the same question has the same answer in both databases."""
        key = (text, context, self.rules)
        found = self._decided.get(key)
        if found is None:
            if len(self._decided) > _KEPT_DECISIONS:
                self._decided.clear()
            found = policy_cases.decisions(self.analyzer, text, context, self.catalog, self.rules)
            self._decided[key] = found
        return found

    def context(self, **changes: object) -> SessionContext:
        """Return the context of a fresh session, with changes."""
        values: dict[str, object] = {
            "engine": ENGINE,
            "flavour": ENGINE,
            "server_version": self.catalog.server_version,
            "database": DATABASE,
            "search_path": ("$user", "public"),
        }
        return SessionContext(**(values | changes))  # type: ignore[arg-type]

    def governed(self, world: World) -> Governed:
        """Return the listener of governed sessions in one database, started on first use."""
        if world not in self._governed:
            self._governed[world] = self._stack.enter_context(
                governed_by(self.targets[world], self._decide_now, policy=self.rules)
            )
        return self._governed[world]

    def _decide_now(self, text: str, context: SessionContext) -> tuple[Decision, ...]:
        return self.decide(text, context)

    @contextmanager
    def under(self, rules: SessionPolicy) -> Iterator[None]:
        """Run a block under other rules."""
        before = self.rules
        self.rules = rules
        for listener in self._governed.values():
            listener.policy = rules
        try:
            yield
        finally:
            self.rules = before
            for listener in self._governed.values():
                listener.policy = before

    def session(self, world: World, road: str, *, governed: bool) -> Session:
        """Open a session; what it writes is undone when it closes."""
        idle = self._idle.setdefault((world, governed, self.rules), [])
        if idle:
            session = idle.pop()
            session.road = road
            return session
        target = self.targets[world]
        conninfo = f"host={target.host} port={target.port} password={target.password}"
        if governed:
            conninfo = f"host=127.0.0.1 port={self.governed(world).port}"
        return PostgresqlTwinSession(f"{conninfo} user={ACCOUNT} dbname={DATABASE}", road, idle)

    def close(self) -> None:
        """End sessions and listeners. The servers belong to who started them."""
        for session in (one for idle in self._idle.values() for one in idle):
            session.end()
        self._stack.close()


def _target(server: PostgresqlServer, password: str) -> Target:
    return plain_target(server.host, server.port, ACCOUNT, password, DATABASE)


class PostgresqlTwinSession:
    """One libpq connection; each field of each result, notice and error is part of what is seen.

    Waits with ``select``: libpq's own waiting would keep the interpreter from the governed session
    that answers, which runs in another thread of this process.
    """

    def __init__(self, conninfo: str, road: str, idle: list[PostgresqlTwinSession]) -> None:
        self.road = road
        self._idle = idle
        self._is_used_up = False
        self._has_run = False
        self._notices: list[bytes] = []
        self._connection = pq.PGconn.connect_start(conninfo.encode())
        self._sign_in()
        self._connection.notice_handler = self._noticed
        for setting in ("SET statement_timeout = '4s'", "BEGIN"):
            self._simple(setting)

    def _sign_in(self) -> None:
        connection = self._connection
        while True:
            match connection.connect_poll():
                case pq.PollingStatus.OK:
                    return
                case pq.PollingStatus.READING:
                    _wait(connection, reading=True)
                case pq.PollingStatus.WRITING:
                    _wait(connection, reading=False)
                case _:
                    raise AssertionError(connection.error_message)

    def _noticed(self, result: pq.abc.PGresult) -> None:
        self._notices.append(repr([result.error_field(f) for f in pq.DiagnosticField]).encode())

    def observe(self, statement: str) -> Observation:
        """Run a statement on this session's road, in a savepoint that an error undoes."""
        connection = self._connection
        self._notices.clear()
        self._is_used_up = self._is_used_up or _LEAVES_A_TRACE.search(statement) is not None
        if connection.status != pq.ConnStatus.OK:
            return Observation(b"gone", "failed", b"gone")
        if self._has_run:
            self._recover()
        self._has_run = True
        results = self._run(statement.encode())
        seen = postgresql_results(connection, results)
        status = f"{connection.transaction_status}".encode()
        codes = [result.error_field(pq.DiagnosticField.SQLSTATE) for result in results]
        verdict = "ok"
        if any(codes):
            verdict = "refused" if b"42501" in codes else "failed"
        if _TIMED_OUT in codes:
            seen = b"timed out"
        data = b"\n".join([seen, status, *self._notices])
        loose = b"\n".join(
            [*sorted(_loose(result) for result in results), status, *sorted(self._notices)]
        )
        return Observation(data, verdict, loose if seen != b"timed out" else data)

    def _recover(self) -> None:
        """Go on in a transaction, whatever the statement made of it."""
        match self._connection.transaction_status:
            case pq.TransactionStatus.INTRANS:
                self._simple("SAVEPOINT twin")
            case pq.TransactionStatus.INERROR:
                results = self._simple("ROLLBACK TO SAVEPOINT twin")
                if results[0].status == pq.ExecStatus.FATAL_ERROR:
                    self._simple("ROLLBACK")
                    self._simple("BEGIN")
            case pq.TransactionStatus.IDLE:
                self._simple("BEGIN")
            case _:
                pass
        self._notices.clear()

    def _simple(self, text: str) -> list[pq.abc.PGresult]:
        self._connection.send_query(text.encode())
        return self._results()

    def _results(self) -> list[pq.abc.PGresult]:
        connection = self._connection
        found: list[pq.abc.PGresult] = []
        while True:
            while connection.is_busy():
                _wait(connection, reading=True)
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                return found
            found.append(result)
            if result.status == pq.ExecStatus.COPY_OUT:
                found.append(self._copied())
            elif result.status == pq.ExecStatus.COPY_IN:
                connection.put_copy_end(b"no data")
                while connection.flush():
                    _wait(connection, reading=False)

    def _copied(self) -> pq.abc.PGresult:
        """Return the data of COPY in the shape of a result."""
        data = bytearray()
        while True:
            length, part = self._connection.get_copy_data(1)
            if length > 0:
                data += bytes(part)
            elif length == 0:
                _wait(self._connection, reading=True)
                self._connection.consume_input()
            else:
                return Copied(bytes(data))  # type: ignore[return-value]  # shaped like a result

    def _run(self, text: bytes) -> list[pq.abc.PGresult]:
        connection = self._connection
        if self.road == "simple":
            return self._simple(text.decode())
        if self.road == "extended":
            connection.send_query_params(text, None, result_format=1)
            return self._results()
        connection.send_prepare(b"twin", text)
        found = self._results()
        if found[0].status == pq.ExecStatus.COMMAND_OK:
            connection.send_describe_prepared(b"twin")
            found += self._results()
            connection.send_query_prepared(b"twin", None)
            found += self._results()
            if connection.transaction_status == pq.TransactionStatus.INTRANS:
                self._simple("DEALLOCATE twin")
        return found

    def close(self) -> None:
        """Undo what was written; a session in which nothing stays behind is used again."""
        if self._connection.status == pq.ConnStatus.OK:
            # Alone: after a failed transaction the guard takes ROLLBACK with nothing behind it.
            self._simple("ROLLBACK")
            if not self._is_used_up:
                self._simple("BEGIN")
                self._has_run = False
                self._idle.append(self)
                return
        self.end()

    def end(self) -> None:
        """End the connection."""
        self._connection.finish()


def _wait(connection: pq.abc.PGconn, *, reading: bool) -> None:
    sides = [connection.socket]
    ready = select.select(sides if reading else [], [] if reading else sides, [], _PATIENCE_S)
    assert any(ready), "no answer for a long time"


def _loose(result: pq.abc.PGresult) -> bytes:
    """Return a result with its rows sorted."""
    head = [f"{result.status} {result.command_status!r}".encode()]
    head += [result.error_field(field) or b"-" for field in pq.DiagnosticField]
    head += [result.fname(column) or b"" for column in range(result.nfields)]
    rows = []
    for row in range(result.ntuples):
        values = [result.get_value(row, column) for column in range(result.nfields)]
        rows.append(repr(values).encode())
    return b"\n".join([*head, *sorted(rows)])


@contextmanager
def twin_databases(
    start: StartServer, folder: Path, rules: SessionPolicy | None = None
) -> Iterator[PostgresqlTwins]:
    """Make both databases and give the ways into them."""
    first = start(PostgresqlServer, folder / "here")
    password = first.password
    _make_schema(first, password)
    first.stop()
    second_folder = first.folder.parent / f"{first.folder.name}-there"
    shutil.copytree(first.folder, second_folder, copy_function=shutil.copy2)
    _same_owners(first.folder, second_folder)
    first.start()
    second = PostgresqlServer(
        second_folder,
        port=free_port(),
        password=password,
        keeps_data=False,
        dies_with_parent=True,
    )
    second.start()
    servers = {World.HERE: first, World.THERE: second}
    try:
        for world, server in servers.items():
            _fill(server, here=world is World.HERE)
        twins = PostgresqlTwins(servers, password, rules or policy_cases.policy(ENGINE, DATABASE))
        try:
            yield twins
        finally:
            twins.close()
    finally:
        for server in servers.values():
            server.stop()


def _same_owners(source: Path, copy: Path) -> None:
    for path in (source, *source.rglob("*")):
        status = path.lstat()
        shutil.chown(copy / path.relative_to(source), status.st_uid, status.st_gid)


def _admin(server: PostgresqlServer, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=database,
        autocommit=True,
    )


def _make_schema(server: PostgresqlServer, password: str) -> None:
    """Make the account and the schema, owned by the account, without rows."""
    with _admin(server, server.database) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(ACCOUNT), sql.Literal(password)
            )
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(DATABASE), sql.Identifier(ACCOUNT)
            )
        )
        # Nothing but the programs may change statistics or take transaction ids.
        connection.execute("ALTER SYSTEM SET autovacuum = off")
    text = (files(f"querykeep_engines.{ENGINE}") / "cases" / "policy" / "world.sql").read_text(
        encoding="utf-8"
    )
    with _admin(server, DATABASE) as connection:
        connection.execute(
            sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(ACCOUNT))
        )
        connection.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(ACCOUNT)))
        connection.execute(text.encode())


def _fill(server: PostgresqlServer, *, here: bool) -> None:
    """Put in the rows of one of the databases."""
    with _admin(server, DATABASE) as connection:
        # Triggers would copy hidden values into columns that no rule names.
        connection.execute("SET session_replication_role = replica")
        with connection.transaction(), connection.cursor() as cursor:
            for table, row in twin_rows.rows(here=here):
                named = twin_rows.COLUMNS.get(table)
                columns = f" ({', '.join(named)})" if named else ""
                places = ", ".join(["%s"] * len(row))
                cursor.execute(f"INSERT INTO {table}{columns} VALUES ({places})".encode(), row)
            for table in ("customers", "products", "orders", "employees"):
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000)".encode()
                )
        connection.execute("REFRESH MATERIALIZED VIEW contact_copy")
        connection.execute("ANALYZE people")
