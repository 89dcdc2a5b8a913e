"""The whole road with real clients and servers: client → proxy → database."""

from __future__ import annotations

import os
import subprocess

import psycopg
import pymysql
import pytest
import trio
from tests.polling import until
from tests.proxy.fix_shop_proxy import only_value, shop_policy


async def in_thread(call, *args):
    return await trio.to_thread.run_sync(call, *args)


def pg_conninfo(proxy, **options) -> str:
    given = {
        "host": "127.0.0.1",
        "port": proxy.port,
        "user": proxy.user,
        "password": proxy.password,
        "dbname": proxy.database,
        "connect_timeout": 10,
        **options,
    }
    return psycopg.conninfo.make_conninfo(**given)


def psql(proxy, text: str, sslmode: str = "prefer") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["psql", "-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", text],
        env={**os.environ, "PGPASSWORD": proxy.password, "PGHOST": "127.0.0.1",
             "PGPORT": str(proxy.port), "PGUSER": proxy.user, "PGDATABASE": proxy.database,
             "PGSSLMODE": sslmode},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("sslmode", ["disable", "require"])
async def test_psql_masks_refuses_and_is_audited(pg_proxy, sslmode):
    done = await in_thread(psql, pg_proxy, "select email from customers where id = 1", sslmode)
    assert done.returncode == 0, done.stderr
    assert "*****@" in done.stdout
    done = await in_thread(psql, pg_proxy, "select * from payroll", sslmode)
    assert "42501" in done.stderr
    assert "payroll" in done.stderr
    done = await in_thread(psql, pg_proxy, "selec 1", sslmode)
    assert "42601" in done.stderr
    await in_thread(pg_proxy.api.wait_for, lambda: len(pg_proxy.api.events("SessionClosed")) == 3)
    verdicts = {e["statement"]: e["verdict"] for e in pg_proxy.api.events("StatementStarted")}
    assert verdicts["select email from customers where id = 1"] == "masked"
    assert verdicts["select * from payroll"] == "denied"
    assert pg_proxy.api.events("SessionOpened")[0]["tls"] is (sslmode == "require")


async def test_wrong_password_and_policy_service_away(pg_proxy):
    pg_proxy.password = "nope"
    done = await in_thread(psql, pg_proxy, "select 1")
    assert "password authentication failed" in done.stderr
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("SignInRefused")))
    # psql tries once more without TLS.
    assert {e["code"] for e in pg_proxy.api.events("SignInRefused")} == {"bad_credentials"}
    pg_proxy.password = "pw-of-ann"
    pg_proxy.api.down = True
    done = await in_thread(psql, pg_proxy, "select 1")
    assert "57P03" in done.stderr or "policy service" in done.stderr


async def test_psycopg_prepared_binary_and_pipeline(pg_proxy):
    def work() -> None:
        with psycopg.connect(pg_conninfo(pg_proxy)) as connection:
            for number in range(1, 8):
                ((id_, email),) = connection.execute(
                    "select id, email from customers where id = %s", (number,), prepare=True
                ).fetchall()
                assert id_ == number
                assert "*****@" in email
            with connection.cursor(binary=True) as cursor:
                cursor.execute("select id, total from orders order by id limit 100")
                assert len(cursor.fetchall()) == 100
            with connection.pipeline():
                cursors = [connection.execute("select %s::int", (n,)) for n in range(200)]
            assert [only_value(c) for c in cursors] == list(range(200))
            with connection.cursor(name="server_side") as cursor:
                cursor.execute("select id from orders")
                assert len(cursor.fetchall()) == 20_000

    await in_thread(work)


async def test_cancel_reaches_the_running_statement(pg_proxy):
    def work() -> str:
        with psycopg.connect(pg_conninfo(pg_proxy), autocommit=True) as connection:
            import threading

            timer = threading.Timer(0.5, connection.cancel_safe)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(
                    "select count(*) from order_items a, order_items b, order_items c"
                )
            timer.join()
            return only_value(connection.execute("select 'still here'"))

    assert await in_thread(work) == "still here"


async def test_a_revoked_session_ends(pg_proxy):
    connection = await in_thread(psycopg.connect, pg_conninfo(pg_proxy))
    await in_thread(connection.execute, "select 1")
    (session,) = pg_proxy.services.live
    pg_proxy.api.ended_policies[session.grant.session_id] = {
        "reason": "revoked",
        "message": "the grant was deleted",
    }
    pg_proxy.api.change_policy()
    await until(lambda: len(pg_proxy.services.live) == 0)
    with pytest.raises(psycopg.OperationalError):
        await in_thread(connection.execute, "select 1")
    connection.close()


