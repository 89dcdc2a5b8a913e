"""Twin databases of MySQL or MariaDB: two servers with the same schema and accounts.

Governed sessions are real ``MysqlSession`` objects (through the harness), bare ones go straight to
the server with the same account. What a program wrote is rolled back; after a statement that
commits by itself the database is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from typing import Any, Protocol

import pymysql
from pymysql.constants import CLIENT, COMMAND
from tests.engines.mysql import twin_rows
from tests.engines.mysql.harness import MysqlGoverned, governed_by
from tests.guard import policy_cases
from tests.guard.twin_runner import Observation, Session, World
from tests.guard.twin_shop import Row

from querykeep_engines.mysql.analyzer import MysqlAnalyzer
from querykeep_engines.mysql.driver import MysqlDriver
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import Target, TlsMode
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

ENGINE = "mysql"
DATABASE = "shop"
DATABASES = (DATABASE, "other")
ACCOUNT = "twin_app"
ROADS = ("text", "prepared")

REFUSAL_CODES = frozenset({1142, 1143, 1044})
_SYNTAX = 1064
_TIMED_OUT = frozenset({1969, 3024})
_COMMITS = re.compile(
    r"(?:^|;|\bfor\b|immediate\s+.)\s*(?:/\*.*?\*/\s*)*"
    r"(?:create|alter|drop|rename|truncate|lock|unlock|commit|start|begin|flush|analyze|optimize|"
    r"repair|check|load|call|execute|grant|revoke|set|xa|install|handler)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements after which a rollback may not be enough."""


class Server(Protocol):
    """A private server and its administrator."""

    host: str
    port: int
    user: str
    password: str

    def start(self) -> None:
        """Start it again when it has died."""
        ...


class MysqlTwins:
    """Implements ``tests.guard.twin_runner.Twins``."""

    roads: tuple[str, ...] = ROADS

    def __init__(
        self, flavour: str, servers: dict[World, Server], password: str, rules: SessionPolicy
    ) -> None:
        self.flavour = flavour
        self.servers = servers
        self.targets = {
            world: Target(
                ENGINE,
                flavour,
                server.host,
                server.port,
                DATABASE,
                ACCOUNT,
                password,
                TlsMode.DISABLE,
            )
            for world, server in servers.items()
        }
        self.rules = rules
        self.analyzer = MysqlAnalyzer()
        self._stack = ExitStack()
        self._governed: dict[World, MysqlGoverned] = {}
        self.spoilt: set[World] = set(World)
        self.deaths: list[str] = []
        self._last: dict[World, str] = {}
        for world in World:
            self._make(world)
        self.catalog = self.crawl()

    def crawl(self, world: World = World.HERE) -> Catalog:
        """Read the schema with the stored account, as an enforcement point does."""
        return MysqlDriver(self.flavour).crawl(self.targets[world])

    def decide(self, text: str, context: SessionContext) -> tuple[Decision, ...]:
        """Judge a text under the rules."""
        return policy_cases.decisions(self.analyzer, text, context, self.catalog, self.rules)

    def context(self, **changes: object) -> SessionContext:
        """Return the context of a fresh session, with changes."""
        values: dict[str, object] = {
            "engine": ENGINE,
            "flavour": self.flavour,
            "server_version": self.catalog.server_version,
            "database": DATABASE,
            "settings": tuple((k, v) for k, v in self.catalog.settings if k == "sql_mode"),
        }
        return SessionContext(**(values | changes))  # type: ignore[arg-type] # names are checked

    def governed(self, world: World) -> MysqlGoverned:
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
        try:
            return self._open(world, road, governed=governed)
        except pymysql.OperationalError:
            # Some random statement hit a fault of the server itself and brought it down.
            self.deaths.append(self._last.get(world, ""))
            self.servers[world].start()
            self.spoilt.add(world)
            return self._open(world, road, governed=governed)

    def ran(self, world: World, statement: str) -> None:
        """Remember the last statement, for the case that the server dies of it."""
        self._last[world] = statement

    def _open(self, world: World, road: str, *, governed: bool) -> Session:
        if world in self.spoilt:
            self._make(world)
        target = self.targets[world]
        if governed:
            listener = self.governed(world)
            connection = _connect("127.0.0.1", listener.port, ACCOUNT, "", DATABASE)
        else:
            connection = _connect(
                target.host, target.port, target.username, target.password, DATABASE
            )
        return MysqlTwinSession(connection, road, self, world)

    def _make(self, world: World) -> None:
        server = self.servers[world]
        make_world(
            _connect(server.host, server.port, server.user, server.password, ""),
            here=world is World.HERE,
            account_password=self.targets[world].password,
        )
        self.spoilt.discard(world)

    def close(self) -> None:
        """End the listeners. The servers belong to who started them."""
        self._stack.close()


