"""Every policy case against the analyzer, and against real servers with twin data."""

from __future__ import annotations

import pytest
from tests.engines.mysql.twin_databases import DATABASE, ENGINE, MysqlTwins
from tests.guard import policy_cases
from tests.guard.case_checks import check_on_server
from tests.guard.policy_cases import PolicyCase

CASES = policy_cases.load(ENGINE)
STEP = 8
"""Every eighth case is run on servers each time, all of them in the long run."""


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_guard_says_what_the_case_says(case: PolicyCase, mariadb_twins: MysqlTwins) -> None:
    if case.before or not case.holds_for(mariadb_twins.catalog.server_version, "mariadb"):
        return  # The state of a session is known only to the session below.
    rules = policy_cases.policy(ENGINE, DATABASE, case.relax)
    with mariadb_twins.under(rules):
        found = mariadb_twins.decide(case.statement, mariadb_twins.context())
    assert not policy_cases.complaint(case, found)


def on_server(case: PolicyCase, mariadb_twins: MysqlTwins) -> None:
    if case.holds_for(mariadb_twins.catalog.server_version, "mariadb"):
        rules = policy_cases.policy(ENGINE, DATABASE, case.relax)
        with mariadb_twins.under(rules):
            assert not check_on_server(case, mariadb_twins)


@pytest.mark.parametrize("case", CASES[::STEP], ids=[case.id for case in CASES[::STEP]])
def test_the_case_holds_on_a_server(case: PolicyCase, mariadb_twins: MysqlTwins) -> None:
    on_server(case, mariadb_twins)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_case_holds_on_a_server(mariadb_twins: MysqlTwins) -> None:
    for case in CASES:
        on_server(case, mariadb_twins)


def test_no_case_stands_twice() -> None:
    names = [(case.id, case.flavours) for case in CASES]
    assert [name for name in names if names.count(name) > 1] == []
