"""The figures: each measures its roads in turn, round by round, and reports medians and ratios.

A round visits every road before the next round starts, so that what the machine does meanwhile
hits all of them alike. Ratios are what to quote; absolute values belong to the machine.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pymysql
from tests.bench.decisions import decision_times
from tests.bench.editor import editor_times
from tests.bench.measures import (
    KIB_PER_MB,
    Figure,
    Plan,
    memory_above_idle,
    processor_time_s,
)
from tests.bench.roads import Road, direct, haproxy, pgbouncer, querykeep, run
from tests.fix_system import System

PGBENCH_SCALE = 5
LONGEST_PGBENCH_S = 60
MICROSECONDS = 1_000_000
# Fewer than the demo's database takes, beside what else is connected there.
IDLE_SESSIONS = 50
# 2,000 customers beside 500 orders: a million rows of real columns, four of them masked.
MILLION_ROWS = (
    "SELECT c.id, c.name, c.email, c.phone, c.rrn, c.card_number "
    "FROM customers c JOIN orders o ON o.id <= 500"
)
FEW_ROWS = f"{MILLION_ROWS} LIMIT 10"


def measure(
    figure: str,
    unit: str,
    roads: Sequence[Road],
    measure_once: Callable[[Road], float],
    plan: Plan,
    **detail: object,
) -> list[Figure]:
    """Measure each road in each round."""
    values: dict[str, list[float]] = {road.name: [] for road in roads}
    for _round in range(plan.rounds):
        for road in roads:
            values[road.name].append(measure_once(road))
    return [Figure(figure, name, unit, tuple(rounds), detail) for name, rounds in values.items()]


def pgbench_select(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """`pgbench -S` with 1 and 8 clients, simple and prepared protocol: rate, and the processor time
    of the process in between per statement (the clients' sign-ins are in it)."""
    program = _pgbench()
    _prepare_pgbench(system, program)
    with ExitStack() as stack:
        roads = [
            direct(system.postgresql),
            stack.enter_context(pgbouncer(system.postgresql)),
            querykeep(system.postgresql, "developer", pid=system.pids["proxy"]),
        ]
        for protocol in ("simple", "prepared"):
            for clients in (1, 8):
                used: dict[str, list[float]] = {road.name: [] for road in roads if road.pid}

                def once(
                    road: Road,
                    protocol: str = protocol,
                    clients: int = clients,
                    used: dict[str, list[float]] = used,
                ) -> float:
                    before = processor_time_s(road.pid) if road.pid else 0.0
                    rate, count = _select_rate(
                        [program, "-n", "-S", "-M", protocol, "-c", str(clients), "-j", "1"],
                        road,
                        seconds=plan.seconds,
                    )
                    if road.pid:
                        spent = processor_time_s(road.pid) - before
                        used[road.name].append(spent / count * MICROSECONDS)
                    return rate

                detail: dict[str, object] = {"clients": clients, "protocol": protocol}
                yield measure("pgbench_select", "tps", roads, once, plan, **detail)
                yield [
                    Figure("pgbench_select_cpu", name, "us/statement", tuple(rounds), detail)
                    for name, rounds in used.items()
                ]


def _select_rate(command: list[str], road: Road, *, seconds: int) -> tuple[float, int]:
    """Return pgbench's rate without the time of sign-in, and how many statements ran.

    Its clock starts before its clients sign in: on a busy machine that alone can use up the time,
    and pgbench then prints no rate. So it is given more, until there is one.
    """
    while True:
        output = run([*command, "-T", str(seconds), road.database], road.libpq_environment())
        count = int(_found(r"actually processed: (\d+)", output))
        if count:
            return _found(r"tps = ([\d.]+)", output), count
        if seconds > LONGEST_PGBENCH_S:
            raise ValueError(f"no transaction on {road.name} within {seconds} s: {output[-500:]!r}")
        seconds *= 2


def idle_session_memory(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """What an idle session takes of the proxy's memory."""
    road = querykeep(system.postgresql, "developer")
    kilobytes: list[float] = []
    # What the first session of a process loads, and the last one lets go, is not a session's.
    with _connected(road):
        for _round in range(plan.rounds):
            with ExitStack() as stack, memory_above_idle(system.pids["proxy"]) as used:
                for _session in range(IDLE_SESSIONS):
                    stack.enter_context(_connected(road))
                kilobytes.append(used.now_mb() * KIB_PER_MB / IDLE_SESSIONS)
    detail: dict[str, object] = {"sessions": IDLE_SESSIONS, "engine": "postgresql"}
    yield [Figure("idle_session_memory", "querykeep", "KB/session", tuple(kilobytes), detail)]


def postgresql_connect(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """Sign-in, one statement, goodbye: sessions per second."""
    program = _pgbench()
    _prepare_pgbench(system, program)
    with pgbouncer(system.postgresql) as relay:
        roads = [direct(system.postgresql), relay, querykeep(system.postgresql, "developer")]

        def once(road: Road) -> float:
            command = [program, "-n", "-S", "-C", "-c", "4", "-j", "2", "-T", str(plan.seconds)]
            return _found(
                r"tps = ([\d.]+)", run([*command, road.database], road.libpq_environment())
            )

        yield measure("postgresql_connect", "sessions/s", roads, once, plan, clients=4)


def postgresql_million_rows(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """A read of a million rows, unmasked (dba) and masked (analyst), and the proxy's memory."""
    with pgbouncer(system.postgresql) as relay:
        for account, masked in (("dba", False), ("analyst", True)):
            roads = [direct(system.postgresql), relay, querykeep(system.postgresql, account)]
            peaks: list[float] = []
            # What the proxy loads once, for its first session, is not the read's.
            _read(roads[-1], FEW_ROWS)

            def once(road: Road, peaks: list[float] = peaks) -> float:
                if road.name != "querykeep":
                    return _read(road)
                with memory_above_idle(system.pids["proxy"]) as used:
                    taken = _read(road)
                peaks.append(used.peak_mb)
                return taken

            yield measure("postgresql_million_rows", "s", roads, once, plan, masked=masked)
            detail: dict[str, object] = {"masked": masked}
            yield [
                Figure("postgresql_million_rows_memory", "querykeep", "MB", tuple(peaks), detail)
            ]


def _read(road: Road, statement: str = MILLION_ROWS) -> float:
    started = time.monotonic()
    command = ["psql", "-X", "-q", "-A", "-t", "-o", "/dev/null", "-c", statement]
    run(command, road.libpq_environment())
    return time.monotonic() - started


def mariadb_point_query(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """One row by its key through a driver, one session: statements per second."""
    with haproxy(system.mariadb) as relay:
        roads = [direct(system.mariadb), relay, querykeep(system.mariadb, "developer")]

        def once(road: Road) -> float:
            with _mariadb(road) as connection, connection.cursor() as cursor:
                count, started = 0, time.monotonic()
                while time.monotonic() - started < plan.seconds:
                    cursor.execute("SELECT name, price FROM products WHERE id = %s", (count % 300,))
                    cursor.fetchall()
                    count += 1
                return count / (time.monotonic() - started)

        yield measure("mariadb_point_query", "statements/s", roads, once, plan, clients=1)


def mariadb_connect(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """Sign-in, one statement, goodbye: sessions per second."""
    with haproxy(system.mariadb) as relay:
        roads = [direct(system.mariadb), relay, querykeep(system.mariadb, "developer")]

        def once(road: Road) -> float:
            count, started = 0, time.monotonic()
            while time.monotonic() - started < plan.seconds:
                with _mariadb(road) as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                count += 1
            return count / (time.monotonic() - started)

        yield measure("mariadb_connect", "sessions/s", roads, once, plan, clients=1)


FIGURES: dict[str, Callable[[System, Plan], Iterator[list[Figure]]]] = {
    "pgbench_select": pgbench_select,
    "postgresql_connect": postgresql_connect,
    "idle_session_memory": idle_session_memory,
    "postgresql_million_rows": postgresql_million_rows,
    "mariadb_point_query": mariadb_point_query,
    "mariadb_connect": mariadb_connect,
    "decision": decision_times,
    "editor": editor_times,
}


def _pgbench() -> str:
    found = shutil.which("pgbench")
    if found:
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    if not installed:
        raise FileNotFoundError("pgbench is not installed: `make bench` installs it")
    return str(installed[-1])


def _prepare_pgbench(system: System, program: str) -> None:
    """Make pgbench's tables, which the connection's stored account may read."""
    road = direct(system.postgresql)
    with _connected(road) as connection:
        row = connection.execute("SELECT to_regclass('pgbench_history')").fetchone()
        if row is None or row[0] is None:
            run([program, "-i", "-q", "-s", str(PGBENCH_SCALE)], road.libpq_environment())
        for table in ("accounts", "branches", "tellers", "history"):
            connection.execute(f"GRANT SELECT ON pgbench_{table} TO shop_app".encode())
    _wait_until_known(querykeep(system.postgresql, "developer"))


def _wait_until_known(road: Road) -> None:
    """Wait until the governed road has seen the new tables in the catalog."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with _connected(road) as connection:
                connection.execute("SELECT abalance FROM pgbench_accounts WHERE aid = 1")
            return
        except psycopg.Error:
            if time.monotonic() > deadline:
                raise


def _connected(road: Road) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=road.host,
        port=road.port,
        user=road.user,
        password=road.password,
        dbname=road.database,
        autocommit=True,
    )


def _mariadb(road: Road) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(
        host=road.host,
        port=road.port,
        user=road.user,
        password=road.password,
        database=road.database,
        charset="utf8mb4",
    )


def _found(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no {pattern} in {text[-500:]!r}")
    return float(match[1])