def _connect(host: str, port: int, user: str, password: str, database: str) -> Any:
    return pymysql.connect(
        host=host,
        port=port,
        user=user,
        password=password,
        database=database or None,
        client_flag=CLIENT.MULTI_STATEMENTS,
        charset="utf8mb4",
        read_timeout=60,
        autocommit=True,
    )


def make_world(connection: Any, *, here: bool, account_password: str) -> None:
    """Make the databases, their rows and the stored account anew."""
    text = (files(f"querykeep_engines.{ENGINE}") / "cases" / "policy" / "world.sql").read_text(
        encoding="utf-8"
    )
    with connection.cursor() as cursor:
        for setting in ("SET GLOBAL innodb_stats_auto_recalc = OFF", "SET foreign_key_checks = 0"):
            cursor.execute(setting)
        with suppress(pymysql.Error):  # known only where a binary log is written
            cursor.execute("SET GLOBAL log_bin_trust_function_creators = 1")
        for database in DATABASES:
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        cursor.execute(f"DROP USER IF EXISTS {ACCOUNT}@'%'")
        cursor.execute(f"CREATE USER {ACCOUNT}@'%' IDENTIFIED BY '{account_password}'")
        for database in DATABASES:
            cursor.execute(f"GRANT ALL ON {database}.* TO {ACCOUNT}@'%'")
        cursor.execute(f"USE {DATABASE}")
        for statement in re.split(r";\s*\n", re.sub(r"^--.*$", "", text, flags=re.MULTILINE)):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute("SET autocommit = 0")
        by_table: dict[str, list[Row]] = {}
        for table, row in twin_rows.rows(here=here):
            by_table.setdefault(table, []).append(row)
        for table, rows in by_table.items():
            columns = twin_rows.COLUMNS.get(table)
            named = f" ({', '.join(columns)})" if columns else ""
            places = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {table}{named} VALUES ({places})", rows)
        cursor.execute("UPDATE vault SET place = ST_GeomFromText('POINT(1 1)')")
        cursor.execute("COMMIT")
        cursor.execute("ANALYZE TABLE customers, products, orders, order_items, solo")
    connection.close()


