"""The target's own statement log against the audit, while processes are killed under load.

What must hold whatever dies: no statement ran at the target that the audit lacks, no event is lost
or doubled, each chain is whole, and a statement of which no end was seen has the outcome
``unknown``. Each statement carries a mark of its own, by which the two sides are compared.
"""

from __future__ import annotations

import logging
import random
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql
import pytest
from tests.polling import wait_until
from tests.ports import free_port
from tests.proxy.fix_shop_proxy import shop_policy
from tests.proxy.program import Starter, program_environment
from tests.relay.fix_internal_api import FakeApi

from querykeep_demo.servers import PostgresqlServer
from querykeep_demo.shop import Shop
from querykeep_guard.audit.chain import verify_records
from querykeep_guard.contracts.session import ConnectionInfo, Target

MARK = re.compile(r"mark_[0-9a-f]{16}")
WORKERS = 4
CLIENT_PROGRAM = """
import itertools, sys, uuid
engine, port = sys.argv[1], int(sys.argv[2])
if engine == "postgresql":
    import psycopg
    connection = psycopg.connect(
        host="127.0.0.1", port=port, user="ann", password="pw", dbname="shop", autocommit=True
    )
else:
    import pymysql
    connection = pymysql.connect(
        host="127.0.0.1", port=port, user="ann", password="pw", database="shop", autocommit=True
    )
cursor = connection.cursor()
for number in itertools.count():
    mark = "mark_" + uuid.uuid4().hex[:16]
    cursor.execute(f"select '{mark}', id, email from customers where id < 200")
    cursor.fetchall()
    print(number, flush=True)
"""


@dataclass
class Road:
    """One engine: how its clients connect, and what its target says that it ran."""

    engine: str
    connect: Callable[[int], Any]
    logged: Callable[[], set[str]]
    is_running: Callable[[str], bool]
    stop_logging: Callable[[], None]


