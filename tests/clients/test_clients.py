"""Real clients, bare and governed: what each tells must be the same, line by line.

A difference that is meant stands in ``MEANT`` with its reason, and is compared as such.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import pytest
from tests.clients.fix_clients import command_of, note, run_program
from tests.clients.road import Road, shown_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

POSTGRESQL = (
    "psql.sh",
    "pg_dump.sh",
    "pgbench.sh",
    "sysbench.sh",
    "psycopg3.py",
    "psycopg_2.py",
    "asyncpg_.py",
    "pg8000_.py",
    "node.js pg",
    "node.js postgres",
)
MARIADB = (
    "mariadb.sh",
    "sysbench.sh",
    "pymysql_.py",
    "mysqlclient_.py",
    "mysql_connector.py",
    "asyncio_mysql.py",
    "mariadb_connector.py",
    "node.js mysql",
    "node.js mysql2",
    "node.js mariadb",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines of the bare and the governed road that may stand for each other."""

    direct: re.Pattern[str]
    governed: re.Pattern[str]
    why: str


_DIRECT_SYNTAX = re.compile(r".*You have an error in your SQL syntax.*")
SYNTAX = Difference(
    _DIRECT_SYNTAX,
    re.compile(r".*1064.*(syntax error near|expected|not known).*"),
    "a syntax error has the server's number and our words",
)
ORDER = Difference(
    re.compile(r"Warning: got packets out of order.*"),
    re.compile(r"(?!)"),
    "the bare server numbers compressed packets as the driver does not expect",
)
MEANT: dict[str, tuple[Difference, ...]] = {
    "pymysql_.py": (SYNTAX,),
    "node.js mysql2": (ORDER,),
}


def differences(direct: str, governed: str, meant: tuple[Difference, ...]) -> list[str]:
    """Return the lines that differ and are not meant to."""
    lines = [direct.splitlines(), governed.splitlines()]
    for found in meant:
        lines = [
            [f"<{found.why}>" if side.fullmatch(line) else line for line in text]
            for text, side in zip(lines, (found.direct, found.governed), strict=True)
        ]
    if ORDER in meant:
        lines = [[line for line in text if line != f"<{ORDER.why}>"] for text in lines]
    return list(difflib.unified_diff(lines[0], lines[1], "direct", "governed", "", "", 1, ""))


def compare(program: str, road: Road) -> None:
    """Run a program on both roads and compare; add its row to the table."""
    command = command_of(program)
    direct = run_program(command, road.direct)
    governed = run_program(command, road.governed)
    meant = MEANT.get(program, ())
    found = differences(direct.text, governed.text, meant)
    server = f"{road.direct.flavour} {shown_version(road.direct.version)}"
    same = not found and direct.returncode == governed.returncode
    count = len(direct.text.splitlines())
    result = f"the same {count} lines" if same else "DIFFERENT"
    note(program, server, result, "; ".join(each.why for each in meant) or "none")
    assert direct.returncode == 0, direct.text[-3000:]
    assert governed.returncode == 0, governed.text[-3000:]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("program", POSTGRESQL)
def test_a_client_of_postgresql(program: str, postgresql_road: Road) -> None:
    compare(program, postgresql_road)


@pytest.mark.parametrize("program", MARIADB)
def test_a_client_of_mariadb(program: str, mariadb_road: Road) -> None:
    compare(program, mariadb_road)
