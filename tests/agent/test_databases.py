"""Databases through the agent: real clients on local ports, and what ends them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
import pymysql
import pytest
from tests.agent.fix_agent import PROGRAM, Person, Qk, Running
from tests.agent.test_renewal import ask_ticket, key_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MASKED = "select id, email, phone, rrn, card_number from customers order by id limit 3"
NAMES = ("shop-postgresql", "shop-mariadb")


def open_ports(qk: Qk, *names: str) -> Running:
    """Start `qk connect` and wait until its ports are open."""
    running = qk.start("connect", "--json", *names)
    for name in names:
        assert json.loads(running.wait_for(f'.*"name": "{name}".*')[0])["event"] == "open"
    return running


@contextlib.contextmanager
def psycopg_through(qk: Qk) -> Iterator[psycopg.Connection]:
    with psycopg.connect(qk.json("url", "shop-postgresql")["url"], autocommit=True) as connection:
        yield connection


def direct_postgresql(qk: Qk) -> psycopg.Connection:
    bare = qk.system.postgresql.direct
    return psycopg.connect(
        host=bare.host, port=bare.port, user=bare.user, password=bare.password, dbname=bare.database
    )


def test_qk_psql(signed_in: Qk):
    done = signed_in.run("psql", "shop-postgresql", "-XAtc", MASKED)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    check_masks(signed_in, rows)


def test_qk_mysql(signed_in: Qk):
    done = signed_in.run("mysql", "shop-mariadb", "-BNe", MASKED)
    assert (done.returncode, done.stderr) == (0, "")
    check_masks(signed_in, [line.split("\t") for line in done.stdout.splitlines()])


def check_masks(qk: Qk, rows: list[list[str]]) -> None:
    with direct_postgresql(qk) as bare:
        true = [[str(value) for value in row] for row in bare.execute(MASKED).fetchall()]
    assert len(rows) == len(true) == 3
    for (key, email, phone, rrn, card), (true_key, *secrets) in zip(rows, true, strict=True):
        assert key == true_key
        name, _, domain = secrets[0].partition("@")
        assert email == f"{name[0]}*****@{domain}"
        assert phone.endswith(secrets[1][-4:])
        assert card.endswith(secrets[3][-4:])
        assert not {phone, rrn, card} & set(secrets)


@pytest.mark.parametrize(
    ("client", "name", "option"), [("psql", NAMES[0], "-c"), ("mysql", NAMES[1], "-e")]
)
def test_refusals_and_exit_codes_are_the_clients_own(signed_in: Qk, client, name, option):
    done = signed_in.run(client, name, option, "select salary from employees")
    assert done.returncode == 1
    assert "Salaries" in done.stderr
    done = signed_in.run(client, name, stdin="select 40 + 2;")
    assert done.returncode == 0
    assert "42" in done.stdout


def test_the_wrong_program_and_the_wrong_name(signed_in: Qk):
    done = signed_in.run("psql", "shop-mariadb")
    assert done.returncode == 2
    assert "qk mysql shop-mariadb" in done.stderr
    done = signed_in.run("psql", "elsewhere")
    assert done.returncode == 4
    assert "shop-mariadb, shop-postgresql" in done.stderr


def test_no_password_stands_on_a_command_line(signed_in: Qk, tmp_path):
    """Programs see how they are started: here each writes that down instead of connecting."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("psql", "mariadb"):
        (programs / name).write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo MariaDB && exit\n'
            'echo "$@"; echo "password=$PGPASSWORD"\n'
            'cat "${1#--defaults-file=}" 2>/dev/null; exit 3\n'
        )
        (programs / name).chmod(0o755)
    qk = signed_in
    environment = {**qk.environment, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for client, name in (("psql", NAMES[0]), ("mysql", NAMES[1])):
        done = subprocess.run(
            [PROGRAM, client, name, "--one", "two"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        line, *rest = done.stdout.splitlines()
        (password,) = set(re.findall(r"^password=\"?(\w+)", "\n".join(rest), re.MULTILINE))
        assert len(password) == 32
        assert password not in line
        assert line.endswith("--one two")
    assert not list((qk.home / "clients").iterdir())


def test_connect_serves_any_client_on_ports_that_stay(signed_in: Qk):
    running = open_ports(signed_in, *NAMES)
    listed = {entry["name"]: entry for entry in signed_in.json("ls")}
    assert [listed[name]["open"] for name in NAMES] == [True, True]
    with psycopg_through(signed_in) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (20000,)
        with psycopg_through(signed_in) as second:
            assert second.execute("select 1").fetchone() == (1,)
    entry = signed_in.json("url", "shop-mariadb")
    with contextlib.closing(
        pymysql.connect(
            host=entry["host"], port=entry["port"], user=entry["username"],
            password=entry["password"], database=entry["database"],
        )
    ) as mariadb, mariadb.cursor() as cursor:  # fmt: skip
        cursor.execute("select email from customers where id = 1")
        ((email,),) = cursor.fetchall()
        assert "*****@" in email
    done = signed_in.run("connect", "shop-mariadb")
    assert done.returncode == 1
    assert f"process {running.process.pid}" in done.stderr
    running.process.send_signal(signal.SIGINT)
    assert running.end()[0] == 0
    after = {entry["name"]: entry for entry in signed_in.json("ls")}
    for name in NAMES:
        assert (after[name]["port"], after[name]["open"]) == (listed[name]["port"], False)


def test_programs_find_the_database_by_env(signed_in: Qk):
    running = open_ports(signed_in, "shop-postgresql")
    shell = 'eval "$(qk env shop-postgresql)" && psql -XAtc "select 40 + 2"'
    done = subprocess.run(
        ["sh", "-c", shell],
        env=signed_in.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "42\n", done.stderr
    running.process.terminate()
    assert running.end()[0] == 0


def test_another_process_without_the_password_gets_nowhere(signed_in: Qk):
    running = open_ports(signed_in, *NAMES)
    entry = signed_in.json("url", "shop-postgresql")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=entry["host"], port=entry["port"], user=entry["username"],
            password="guess", dbname="shop",
        )  # fmt: skip
    entry = signed_in.json("url", "shop-mariadb")
    with pytest.raises(pymysql.OperationalError, match="1045"):
        pymysql.connect(
            host=entry["host"], port=entry["port"], user=entry["username"],
            password="guess", database="shop",
        )  # fmt: skip
    running.process.terminate()
    assert running.end()[0] == 0
    old = entry["password"]
    assert signed_in.json("url", "--new-password", "shop-mariadb")["password"] != old


def test_a_chosen_port_is_kept_and_a_taken_one_is_an_error(signed_in: Qk):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = signed_in.run("connect", "--port", str(port), "shop-postgresql")
        assert done.returncode == 7
        assert "--port N" in done.stderr
    running = signed_in.start("connect", "--json", "--port", str(port), "shop-postgresql")
    running.wait_for('"event": "open"')
    running.process.terminate()
    assert running.end()[0] == 0
    assert signed_in.json("url", "shop-postgresql")["port"] == port
    done = signed_in.run("connect", "--port", str(port), "shop-mariadb")
    assert done.returncode == 2


def test_revoking_the_agent_ends_its_sessions_and_says_why(signed_in: Qk, analyst: Person):
    running = open_ports(signed_in, "shop-postgresql")
    with psycopg_through(signed_in) as connection:
        connection.execute("select 1")
        agent = analyst.get("agents?ordering=-created_at").json()["results"][0]["id"]
        assert analyst.delete(f"agents/{agent}").status_code == 204
        assert select.select([connection.fileno()], [], [], 30)[0], "the end is told at once"
        with pytest.raises(psycopg.errors.AdminShutdown, match="signed out or revoked"):
            connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="Sign in again"):
        psycopg.connect(running_url(signed_in, running))
    running.wait_for("Sign in again")
    running.process.terminate()
    assert running.end()[0] == 0


def running_url(qk: Qk, running: Running) -> str:
    """Build the address from the stored secrets: a revoked qk tells none any more."""
    port = json.loads(running.wait_for('.*"event": "open".*')[0])["port"]
    (password,) = qk.secrets()["passwords"].values()
    return f"postgresql://analyst:{password}@127.0.0.1:{port}/shop"


def test_logging_out_ends_open_sessions(signed_in: Qk):
    running = open_ports(signed_in, "shop-postgresql")
    with psycopg_through(signed_in) as connection:
        connection.execute("select 1")
        assert signed_in.run("logout").returncode == 0
        assert select.select([connection.fileno()], [], [], 30)[0]
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("select 1")
    running.process.terminate()
    assert running.end()[0] == 0


def test_killing_a_session_in_the_web_ui_leaves_the_port_open(signed_in: Qk, system):
    running = open_ports(signed_in, "shop-postgresql")
    with contextlib.closing(Person(system, "admin")) as admin:
        with psycopg_through(signed_in) as connection:
            connection.execute("select 1")
            live = admin.get("sessions").json()["results"]
            (mine,) = [entry for entry in live if entry["route"] == "agent"]
            assert mine["user"]["name"] == "analyst"
            answer = admin.post(f"sessions/{mine['id']}/end", reason="maintenance")
            assert answer.status_code < 300, answer.text
            assert select.select([connection.fileno()], [], [], 30)[0]
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("select 1")
        with psycopg_through(signed_in) as again:
            assert again.execute("select 1").fetchone() == (1,)
    running.process.terminate()
    assert running.end()[0] == 0


def test_cancel_goes_through(signed_in: Qk):
    running = open_ports(signed_in, "shop-postgresql")
    endless = "select count(*) from order_items a, order_items b, order_items c"
    with psycopg_through(signed_in) as connection, ThreadPoolExecutor(1) as pool:
        result = pool.submit(connection.execute, endless)
        while not result.done():  # a cancel that comes before its statement cancels nothing
            connection.cancel_safe(timeout=30)
            wait([result], timeout=0.5)
        with pytest.raises(psycopg.errors.QueryCanceled):
            result.result()
        assert connection.execute("select 1").fetchone() == (1,)
    running.process.terminate()
    assert running.end()[0] == 0


def test_a_person_without_grants_sees_and_opens_nothing(make_qk, system):
    qk = make_qk("admin")
    with contextlib.closing(Person(system, "admin")) as admin:
        qk.login(admin)
    assert qk.json("ls") == []
    assert qk.run("psql", "shop-postgresql").returncode == 4
    refused = ask_ticket(qk, qk.tokens()["access_token"], key_of(qk))
    assert (refused.status_code, refused.json()["code"]) == (403, "no_grant")


def test_parts_that_are_away(signed_in: Qk):
    """The sign-in stays; each part is named."""
    file = signed_in.home / "config.json"
    whole = json.loads(file.read_text())
    (server,) = whole["servers"].values()
    file.write_text(
        json.dumps(
            {**whole, "servers": {server["name"]: {**server, "establish": "https://127.0.0.1:1"}}}
        )
    )
    done = signed_in.run("psql", "shop-postgresql")
    assert done.returncode == 5
    assert "the proxy at https://127.0.0.1:1 is not reachable" in done.stderr
    done = signed_in.run("doctor", "--json")
    assert done.returncode == 1
    assert {check["check"] for check in json.loads(done.stdout) if not check["ok"]} == {
        "proxy", "data port",
    }  # fmt: skip
    file.write_text(json.dumps(whole))
    assert signed_in.run("doctor").returncode == 0


def test_statements_are_audited_as_the_agents(signed_in: Qk, system):
    done = signed_in.run("psql", "shop-postgresql", "-XAtc", "select 4711 + 0")
    assert done.returncode == 0
    with contextlib.closing(Person(system, "auditor")) as auditor:
        found = auditor.get("audit/statements?search=4711&route=agent").json()["results"]
    assert found
    assert {(entry["user"]["name"], entry["route"]) for entry in found} == {("analyst", "agent")}