def postgresql_road(shop: Shop, server: PostgresqlServer) -> Road:
    def admin(text: str) -> None:
        with psycopg.connect(
            host=shop.host, port=shop.port, user=shop.user, password=shop.password,
            dbname=shop.database, autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(text)

    admin(f"alter role {shop.account_user} set log_statement = 'all'")
    log = server.log_file
    begin = log.stat().st_size

    def logged() -> set[str]:
        with log.open("rb") as file:
            file.seek(begin)
            return set(MARK.findall(file.read().decode("utf-8", "replace")))

    def is_running(mark: str) -> bool:
        with psycopg.connect(
            host=shop.host, port=shop.port, user=shop.user, password=shop.password,
            dbname=shop.database, autocommit=True,
        ) as connection:  # fmt: skip
            found = connection.execute(
                "select 1 from pg_stat_activity"
                " where usename = %s and state = 'active' and strpos(query, %s) > 0",
                (shop.account_user, mark),
            )
            return bool(found.fetchall())

    def connect(port: int) -> object:
        return psycopg.connect(
            host="127.0.0.1", port=port, user="ann", password="pw", dbname="shop",
            autocommit=True, connect_timeout=30,
        )  # fmt: skip

    return Road(
        "postgresql",
        connect,
        logged,
        is_running,
        lambda: admin(f"alter role {shop.account_user} reset log_statement"),
    )


def mariadb_road(shop: Shop) -> Road:
    def admin(*texts: str) -> list[tuple[object, ...]]:
        with (
            closing(
                pymysql.connect(
                    host=shop.host, port=shop.port, user=shop.user, password=shop.password
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            for text in texts:
                cursor.execute(text)
            return list(cursor.fetchall())

    admin(
        "SET GLOBAL log_output = 'TABLE'",
        "TRUNCATE mysql.general_log",
        "SET GLOBAL general_log = 1",
    )

    def logged() -> set[str]:
        rows = admin(
            "SELECT argument FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')"
        )
        texts = (
            bytes(row[0]).decode() if isinstance(row[0], bytes) else str(row[0]) for row in rows
        )
        return {mark for text in texts for mark in MARK.findall(text)}

    def is_running(mark: str) -> bool:
        return bool(
            admin(
                "SELECT 1 FROM information_schema.processlist"
                f" WHERE user = '{shop.account_user}' AND info LIKE '%{mark}%'"
            )
        )

    def connect(port: int) -> object:
        return pymysql.connect(
            host="127.0.0.1", port=port, user="ann", password="pw", database="shop",
            autocommit=True, connect_timeout=30,
        )  # fmt: skip

    return Road(
        "mariadb",
        connect,
        logged,
        is_running,
        lambda: (admin("SET GLOBAL general_log = 0", "TRUNCATE mysql.general_log"), None)[1],
    )


@pytest.fixture(params=["postgresql", "mariadb"])
def road(request: pytest.FixtureRequest) -> Iterator[Road]:
    if request.param == "postgresql":
        shop = request.getfixturevalue("shop_postgresql")
        made = postgresql_road(shop, request.getfixturevalue("postgresql_server"))
    else:
        made = mariadb_road(request.getfixturevalue("shop_mariadb"))
    yield made
    made.stop_logging()


@pytest.fixture
def start(road: Road, request, internal_api: FakeApi, tmp_path) -> Iterator[Starter]:
    """The proxy as a process before this engine's server."""
    shop: Shop = request.getfixturevalue(f"shop_{road.engine}")
    port = free_port()
    version = "15.0" if road.engine == "postgresql" else "10.11.0-MariaDB"
    internal_api.connections = [
        ConnectionInfo("c1", "shop", road.engine, road.engine, shop.database, port, version)
    ]
    internal_api.passwords = {"ann": "pw"}
    internal_api.policy = shop_policy(shop)
    internal_api.target = Target(
        road.engine, road.engine, shop.host, shop.port, shop.database, shop.account_user,
        shop.account_password,
    )  # fmt: skip
    environment = program_environment(tmp_path, internal_api.url, free_port())
    starter = Starter(environment, tmp_path, port)
    yield starter
    starter.end()


class Load:
    """Clients that ask one marked statement after another, and connect again when they are cut."""

    def __init__(self, road: Road, port: int) -> None:
        self._road = road
        self._port = port
        self._over = threading.Event()
        self._answers = 0
        self._answered = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    def wait(self, answers: int) -> None:
        """Wait until so many more statements were answered."""
        with self._answered:
            goal = self._answers + answers
            arrived = self._answered.wait_for(lambda: self._answers >= goal, 120)
        assert arrived, "the load does not get through"

    def _run(self, number: int) -> None:
        while not self._over.is_set():
            try:
                with closing(self._road.connect(self._port)) as connection:
                    self._talk(connection, number)
            except (psycopg.Error, pymysql.MySQLError, OSError):
                self._over.wait(0.02)

    def _talk(self, connection, number: int) -> None:
        cursor = connection.cursor()
        while not self._over.is_set():
            mark = f"mark_{uuid.uuid4().hex[:16]}"
            if self._road.engine == "postgresql" and number % 2:
                cursor.execute(f"select '{mark}', %s::int", (number,))
            elif number % 2:
                cursor.execute(f"update orders set status = status where id = 1 /* {mark} */")
            else:
                cursor.execute(f"select '{mark}', id, email from customers where id < 50")
            with self._answered:
                self._answers += 1
                self._answered.notify_all()


def shake(road: Road, start: Starter, api: FakeApi, *, rounds: int, seed: int) -> None:
    """Kill proxies, clients and the API's answers under load; then compare the two logs."""
    logging.getLogger(__name__).warning("seed %d", seed)
    chance = random.Random(seed)
    process = start()
    process.ready()
    load = Load(road, start.port)
    try:
        for _ in range(rounds):
            load.wait(chance.randrange(5, 60))
            what = chance.choice(["proxy", "proxy", "client", "API"])
            if what == "client":
                client = subprocess.Popen(
                    [sys.executable, "-c", CLIENT_PROGRAM, road.engine, str(start.port)],
                    stdout=subprocess.PIPE,
                )
                assert client.stdout is not None
                for _line in range(chance.randrange(1, 10)):
                    client.stdout.readline()
                client.kill()
                client.communicate()
            elif what == "API":
                api.accept_records = False
                load.wait(chance.randrange(5, 60))
            if what != "client":
                process.stop(signal.SIGKILL)
                api.accept_records = True
                process = start()
                process.ready()
    finally:
        load.stop()
        api.accept_records = True
    process.stop()
    compare(road, api)


def compare(road: Road, api: FakeApi) -> None:
    def settled() -> bool:
        started = {r.payload["statement_id"] for r in api.records if r.type == "StatementStarted"}
        ended = {r.payload["statement_id"] for r in api.records if r.type == "StatementCompleted"}
        return started == ended and bool(started)

    api.wait_for(settled, 120)
    ran = road.logged()
    started = api.events("StatementStarted")
    audited = Counter(mark for e in started for mark in MARK.findall(e["statement"]))
    assert ran, "the target logged nothing: the comparison would prove nothing"
    assert ran - audited.keys() == set(), "the target ran what the audit lacks"
    assert max(audited.values()) == 1, "an event is doubled"
    ends = Counter(e["statement_id"] for e in api.events("StatementCompleted"))
    assert set(ends.values()) == {1}
    assert {e["outcome"] for e in api.events("StatementCompleted")} <= {
        "ok",
        "unknown",
        "cancelled",
        "error",
    }
    done = {e["statement_id"] for e in api.events("StatementCompleted") if e["outcome"] == "ok"}
    marks = {e["statement_id"]: MARK.findall(e["statement"]) for e in started}
    never = {mark for each in done for mark in marks[each]} - ran
    assert not never, "the audit says that something ran well which the target never saw"
    for spool in {record.spool_id for record in api.records}:
        mine = sorted((r for r in api.records if r.spool_id == spool), key=lambda r: r.sequence)
        assert list(verify_records(mine)) == []


def test_nothing_runs_that_is_not_recorded_whoever_is_killed(road, start, internal_api):
    shake(road, start, internal_api, rounds=3, seed=random.randrange(1 << 32))


@pytest.mark.slow
def test_what_a_killed_proxy_left_running_is_stopped_by_the_next(road, start, internal_api):
    """The target itself would not notice that nobody waits for the answer."""
    mark = f"mark_{uuid.uuid4().hex[:16]}"
    endless = f"select '{mark}', count(*) from order_items a, order_items b, order_items c"
    process = start()
    process.ready()
    port = start.port
    connection = road.connect(port)
    if road.engine == "postgresql":
        connection.pgconn.send_query(endless.encode())
    else:
        connection._execute_command(3, endless)
    wait_until(lambda: road.is_running(mark), "the statement never began")
    process.stop(signal.SIGKILL)
    connection.close() if road.engine == "postgresql" else connection._force_close()
    assert road.is_running(mark)
    start().ready()
    wait_until(lambda: not road.is_running(mark), "the target works on for nobody")
    internal_api.wait_for(lambda: bool(internal_api.events("SessionClosed")))
    ended = internal_api.events("StatementCompleted")[-1]
    assert ended["outcome"] == "unknown"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_soak_of_kills_under_load(road, start, internal_api):
    shake(road, start, internal_api, rounds=200, seed=random.randrange(1 << 32))
