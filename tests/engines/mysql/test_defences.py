"""The mutation check: each defence of the analyzer and of the guard is switched off in turn, and a
policy case must go wrong: its verdict, its masks or the reason told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engines.mysql.twin_databases import DATABASE, ENGINE, MysqlTwins
from tests.guard import policy_cases
from tests.guard.defences import SHARED, Defence, replaced, switched_off

from querykeep_engines.mysql.analysis import functions as f
from querykeep_engines.mysql.analysis import queries, relations, settings, statements
from querykeep_engines.mysql.analysis.calls import CallAnalysis
from querykeep_engines.mysql.analysis.keys import KeyAnalysis
from querykeep_engines.mysql.analysis.lineage import NOTHING, Lineage, combine
from querykeep_engines.mysql.analysis.queries import QueryAnalysis
from querykeep_engines.mysql.analysis.relations import RelationAnalysis
from querykeep_engines.mysql.analysis.settings import SettingAnalysis
from querykeep_engines.mysql.analysis.statements import StatementAnalysis
from querykeep_engines.mysql.analysis.values import ValueAnalysis
from querykeep_engines.mysql.analysis.writes import WriteAnalysis
from querykeep_engines.mysql.analyzer import MysqlAnalyzer

CASES = [case for case in policy_cases.load(ENGINE) if not case.before]


def _nothing(*_args: Any, **_named: Any) -> None:
    return None


def _made_of(_self: Any, parts: Any, *_rest: Any) -> Lineage:
    return combine(parts, 0)


DEFENCES: tuple[Defence, ...] = (
    # LIMIT takes no column here.
    *(one for one in SHARED if one.name != "masked columns in the role limit"),
    Defence("predicates", replaced(ValueAnalysis, "predicate", _nothing)),
    Defence("what may fail", replaced(CallAnalysis, "_fallible", _made_of)),
    Defence("what chooses", replaced(CallAnalysis, "_conditional", _made_of)),
    Defence("which functions are total", replaced(CallAnalysis, "_is_total", lambda *_a: True)),
    Defence("how long a result is", replaced(CallAnalysis, "_size", lambda *_a: 1)),
    Defence("bytes read as text", replaced(CallAnalysis, "_is_stored_text", lambda *_a: True)),
    Defence("functions of users", replaced(CallAnalysis, "_unknown_call", lambda *_a: NOTHING)),
    Defence("functions that wait", replaced(f, "WAITING", frozenset[str]())),
    Defence("functions that tell by errors", replaced(f, "ERROR_FUNCTIONS", frozenset[str]())),
    Defence("aggregates", replaced(ValueAnalysis, "_aggregate", lambda *_a: NOTHING)),
    Defence("windows", replaced(ValueAnalysis, "window", lambda *_a: NOTHING)),
    Defence("names in windows", replaced(KeyAnalysis, "_window_aliases", _nothing)),
    Defence("keys by their place", replaced(KeyAnalysis, "_placed", lambda *_a: ())),
    Defence("ORDER BY and GROUP BY", replaced(KeyAnalysis, "_key", _nothing)),
    Defence("partitions and index hints", replaced(KeyAnalysis, "_check_selection", _nothing)),
    Defence("optimizer hints", replaced(KeyAnalysis, "_check_hint", _nothing)),
    Defence("set operations", replaced(QueryAnalysis, "_set_operation", lambda _s, _q, a, *_r: a)),
    Defence("tables defined later", replaced(queries, "DEFINED_LATER", ())),
    Defence("INTO", replaced(QueryAnalysis, "_into", _nothing)),
    Defence(
        "bodies of views",
        replaced(
            RelationAnalysis, "_view", lambda self, view, *_a: self.record.index.base_columns(view)
        ),
    ),
    Defence("generated columns", replaced(RelationAnalysis, "_generated", lambda *_a: NOTHING)),
    Defence("system relations", replaced(relations, "is_refused_system", lambda *_a: False)),
    Defence("sizes in catalogs", replaced(relations, "SIZED_TABLES", frozenset[str]())),
    Defence("copies in expressions", replaced(CallAnalysis, "_copied", _nothing)),
    Defence("copies by writes", replaced(WriteAnalysis, "_copied_value", _nothing)),
    Defence("columns written", replaced(WriteAnalysis, "_written", _nothing)),
    Defence("what judges a write", replaced(WriteAnalysis, "judge", _nothing)),
    Defence("rows that REPLACE compares", replaced(WriteAnalysis, "_all_judged", _nothing)),
    Defence("who refers to a row", replaced(WriteAnalysis, "_referenced", _nothing)),
    Defence("settings", replaced(settings, "_why_not", _nothing)),
    Defence("settings of the server", replaced(SettingAnalysis, "_global", _nothing)),
    Defence("character sets", replaced(SettingAnalysis, "_must_be", _nothing)),
    Defence("SHOW", replaced(statements, "_SHOW_REFUSED", {})),
    Defence("SHOW STATUS", replaced(statements, "_is_safe_status", lambda *_a: True)),
    Defence("kinds of statement", replaced(StatementAnalysis, "_refused", _nothing)),
    Defence("options of tables", replaced(StatementAnalysis, "_flagged", _nothing)),
    Defence("tables of definitions", replaced(StatementAnalysis, "_defined", _nothing)),
)


@pytest.mark.parametrize("defence", DEFENCES, ids=[defence.name for defence in DEFENCES])
def test_a_case_misses_each_defence(defence: Defence, mariadb_twins: MysqlTwins) -> None:
    rules = policy_cases.policy(ENGINE, DATABASE)
    version = mariadb_twins.catalog.server_version
    analyzer = MysqlAnalyzer()
    with switched_off(defence):
        for case in CASES:
            if case.relax or not case.holds_for(version, "mariadb"):
                continue
            try:
                found = policy_cases.decisions(
                    analyzer, case.statement, mariadb_twins.context(), mariadb_twins.catalog, rules
                )
            except (AttributeError, TypeError, IndexError, ValueError):
                continue  # the analyzer itself breaks without it
            if policy_cases.complaint(case, found):
                return
    pytest.fail(f"no case misses the defence: {defence.name}")
