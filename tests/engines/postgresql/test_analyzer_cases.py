"""Every case of ``cases/*.yaml``: the analyzer finds exactly what the case says."""

from __future__ import annotations

import pytest
from tests.engines.postgresql import case_files
from tests.engines.postgresql.case_files import Case
from tests.engines.postgresql.fix_cases import CaseDatabase

CASES = case_files.load()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_facts_are_what_the_case_says(case: Case, case_database: CaseDatabase) -> None:
    changes = {
        key: tuple(tuple(item) if isinstance(item, list) else item for item in value)
        if isinstance(value, list)
        else value
        for key, value in case.context.items()
    }
    context = case_database.context(**changes)
    facts = case_database.analyzer.analyze(case.statement, context, case_database.catalog)
    one = facts[case.number]
    assert one.kind.value == case.kind
    if case.outputs == "none":
        assert one.outputs is None
    elif case.outputs != "any":
        assert case_files.outputs(one) == list(case.outputs)
    if case.uses is not None:
        expected = {role: sorted(names) for role, names in case.uses.items()}
        assert case_files.uses(one) == dict(sorted(expected.items()))
    assert sorted({problem.code for problem in one.problems}) == sorted(case.problems)
    if case.objects is not None:
        assert sorted(one.objects) == sorted(case.objects)
    if case.effects is not None:
        assert sorted(effect.value for effect in one.effects) == sorted(case.effects)


def test_case_names_are_unique() -> None:
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))
