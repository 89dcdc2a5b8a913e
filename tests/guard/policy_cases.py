"""Cases that a DBA can read: a statement, its verdict under named rules, and the reason.

``cases/policy/rules.yaml`` of an engine holds the rules (and ``world.sql`` beside it the schema);
every other file there is a group of cases:

.. code-block:: yaml

    title: Whole rows
    why: A whole row holds every column of its table, the masked ones too.
    cases:
    - {refused: "SELECT c FROM customers c", because: whole row}
    - {masked: "SELECT id, email FROM customers", columns: [-, email]}
    - {allowed: "SELECT id FROM customers"}

``because`` is a part of the refusal's text. ``columns`` names each result column's masker, ``-``
for none. ``fails`` is a part of the error that a statement let through gets: the server's own, or
what stands in its place. ``before`` are statements sent first in the same session, ``shown_by``
those that would show what the statement did if it were let through, ``alike`` says why a refused
statement cannot tell two databases apart when it is let through (else the twin test demands that it
does), ``unsteady`` why it differs from run to run by itself (then nobody demands anything),
``since`` and ``until`` bound the server's version, ``relax`` opens clauses of a rule: ``{M-1:
[where]}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import (
    AccessRule,
    GrantScope,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    SessionPolicy,
    StatementKind,
    Subject,
)
from querykeep_guard.policy.decide import decide, syntax_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.analyzer import Analyzer
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError

VERDICTS = ("refused", "masked", "allowed")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
_OPTIONS = frozenset(
    {
        "because",
        "columns",
        "fails",
        "before",
        "shown_by",
        "alike",
        "unsteady",
        "since",
        "until",
        "relax",
        "flavours",
    }
)


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One statement and what the guard must say of it."""

    engine: str
    file: str
    verdict: str
    statement: str
    because: str = ""
    columns: tuple[str, ...] | None = None
    fails: str = ""
    before: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    alike: str = ""
    unsteady: str = ""
    since: str = ""
    until: str = ""
    flavours: tuple[str, ...] = ()
    relax: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the test: the file and how the statement begins."""
        text = " ".join(self.statement.split())
        return f"{self.file}: {' '.join((*self.before, text))}"

    def holds_for(self, version: str, flavour: str = "") -> bool:
        """Return whether the case is about a server of this version and flavour."""
        if self.flavours and flavour not in self.flavours:
            return False
        number = _numbers(version)
        return (not self.since or number >= _numbers(self.since)) and (
            not self.until or number[: len(_numbers(self.until))] <= _numbers(self.until)
        )


def _numbers(version: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in version.split("."):
        digits = ""
        for character in part:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        found.append(int(digits))
        if len(digits) != len(part):
            break
    return tuple(found)


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def load(engine: str) -> list[PolicyCase]:
    """Return every policy case of an engine; a file that cannot be understood is an error."""
    found: list[PolicyCase] = []
    folder = files(f"querykeep_engines.{engine}") / "cases" / "policy"
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not path.name.endswith(".yaml") or path.name == "rules.yaml":
            continue
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        missing = {"title", "why", "cases"} - document.keys()
        if missing:
            raise ValueError(f"{path.name} lacks {', '.join(sorted(missing))}")
        for entry in document["cases"]:
            found.append(_case(engine, path.name.removesuffix(".yaml"), entry))
    return found


def _case(engine: str, file: str, entry: dict[str, Any]) -> PolicyCase:
    verdicts = [verdict for verdict in VERDICTS if verdict in entry]
    unknown = entry.keys() - _OPTIONS - set(VERDICTS)
    if len(verdicts) != 1 or unknown:
        raise ValueError(f"{file}: a case needs one verdict and known keys only: {entry}")
    (verdict,) = verdicts
    if verdict == "refused" and not entry.get("because"):
        raise ValueError(f"{file}: a refused case says why: {entry}")
    if verdict == "masked" and not entry.get("columns"):
        raise ValueError(f"{file}: a masked case names its masks: {entry}")
    columns = entry.get("columns")
    return PolicyCase(
        engine=engine,
        file=file,
        verdict=verdict,
        statement=entry[verdict].strip(),
        because=entry.get("because", ""),
        columns=None if columns is None else tuple(columns),
        fails=entry.get("fails", ""),
        before=_texts(entry.get("before")),
        shown_by=_texts(entry.get("shown_by")),
        alike=entry.get("alike", ""),
        unsteady=entry.get("unsteady", ""),
        since=str(entry.get("since", "")),
        until=str(entry.get("until", "")),
        flavours=_texts(entry.get("flavours")),
        relax={code: tuple(clauses) for code, clauses in entry.get("relax", {}).items()},
    )


def _pattern(text: str, *, is_column: bool) -> ObjectPattern:
    parts = text.split(".")
    if len(parts) != (3 if is_column else 2):
        raise ValueError(f"{text}: a rule names schema.table.column or schema.table")
    return ObjectPattern(*parts)


def policy(
    engine: str, database: str, relax: dict[str, tuple[str, ...]] | None = None
) -> SessionPolicy:
    """Return the policy of ``rules.yaml``: a person who may do everything that a rule does not
    keep from him, so that only the guard's own reasons refuse a case. The same arguments give the
    same object."""
    return _policy(engine, database, tuple(sorted((relax or {}).items())))


@cache
def _policy(
    engine: str, database: str, relaxed: tuple[tuple[str, tuple[str, ...]], ...]
) -> SessionPolicy:
    relax = dict(relaxed)
    text = (files(f"querykeep_engines.{engine}") / "cases" / "policy" / "rules.yaml").read_text(
        encoding="utf-8"
    )
    document = yaml.safe_load(text)
    masking = tuple(
        MaskingRule(
            id=entry["code"].lower(),
            name=entry["name"],
            objects=tuple(_pattern(column, is_column=True) for column in entry["columns"]),
            masker=MaskerSpec(
                entry["masker"],
                tuple(sorted((key, str(value)) for key, value in entry.get("with", {}).items())),
            ),
            relaxations=frozenset(relax.get(entry["code"], ())),
            code=entry["code"],
        )
        for entry in document["masking"]
    )
    access = tuple(
        AccessRule(
            id=entry["code"].lower(),
            name=entry["name"],
            objects=tuple(
                _pattern(name, is_column="columns" in entry)
                for name in entry.get("columns", entry.get("tables"))
            ),
            columns_only="columns" in entry,
            code=entry["code"],
        )
        for entry in document["refusing"]
    )
    return SessionPolicy(
        version=1,
        subject=Subject("u1", "ana", "Ana"),
        connection_id="c1",
        connection_name="twins",
        engine=engine,
        database=database,
        grants=(GrantScope("g1", "all", frozenset(StatementKind)),),
        access_rules=access,
        masking_rules=masking,
        masking_key=b"a key of the cases' own",
    )


def decisions(
    analyzer: Analyzer,
    text: str,
    context: SessionContext,
    catalog: Catalog,
    rules: SessionPolicy,
) -> tuple[Decision, ...]:
    """Return one decision per statement of a text, as an enforcement point makes them."""
    try:
        facts = analyzer.analyze(text, context, catalog)
    except StatementSyntaxError as error:
        return (syntax_refusal(error, text, rules),)
    return tuple(decide(one, rules, NOW, catalog) for one in facts)


def verdict_of(found: tuple[Decision, ...]) -> str:
    """Return ``refused`` when one statement of a text is, else ``masked`` or ``allowed``."""
    if not all(decision.may_run for decision in found):
        return "refused"
    return "masked" if any(decision.plan.masks for decision in found) else "allowed"


def masks_of(found: tuple[Decision, ...]) -> tuple[str, ...] | None:
    """Return the masker of each column of the last statement's result, ``-`` for none."""
    plan = found[-1].plan
    if plan.width is None:
        return None
    kinds = ["-"] * plan.width
    for mask in plan.masks:
        kinds[mask.ordinal] = mask.masker.kind
    return tuple(kinds)


def complaint(case: PolicyCase, found: tuple[Decision, ...]) -> str:
    """Return what is wrong with the decisions on a case; empty when they are as it says."""
    verdict = verdict_of(found)
    if verdict != case.verdict:
        messages = "; ".join(decision.message for decision in found if decision.message)
        return f"{verdict} instead of {case.verdict}: {case.statement}\n  {messages}"
    if verdict == "refused":
        messages = " ".join(decision.message for decision in found if not decision.may_run)
        if case.because.lower() not in messages.lower():
            return f"refused for another reason: {case.statement}\n  {messages}"
        return ""
    if case.columns is not None and masks_of(found) != case.columns:
        return f"masks {masks_of(found)} instead of {case.columns}: {case.statement}"
    return ""


__all__ = [
    "PolicyCase",
    "complaint",
    "decisions",
    "load",
    "masks_of",
    "policy",
    "verdict_of",
]
