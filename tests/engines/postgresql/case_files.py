"""Reads ``cases/*.yaml`` and prints facts in the words of a case, so that both compare as text.

In a case, ``outputs: any`` and ``uses: any`` are not compared; ``outputs: none`` means that the
statement returns no rows, or that its columns cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

from querykeep_guard.sql.facts import ColumnName, ColumnRole, ExpressionClass, StatementFacts


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and what its facts must be."""

    file: str
    why: str
    statement: str
    kind: str = "select"
    outputs: tuple[str, ...] | str = "any"
    uses: dict[str, tuple[str, ...]] | None = field(default_factory=dict)
    objects: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()
    effects: tuple[str, ...] | None = None
    context: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    oracle: bool = True
    also: str = ""

    @property
    def id(self) -> str:
        """Name of the test."""
        return f"{self.file}: {self.why}"


def load() -> list[Case]:
    """Return every case of every file."""
    found = []
    folder = files("querykeep_engines.postgresql") / "cases"
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not path.name.endswith(".yaml"):
            continue
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            outputs = entry.pop("outputs", "any")
            listed = entry.pop("uses", {})
            uses = None
            if listed != "any":
                uses = {role: tuple(names) for role, names in listed.items()}
            objects = entry.pop("objects", None)
            effects = entry.pop("effects", None)
            found.append(
                Case(
                    file=path.name.removesuffix(".yaml"),
                    outputs=outputs if isinstance(outputs, str) else tuple(outputs),
                    uses=uses,
                    objects=None if objects is None else tuple(objects),
                    problems=tuple(entry.pop("problems", ())),
                    effects=None if effects is None else tuple(effects),
                    **entry,
                )
            )
    return found


def spoken(column: ColumnName) -> str:
    """Return ``table.column``, with the schema where it is not public."""
    name = f"{column.table}.{column.column}"
    return name if column.schema == "public" else f"{column.schema}.{name}"


def outputs(facts: StatementFacts) -> list[str] | None:
    """Return ``name = sources`` per output; ``total(…)`` and ``other(…)`` where it is no copy."""
    if facts.outputs is None:
        return None
    found = []
    for output in facts.outputs:
        sources = " + ".join(sorted(spoken(source) for source in output.sources))
        if not sources:
            found.append(output.name)
        elif output.expression is ExpressionClass.IDENTITY:
            found.append(f"{output.name} = {sources}")
        else:
            found.append(f"{output.name} = {output.expression.value}({sources})")
    return found


def uses(facts: StatementFacts) -> dict[str, list[str]]:
    """Return the columns of each role but PROJECTED, sorted."""
    found: dict[str, set[str]] = {}
    for use in facts.columns:
        if use.role is not ColumnRole.PROJECTED:
            found.setdefault(use.role.value, set()).add(spoken(use.column))
    return {role: sorted(names) for role, names in sorted(found.items())}
