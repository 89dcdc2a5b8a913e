"""Two worlds that differ only in what masks and refusals hide, told apart or not.

The first world is the demo's own. The second has the same visible parts (first letter and domain of
an e-mail address, last four digits of phone and card, which values are NULL) and as different a
rest as can be: one value for everybody, of another length. Salaries and payroll differ too, in
values and in the number of rows. A statement whose answer differs by one byte tells what is hidden,
unless it differs from run to run by itself (clocks, random numbers), which a third run shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pymysql
from tests.fix_system import DemoConnection
from tests.security.observing import MariadbObserver, PostgresqlObserver

_TABLES = ("customers", "products", "orders", "order_items", "employees", "payroll")

_POSTGRESQL_TWIN = """
UPDATE customers SET
  email = left(email, 1) || 'zz' || substring(email from position('@' in email)),
  phone = '9999999999999-' || right(phone, 4), rrn = CASE WHEN rrn IS NOT NULL THEN '!' END,
  card_number = '00000' || right(card_number, 4);
UPDATE employees SET salary = 1;
DELETE FROM payroll WHERE employee_id > 100; UPDATE payroll SET amount = 2;
"""
_MARIADB_TWIN = (
    "UPDATE customers SET"
    " email = CONCAT(LEFT(email, 1), 'zz', SUBSTRING(email, LOCATE('@', email))),"
    " phone = CONCAT('9999999999999-', RIGHT(phone, 4)), rrn = IF(rrn IS NULL, NULL, '!'),"
    " card_number = CONCAT('00000000000', RIGHT(card_number, 4))",
    "UPDATE employees SET salary = 1",
    "DELETE FROM payroll WHERE employee_id > 100",
    "UPDATE payroll SET amount = 2",
)

Statements = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A statement that told the worlds apart."""

    road: str
    statement: str
    here: bytes
    there: bytes

    def __str__(self) -> str:
        at = next(
            (i for i, (a, b) in enumerate(zip(self.here, self.there, strict=False)) if a != b),
            min(len(self.here), len(self.there)),
        )
        start = max(0, at - 60)
        return (
            f"{self.road}: {self.statement}\n  {self.here[start : at + 90]!r}\n"
            f"  {self.there[start : at + 90]!r}"
        )


class PostgresqlWorlds:
    """Makes either world in the demo's PostgreSQL, each time from the same rows."""

    def __init__(self, shop: DemoConnection) -> None:
        direct = shop.direct
        self._connection = psycopg.connect(
            host=direct.host,
            port=direct.port,
            user=direct.user,
            password=direct.password,
            dbname=direct.database,
            autocommit=True,
        )
        self._rows: dict[str, list[bytes]] = {}
        for table in _TABLES:
            text = f"COPY (SELECT * FROM {table} ORDER BY 1, 2) TO STDOUT"
            with self._connection.cursor() as cursor, cursor.copy(text) as copy:
                self._rows[table] = [bytes(data) for data in copy]

    def make(self, *, twin: bool) -> None:
        """Make the demo's world, or its twin."""
        # Windows that other tests left open may hold tables in a transaction.
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(_TABLES)}")
            for table, rows in self._rows.items():
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for row in rows:
                        copy.write(row)
            if twin:
                for statement in filter(str.strip, _POSTGRESQL_TWIN.split(";")):
                    cursor.execute(statement)
        for table in ("customers", "employees", "payroll"):
            self._connection.execute(f"CLUSTER {table} USING {table}_pkey")
        self._connection.execute("VACUUM ANALYZE")

    def close(self) -> None:
        self._connection.close()


class MariadbWorlds:
    """Makes either world in the demo's MariaDB, each time from the same rows."""

    def __init__(self, shop: DemoConnection) -> None:
        direct = shop.direct
        self._connection = pymysql.connect(
            host=direct.host,
            port=direct.port,
            user=direct.user,
            password=direct.password,
            database=direct.database,
            autocommit=True,
        )
        self._rows = {}
        for table in _TABLES:
            self._do(f"SELECT * FROM {table} ORDER BY 1, 2")
            self._rows[table] = self._found
            # The planner's estimates count every page, once: a sample of pages differs by chance.
            self._do(f"ALTER TABLE {table} STATS_AUTO_RECALC = 0, STATS_SAMPLE_PAGES = 65535")

    def _do(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            self._found = cursor.fetchall()

    def make(self, *, twin: bool) -> None:
        """Make the demo's world, or its twin."""
        self._do("SET foreign_key_checks = 0")
        # As for PostgreSQL: who holds tables in a transaction and does nothing.
        self._do(
            "SELECT id FROM information_schema.processlist JOIN information_schema.innodb_trx"
            " ON trx_mysql_thread_id = id WHERE command = 'Sleep' AND id <> CONNECTION_ID()"
        )
        for (number,) in self._found:
            with suppress(pymysql.Error):  # it may have gone
                self._do(f"KILL {number}")
        for table, rows in self._rows.items():
            self._do(f"TRUNCATE {table}")
            places = ", ".join(["%s"] * len(rows[0]))
            with self._connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        if twin:
            for statement in _MARIADB_TWIN:
                self._do(statement)
        self._do(f"ANALYZE TABLE {', '.join(_TABLES)}")

    def close(self) -> None:
        self._connection.close()


Observer = Callable[[DemoConnection, str], PostgresqlObserver | MariadbObserver]


class Twins:
    """Runs statements in both worlds."""

    def __init__(self, shop: DemoConnection, user: str, roads: tuple[str, ...] = ()) -> None:
        self._is_postgresql = shop.engine == "postgresql"
        self._shop = shop
        self._user = user
        self._only = roads
        make: type[PostgresqlWorlds | MariadbWorlds]
        make = PostgresqlWorlds if self._is_postgresql else MariadbWorlds
        self._worlds = make(shop)
        self.ran = 0

    def _observe(self, wanted: Statements | None, texts: list[str]) -> dict[tuple[str, str], bytes]:
        make = PostgresqlObserver if self._is_postgresql else MariadbObserver
        found: dict[tuple[str, str], bytes] = {}
        only = None if wanted is None else set(wanted)
        with closing(make(self._shop, self._user)) as observer:
            roads = observer.roads()
            for name, road in roads.items():
                if self._only and name not in self._only:
                    continue
                for text in texts:
                    if only is not None and (name, text) not in only:
                        continue
                    found[name, text] = road(text)
                observer.close()
        return found

    def differences(self, texts: list[str]) -> tuple[list[Difference], list[Difference]]:
        """Return what told the worlds apart, and what differs from run to run anyway."""
        self._worlds.make(twin=False)
        here = self._observe(None, texts)
        self._worlds.make(twin=True)
        there = self._observe(None, texts)
        self._worlds.make(twin=False)
        self.ran = len(here)
        suspects = [key for key, seen in here.items() if seen != there[key]]
        again = self._observe(suspects, texts) if suspects else {}
        told = [Difference(*key, here[key], there[key]) for key in suspects]
        return (
            [d for d in told if again[d.road, d.statement] == d.here],
            [d for d in told if again[d.road, d.statement] != d.here],
        )

    def close(self) -> None:
        with suppress(Exception):
            self._worlds.make(twin=False)
        self._worlds.close()


@contextmanager
def twins(shop: DemoConnection, user: str, *roads: str) -> Iterator[Twins]:
    """Give the twins of a demo database; the demo's own world stands again afterwards."""
    made = Twins(shop, user, roads)
    try:
        yield made
    finally:
        made.close()
