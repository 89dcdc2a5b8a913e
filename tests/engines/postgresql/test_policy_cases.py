"""Every policy case against the analyzer, and against real servers with twin data."""

from __future__ import annotations

import pytest
from tests.engines.postgresql.twin_databases import DATABASE, ENGINE, PostgresqlTwins
from tests.guard import policy_cases
from tests.guard.case_checks import check_on_server
from tests.guard.policy_cases import PolicyCase

CASES = policy_cases.load(ENGINE)
_ORDINARY = ("reports", "tools")
"""Files of ordinary work, of which every sixth case is run on servers each time, all in the long
run."""
EACH_TIME = [
    case for number, case in enumerate(CASES) if case.file not in _ORDINARY or number % 6 == 0
]
THE_REST = [case for case in CASES if case not in EACH_TIME]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_guard_says_what_the_case_says(
    case: PolicyCase, postgresql_twins: PostgresqlTwins
) -> None:
    if case.before or not case.holds_for(postgresql_twins.catalog.server_version):
        return  # The state of a session is known only to the session below.
    rules = policy_cases.policy(ENGINE, DATABASE, case.relax)
    with postgresql_twins.under(rules):
        found = postgresql_twins.decide(case.statement, postgresql_twins.context())
    assert not policy_cases.complaint(case, found)


@pytest.mark.parametrize("case", EACH_TIME, ids=[case.id for case in EACH_TIME])
def test_the_case_holds_on_a_server(case: PolicyCase, postgresql_twins: PostgresqlTwins) -> None:
    on_server(case, postgresql_twins)


@pytest.mark.slow
@pytest.mark.parametrize("case", THE_REST, ids=[case.id for case in THE_REST])
def test_every_case_holds_on_a_server(case: PolicyCase, postgresql_twins: PostgresqlTwins) -> None:
    on_server(case, postgresql_twins)


def on_server(case: PolicyCase, postgresql_twins: PostgresqlTwins) -> None:
    if case.holds_for(postgresql_twins.catalog.server_version):
        rules = policy_cases.policy(ENGINE, DATABASE, case.relax)
        with postgresql_twins.under(rules):
            assert not check_on_server(case, postgresql_twins)


def test_no_case_stands_twice() -> None:
    names = [case.id for case in CASES]
    assert [name for name in names if names.count(name) > 1] == []