class MysqlTwinSession:
    """One connection; every byte that the server sends is part of what is seen."""

    def __init__(self, connection: Any, road: str, twins: MysqlTwins, world: World) -> None:
        self._connection = connection
        self._road = road
        self._twins = twins
        self._world = world
        limit = (
            "max_statement_time = 4" if twins.flavour == "mariadb" else "max_execution_time = 4000"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET {limit}")
            cursor.execute("START TRANSACTION")

    def observe(self, statement: str) -> Observation:
        """Run a statement on this session's road."""
        seen = _Seen()
        connection = self._connection
        if not connection.open:
            return Observation(b"gone", "failed", b"gone")
        self._twins.ran(self._world, statement)
        try:
            if self._road == "text":
                connection._execute_command(COMMAND.COM_QUERY, statement)
                self._answer(seen)
            else:
                self._prepared(statement, seen)
        except (pymysql.Error, OSError):
            self._twins.spoilt.add(self._world)
            seen.head.append(b"gone")
            connection._force_close()
            return Observation(b"gone", "failed", b"gone")
        if seen.code in _TIMED_OUT:
            self._twins.spoilt.add(self._world)
            return Observation(b"timed out", "failed", b"timed out")
        verdict = "ok"
        if seen.code:
            verdict = "refused" if seen.code in REFUSAL_CODES else "failed"
        if verdict != "refused" and _COMMITS.search(statement):
            self._twins.spoilt.add(self._world)
        plain = _without_plan(seen)
        return Observation(
            seen.bytes(), verdict, seen.bytes(loose=True), (plain.bytes(), plain.bytes(loose=True))
        )

    def _packet(self) -> bytes:
        data = b""
        while True:
            header = self._connection._rfile.read(4)
            if len(header) < 4:
                raise pymysql.OperationalError(2013, "closed")
            size = int.from_bytes(header[:3], "little")
            data += self._connection._rfile.read(size)
            if size < 0xFFFFFF:
                return data

    def _answer(self, seen: _Seen) -> bool:
        """Read one whole answer, all its results; return whether it ended well."""
        while True:
            first = self._packet()
            seen.head.append(first)
            if first[0] == 0xFF:
                seen.failed(first)
                return False
            if first[0] == 0xFB:
                self._connection._sock.sendall(b"\0\0\0\2")
                continue
            if first[0] == 0:
                status = first[_after_two_lengths(first) :][:2]
            else:
                status = self._rows(seen)
                if not status:
                    return False
            if not int.from_bytes(status, "little") & 8:
                return True

    def _rows(self, seen: _Seen) -> bytes:
        while True:
            packet = self._packet()
            seen.head.append(packet)
            if _is_eof(packet):
                break
        rows: list[bytes] = []
        seen.rows.append(rows)
        while True:
            packet = self._packet()
            if packet[0] == 0xFF:
                seen.failed(packet)
                return b""
            if _is_eof(packet):
                seen.head.append(packet)
                return packet[3:5]
            rows.append(packet)

    def _prepared(self, statement: str, seen: _Seen) -> None:
        connection = self._connection
        connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
        first = self._packet()
        seen.head.append(first[5:] if first[0] == 0 else first)  # without the statement's number
        if first[0] == 0xFF:
            seen.failed(first)
            return
        columns, parameters = (int.from_bytes(first[at : at + 2], "little") for at in (5, 7))
        for count in (parameters, columns):
            while count:
                packet = self._packet()
                seen.head.append(packet)
                if _is_eof(packet):
                    break
        # Every parameter is the number 1, so that ORDER BY ? would be a place.
        nulls = bytes((parameters + 7) // 8)
        types, values = b"\x08\0" * parameters, (1).to_bytes(8, "little") * parameters
        bound = nulls + b"\1" + types + values if parameters else b""
        for _ in range(2):
            connection._execute_command(
                COMMAND.COM_STMT_EXECUTE, first[1:5] + b"\0\1\0\0\0" + bound
            )
            if not self._answer(seen):
                break
        connection._execute_command(COMMAND.COM_STMT_CLOSE, first[1:5])

    def close(self) -> None:
        """Undo what was written and end."""
        with suppress(pymysql.Error, OSError):
            if self._connection.open:
                with self._connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
                self._connection.close()


_OF_PLAN = 0x0010 | 0x0020 | 0x0800
"""Status: no good index used, no index used, the query was slow."""


class _Seen:
    """What came back: packets around the rows, the rows of each result, the error's number."""

    def __init__(self) -> None:
        self.head: list[bytes] = []
        self.rows: list[list[bytes]] = []
        self.code = 0

    def failed(self, packet: bytes) -> None:
        self.code = int.from_bytes(packet[1:3], "little")
        self.head.append(packet)

    def bytes(self, *, loose: bool = False) -> bytes:
        results = [b"\n".join(sorted(rows) if loose else rows) for rows in self.rows]
        return b"\n".join([*self.head, *results])


def _without_plan(seen: _Seen) -> _Seen:
    """Leave out of what was seen how the server found the rows: where masks are in reach the guard
    does, whether or not the statement shows one."""
    plain = _Seen()
    plain.rows = seen.rows
    for packet in seen.head:
        at = 3 if _is_eof(packet) else _after_two_lengths(packet) if _is_ok(packet) else None
        if at is not None:
            status = int.from_bytes(packet[at : at + 2], "little") & ~_OF_PLAN
            packet = packet[:at] + status.to_bytes(2, "little") + packet[at + 2 :]
        plain.head.append(packet)
    return plain


def _is_ok(packet: bytes) -> bool:
    return packet[0] == 0 and len(packet) >= 7


def _is_eof(packet: bytes) -> bool:
    return packet[0] == 0xFE and len(packet) < 9


def _after_two_lengths(packet: bytes) -> int:
    at = 1
    for _ in range(2):
        at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[at], 1)
    return at
