"""The mutation check: each defence of the analyzer and of the guard is switched off in turn.

Without it a policy case must go wrong, and (long run) a random statement must be let through that
tells the twins apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from tests.engines.postgresql.generated_programs import Programs
from tests.engines.postgresql.twin_databases import DATABASE, ENGINE, PostgresqlTwins
from tests.guard import policy_cases
from tests.guard.defences import SHARED, Defence, replaced, switched_off, without_item
from tests.guard.twin_runner import bare_difference

from querykeep_engines.postgresql.analysis import (
    attached,
    columns,
    definitions,
    expressions,
    from_items,
    functions,
    judged,
    names,
    queries,
    relations,
    settings,
    types,
    utility,
    writes,
)
from querykeep_engines.postgresql.analysis.model import (
    CONSTANT,
    SELECT_LIST,
    Findings,
    Value,
    merge,
)
from querykeep_engines.postgresql.analyzer import PostgresqlAnalyzer
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.sql.facts import ColumnName

CASES = [case for case in policy_cases.load(ENGINE) if not case.before]
FUZZ_PROGRAMS = 4_000
SEED = 7


def _harmless(_f: Findings, values: Any, *_rest: Any, **_named: Any) -> Value:
    return merge(values)


def _everything_total(_name: str, _node: Any, _values: Any) -> bool:
    return True


def _nothing(*_args: Any, **_named: Any) -> None:
    return None


def _as_text(value: Value, _type: Any, _location: int, _f: Findings) -> Value:
    return Value(value.sources, value.expression, None, 25, "text")


def _vouched(*_args: Any, **_named: Any) -> None:
    return None


def _own_only(shared: Any, relation: Any, column: str) -> frozenset[Any]:
    return frozenset({ColumnName(relation.schema, relation.name, column)})


def _view_is_a_table(relation: Any, _name: Any, _f: Findings) -> Any:
    return tuple(
        relations._column(relation, column, _f.names.shared) for column in relation.columns
    )


def _first_of(left: Value, _right: Value) -> Value:
    return left


DEFENCES: tuple[Defence, ...] = (
    *SHARED,
    Defence("WHERE is a predicate", replaced(queries, "_WHERE", SELECT_LIST)),
    Defence("GROUP BY", replaced(queries, "_GROUP", SELECT_LIST)),
    Defence("ORDER BY", replaced(queries, "_ORDER", SELECT_LIST)),
    Defence("DISTINCT", replaced(queries, "_DISTINCT", SELECT_LIST)),
    Defence("DISTINCT ON", replaced(queries, "_DISTINCT_ON", SELECT_LIST)),
    Defence("join conditions", replaced(from_items, "_ON", SELECT_LIST)),
    Defence("USING and NATURAL", replaced(from_items, "_USING", SELECT_LIST)),
    Defence("WHERE of writes", replaced(writes, "_WHERE", SELECT_LIST)),
    Defence("what may fail", replaced(Findings, "opaque", _harmless)),
    Defence("which functions are total", replaced(functions, "_is_total", _everything_total)),
    Defence("which functions are known", replaced(functions, "refuse", _vouched)),
    Defence("aggregates", replaced(functions, "_aggregate", lambda *_args: CONSTANT)),
    Defence("windows of functions", replaced(functions, "window", lambda *_args: [])),
    Defence("FILTER and ORDER BY in calls", replaced(functions, "_extras", lambda *_args: [])),
    Defence("sizes in functions", replaced(functions, "_is_size", lambda *_args: False)),
    Defence("casts", replaced(types, "cast", _as_text)),
    Defence("operators of users", replaced(expressions, "check_operator", _vouched)),
    Defence("whole rows", replaced(columns, "whole_row", lambda *_args: CONSTANT)),
    Defence("system columns", replaced(columns, "_system", lambda *_args: CONSTANT)),
    Defence("arms of set operations", replaced(types, "unify", _first_of)),
    Defence("bodies of views", replaced(relations, "_view", _view_is_a_table)),
    Defence("system relations", replaced(relations, "is_readable_system", lambda _relation: True)),
    Defence(
        "generated columns", replaced(relations, "_with_generated", lambda _r, plain, _f: plain)
    ),
    Defence("partitions share rules", replaced(names.CatalogNames, "lineage_names", _own_only)),
    Defence("what judges a write", replaced(judged, "judge", _nothing)),
    Defence("copies", replaced(writes, "copied", _nothing)),
    Defence("row-level security", replaced(attached, "policies", _nothing)),
    Defence("rules of tables", replaced(attached, "rules", _nothing)),
    Defence("defaults", replaced(attached, "defaults", _nothing)),
    Defence("settings", replaced(settings, "check", _nothing)),
    Defence("whole-row fields of CASE", replaced(expressions, "_with", lambda value, _c: value)),
    Defence("expressions of new tables", replaced(definitions, "_table_element", _nothing)),
    Defence("DO blocks", without_item(utility, "HANDLERS", "do_stmt")),
)

_NOT_RANDOM = frozenset(
    {
        "masked columns in the role limit",
        # What a window is made of reaches the result, where it is refused once more.
        "masked columns in the role window",
        "masked columns in the role judged",
        "masked columns in the role written",
        "masked columns in the role written_from",
        "masks on output columns",
        "the mask written back",
        "an expression hides whole",
        "WHERE of writes",
        "join conditions",
        "which functions are known",
        "which functions are total",
        "sizes in functions",
        "operators of users",
        "system columns",
        "system relations",
        "what judges a write",
        "copies",
        "row-level security",
        "rules of tables",
        "defaults",
        "settings",
        "expressions of new tables",
        "DO blocks",
        "FILTER and ORDER BY in calls",
        "windows of functions",
        "partitions share rules",
        "generated columns",
        "arms of set operations",
        "bodies of views",
        "whole kinds of statement",
        "whole-row fields of CASE",
        "casts",
    }
)
"""Defences against what random programs hardly make, or whose loss shows as a lost mask rather than
as a statement let through; the cases have them."""
RANDOMLY_MISSED = tuple(one for one in DEFENCES if one.name not in _NOT_RANDOM)


def _wrong_case(twins: PostgresqlTwins, defence: Defence) -> str:
    """Return the first case that goes wrong without a defence, or nothing."""
    with switched_off(defence):
        analyzer = PostgresqlAnalyzer()
        for case in CASES:
            if not case.holds_for(twins.catalog.server_version):
                continue
            rules = policy_cases.policy(ENGINE, DATABASE, case.relax)
            decided = policy_cases.decisions(
                analyzer, case.statement, twins.context(), twins.catalog, rules
            )
            if policy_cases.complaint(case, decided):
                return case.id
    return ""


@pytest.mark.parametrize("defence", DEFENCES, ids=[defence.name for defence in DEFENCES])
def test_a_case_misses_the_defence(defence: Defence, postgresql_twins: PostgresqlTwins) -> None:
    assert _wrong_case(postgresql_twins, defence), f"no case misses: {defence.name}"


def _leaks(twins: PostgresqlTwins, defence: Defence, programs: list[str]) -> Iterator[str]:
    """Give random statements that pass without a defence and tell the twins apart."""
    rules: SessionPolicy = twins.rules
    context = twins.context()
    with switched_off(defence):
        analyzer = PostgresqlAnalyzer()
        opened = [
            text
            for text in programs
            if policy_cases.verdict_of(
                policy_cases.decisions(analyzer, text, context, twins.catalog, rules)
            )
            != "refused"
        ]
    for text in opened:
        if bare_difference(twins, (text,), twins.roads[0]):
            yield text


@pytest.fixture(scope="module")
def refused_programs(postgresql_twins: PostgresqlTwins) -> list[str]:
    """Random statements that the guard refuses."""
    twins = postgresql_twins
    found = []
    for program in islice(Programs(SEED, twins.catalog, twins.rules), FUZZ_PROGRAMS):
        if len(program) == 1:
            decided = twins.decide(program[0], twins.context())
            if policy_cases.verdict_of(decided) == "refused":
                found.append(program[0])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("defence", RANDOMLY_MISSED, ids=[one.name for one in RANDOMLY_MISSED])
def test_the_fuzz_misses_the_defence(
    defence: Defence, postgresql_twins: PostgresqlTwins, refused_programs: list[str]
) -> None:
    assert next(_leaks(postgresql_twins, defence, refused_programs), None) is not None
