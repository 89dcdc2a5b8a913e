"""``querykeep-proxy`` as a process: settings, SIGTERM, kill -9 and what the next one adopts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
from tests.ports import free_port
from tests.proxy.fix_shop_proxy import shop_policy
from tests.relay.fix_internal_api import KEY

from querykeep_demo.shop import Shop
from querykeep_guard.audit.chain import verify_records
from querykeep_guard.contracts.session import ConnectionInfo, Target

PROGRAM = Path(sys.executable).parent / "querykeep-proxy"


class Process:
    """One run of the program."""

    def __init__(self, environment: dict[str, str], health: int) -> None:
        self._health = health
        self.popen = subprocess.Popen([str(PROGRAM)], env=environment, stderr=subprocess.PIPE)

    def ready(self) -> dict:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/readyz") as answer:
                    return json.load(answer)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError("the proxy never became ready")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        self.log = self.popen.communicate(timeout=90)[1].decode()
        return self.popen.returncode


class Starter:
    """Starts the program as often as a test needs; `conninfo` is the clients' way in."""

    def __init__(self, environment: dict[str, str], health: int, port: int) -> None:
        self._environment = environment
        self._health = health
        self.processes: list[Process] = []
        self.conninfo = f"host=127.0.0.1 port={port} user=ann password=pw dbname=shop"

    def __call__(self, **changes: str) -> Process:
        self.processes.append(Process({**self._environment, **changes}, self._health))
        return self.processes[-1]


@pytest.fixture
def start(shop_postgresql, internal_api, tmp_path, tls_certificate):
    shop, port, health = shop_postgresql, free_port(), free_port()
    internal_api.connections = [
        ConnectionInfo("c1", "shop", "postgresql", "postgresql", "shop", port, "15.0")
    ]
    internal_api.passwords = {"ann": "pw"}
    internal_api.policy = shop_policy(shop)
    internal_api.target = Target(
        "postgresql", "postgresql", shop.host, shop.port, "shop", shop.account_user,
        shop.account_password,
    )  # fmt: skip
    (tmp_path / "key").write_text(KEY)
    environment = {
        "PATH": os.environ["PATH"],
        "QUERYKEEP_INTERNAL_URL": internal_api.url,
        "QUERYKEEP_INTERNAL_KEY_FILE": str(tmp_path / "key"),
        "QUERYKEEP_SPOOL_DIR": str(tmp_path / "spool"),
        "QUERYKEEP_PORTS": "1024-65535",
        "QUERYKEEP_ESTABLISH_BIND": "127.0.0.1:0",
        "QUERYKEEP_DATA_BIND": "127.0.0.1:0",
        "QUERYKEEP_PROXY_HEALTH_BIND": f"127.0.0.1:{health}",
        "QUERYKEEP_TLS_CERT_FILE": str(tls_certificate.cert_file),
        "QUERYKEEP_TLS_KEY_FILE": str(tls_certificate.key_file),
    }
    starter = Starter(environment, health, port)
    yield starter
    for process in starter.processes:
        if process.popen.returncode is None:
            process.stop(signal.SIGKILL)


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
    deadline = time.monotonic() + 90
    while is_running(shop_postgresql):
        assert time.monotonic() < deadline, "the target works on for nobody"
        time.sleep(0.05)
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
    log = process.popen.communicate(timeout=90)[1].decode()
    assert process.popen.returncode == code
    assert name in log or value in log
    assert "Traceback" not in log
