"""The cases that a DBA can read: each statement, what it shows, what it uses, why it is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.engines.mysql.shop_catalog import MASKED, context, shop_catalog

import querykeep_engines.mysql
from querykeep_engines.mysql.analyzer import MysqlAnalyzer
from querykeep_guard.sql.facts import ColumnRole, StatementFacts, StatementSyntaxError

CASES = Path(querykeep_engines.mysql.__file__).parent / "cases"
KNOWN_KEYS = {
    "statement", "flavour", "sql_mode", "kind", "shows", "uses", "problems", "refused", "width",
    "where", "effects", "settings", "redacted", "statements", "is",
}  # fmt: skip
ANALYZER = MysqlAnalyzer()


@dataclass(frozen=True)
class Case:
    flavour: str
    data: dict[str, Any]

    @property
    def statement(self) -> str:
        return str(self.data["statement"])


def all_cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        for number, data in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")), 1):
            flavours = [data["flavour"]] if "flavour" in data else ["mariadb", "mysql"]
            for flavour in flavours:
                found.append(
                    pytest.param(Case(flavour, data), id=f"{path.stem}-{number}-{flavour}")
                )
    return found


def analyze(case: Case) -> tuple[StatementFacts, ...]:
    return ANALYZER.analyze(
        case.statement,
        context(case.flavour, case.data.get("sql_mode", "")),
        shop_catalog(case.flavour),
    )


def shown(facts: StatementFacts) -> list[str]:
    found = []
    for output in facts.outputs or ():
        masked = sorted({s.column for s in output.sources if s.column in MASKED})
        if masked:
            found.append(f"{output.name} {output.expression.value} {'+'.join(masked)}")
    return found


def used(facts: StatementFacts) -> set[str]:
    return {
        f"{use.role.value} {use.column.column}"
        for use in facts.columns
        if use.role is not ColumnRole.PROJECTED and use.column.column in MASKED
    }


@pytest.mark.parametrize("case", all_cases())
def test_case(case: Case) -> None:
    data = case.data
    assert set(data) <= KNOWN_KEYS
    if data.get("refused"):
        with pytest.raises(StatementSyntaxError):
            analyze(case)
        return
    statements = analyze(case)
    assert len(statements) == data.get("statements", 1)
    facts = statements[0]
    assert facts.kind.value == data.get("kind", "select")
    assert shown(facts) == data.get("shows", [])
    assert used(facts) == set(data.get("uses", []))
    assert [problem.code for problem in facts.problems] == data.get("problems", [])
    if "width" in data:
        assert facts.outputs is not None
        assert len(facts.outputs) == data["width"]
    if "where" in data:
        assert facts.has_where is data["where"]
    if "effects" in data:
        assert {effect.value for effect in facts.effects} >= set(data["effects"])
    if "settings" in data:
        assert {s.name: s.value for s in facts.settings} == data["settings"]
    if "redacted" in data:
        assert facts.redacted_text == data["redacted"]