async def test_a_changed_policy_binds_a_live_psycopg_session(pg_proxy):
    connection = await in_thread(psycopg.connect, pg_conninfo(pg_proxy))
    statement = "select email from customers where id = 1"
    for _ in range(7):
        row = (await in_thread(connection.execute, statement)).fetchone()
        assert "*****@" in row[0]
    from dataclasses import replace

    pg_proxy.api.change_policy(replace(shop_policy(pg_proxy.shop), masking_rules=()))
    (session,) = pg_proxy.services.live
    await until(lambda: session.policy.version == 2)
    row = (await in_thread(connection.execute, statement)).fetchone()
    assert "*****@" not in row[0]
    connection.close()


async def test_client_gone_mid_result_leaves_nothing_running(pg_proxy):
    shop = pg_proxy.shop
    query = "select count(*) from order_items a, order_items b, order_items c"
    child = await in_thread(
        lambda: subprocess.Popen(
            ["psql", "-X", "-c", query, pg_conninfo(pg_proxy)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )

    def running() -> int:
        with psycopg.connect(
            host=shop.host, port=shop.port, user=shop.user, password=shop.password,
            dbname=shop.database,
        ) as direct:  # fmt: skip
            return only_value(
                direct.execute(
                    "select count(*) from pg_stat_activity where query = %s and state = 'active'",
                    (query,),
                )
            )

    async def is_running() -> bool:
        return await in_thread(running) == 1

    async def is_gone() -> bool:
        return await in_thread(running) == 0

    await until(is_running)
    child.kill()
    await in_thread(child.wait)
    await until(is_gone)
    await until(lambda: len(pg_proxy.services.live) == 0)


async def test_a_joined_result_is_masked_to_its_last_row(pg_proxy):
    def work() -> int:
        with psycopg.connect(pg_conninfo(pg_proxy)) as connection:
            rows = connection.execute(
                "select o.id, c.email from orders o join customers c on c.id = o.customer_id"
            ).fetchall()
            assert all(row[1] is None or "*****@" in row[1] for row in rows)
            return len(rows)

    assert await in_thread(work) == 20_000


# --- MariaDB --------------------------------------------------------------------------------------


def connect_mariadb(proxy, **options):
    return pymysql.connect(
        host="127.0.0.1", port=proxy.port, user=proxy.user, password=proxy.password,
        database=proxy.database, connect_timeout=10, read_timeout=60, **options,
    )  # fmt: skip


@pytest.mark.parametrize("tls", [False, True])
async def test_pymysql_masks_and_refuses(mariadb_proxy, tls, tls_certificate):
    options = {"ssl": {"ca": str(tls_certificate.cert_file)}} if tls else {"ssl_disabled": True}

    def work() -> None:
        connection = connect_mariadb(mariadb_proxy, **options)
        with connection, connection.cursor() as cursor:
            cursor.execute("select email from customers where id = 1")
            assert "*****@" in cursor.fetchone()[0]
            with pytest.raises(pymysql.err.OperationalError) as refused:
                cursor.execute("select * from payroll")
            assert refused.value.args[0] == 1142
            cursor.execute("select count(*) from orders")
            assert cursor.fetchone() == (20_000,)

    await in_thread(work)
    await in_thread(
        mariadb_proxy.api.wait_for, lambda: bool(mariadb_proxy.api.events("SessionClosed"))
    )
    verdicts = {e["statement"]: e["verdict"] for e in mariadb_proxy.api.events("StatementStarted")}
    assert verdicts["select * from payroll"] == "denied"


async def test_mariadb_wrong_password(mariadb_proxy):
    mariadb_proxy.password = "nope"

    def work() -> int:
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect_mariadb(mariadb_proxy)
        return refused.value.args[0]

    assert await in_thread(work) == 1045


async def test_mariadb_client_program(mariadb_proxy):
    done = await in_thread(
        lambda: subprocess.run(
            [
                "mariadb",
                "--no-defaults",
                "-h127.0.0.1",
                f"-P{mariadb_proxy.port}",
                f"-u{mariadb_proxy.user}",
                f"-p{mariadb_proxy.password}",
                "-N",
                "shop",
                "-e",
                "select email, phone from customers where id = 2; select 1",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    )
    assert done.returncode == 0, done.stderr
    assert "*****@" in done.stdout
