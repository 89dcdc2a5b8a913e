"""``querykeep-proxy`` as a process: settings, SIGTERM, kill -9 and what the next one adopts."""

from __future__ import annotations

import signal

import psycopg
import pytest
from tests.polling import wait_until
from tests.ports import free_port
from tests.proxy.fix_shop_proxy import shop_policy
from tests.proxy.program import Starter, program_environment

from querykeep_demo.shop import Shop
from querykeep_guard.audit.chain import verify_records
from querykeep_guard.contracts.session import ConnectionInfo, Target


@pytest.fixture
def start(shop_postgresql, internal_api, tmp_path, tls_certificate):
    shop, port = shop_postgresql, free_port()
    internal_api.connections = [
        ConnectionInfo("c1", "shop", "postgresql", "postgresql", "shop", port, "15.0")
    ]
    internal_api.passwords = {"ann": "pw"}
    internal_api.policy = shop_policy(shop)
    internal_api.target = Target(
        "postgresql", "postgresql", shop.host, shop.port, "shop", shop.account_user,
        shop.account_password,
    )  # fmt: skip
    environment = program_environment(tmp_path, internal_api.url, free_port(), tls_certificate)
    starter = Starter(environment, tmp_path, port)
    yield starter
    starter.end()


def test_sigterm_drains_and_ends_well(start, internal_api):
    process = start()
    assert process.ready()["parts"]["api"]["ok"] is True
    with psycopg.connect(start.conninfo, autocommit=True) as connection:
        connection.execute("select 1")
        assert process.stop() == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 2")
    assert internal_api.events("SessionClosed")[0]["reason"] == "drained"
    assert "pw" not in process.log


def is_running(shop: Shop) -> bool:
    with psycopg.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password,
        dbname=shop.database,
    ) as direct:  # fmt: skip
        text = (
            "select 1 from pg_stat_activity where usename = %s and state = 'active'"
            " and query like 'select count(*) from order_items%%'"
        )
        return bool(direct.execute(text, (shop.account_user,)).fetchall())


def test_kill_9_in_the_middle_of_a_statement_loses_no_event_and_leaves_nothing_running(
    start, internal_api, shop_postgresql
):
    internal_api.accept_records = False
    process = start()
    process.ready()
    connection = psycopg.connect(start.conninfo, autocommit=True)
    connection.execute("select 'done'")
    connection.pgconn.send_query(b"select count(*) from order_items a, order_items b")
    internal_api.wait_for(
        lambda: any(r["state"] == "running" for b in internal_api.beats for r in b["sessions"])
    )
    process.stop(signal.SIGKILL)
    connection.close()
    internal_api.accept_records = True
    assert is_running(shop_postgresql)
    start().ready()
    internal_api.wait_for(lambda: bool(internal_api.events("SessionClosed")))
    wait_until(lambda: not is_running(shop_postgresql), "the target works on for nobody")
    outcomes = [e["outcome"] for e in internal_api.events("StatementCompleted")]
    assert outcomes == ["ok", "unknown"]
    assert list(verify_records(internal_api.records)) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("QUERYKEEP_PORTS", "many", 2),
        ("QUERYKEEP_DATA_BIND", "9000", 2),
        ("QUERYKEEP_INTERNAL_KEY_FILE", "/nowhere", 2),
        ("QUERYKEEP_TLS_KEY_FILE", "", 2),
        ("QUERYKEEP_TLS_CERT_FILE", "/nowhere", 1),
        ("QUERYKEEP_ESTABLISH_BIND", "203.0.113.1:1", 1),
    ],
)
def test_a_wrong_setting_is_named(start, name, value, code):
    process = start(**{name: value})
    assert process.wait() == code
    assert name in process.log or value in process.log
    assert "Traceback" not in process.log
