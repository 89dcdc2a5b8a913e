"""A text to its facts: split, dispatch by node type, one ``StatementFacts`` each.

Later statements of a text see the search path that an earlier literal SET of the same text made;
where that cannot be followed they carry a problem.
"""

from __future__ import annotations

import re
from typing import Any

from querykeep_engines.postgresql.analysis import definitions, queries, utility
from querykeep_engines.postgresql.analysis.attached import POLICY
from querykeep_engines.postgresql.analysis.model import Field, Findings
from querykeep_engines.postgresql.analysis.names import CatalogNames, Names
from querykeep_engines.postgresql.analysis.parsing import (
    Offsets,
    TooComplexError,
    parse,
    statement_span,
)
from querykeep_engines.postgresql.analysis.redaction import redacted
from querykeep_guard.contracts.policy import StatementKind as Kind
from querykeep_guard.sql.facts import (
    Effect,
    OutputColumn,
    SessionContext,
    SettingChange,
    StatementFacts,
)

_WRITES = (Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE)
_NEW_NUMBERS = re.compile(r"\d_\d|\b0[xob]", re.IGNORECASE)
_NEW_NUMBERS_SINCE = 16
_MAJOR = re.compile(r"(\d+)")
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)')
_ZONES = frozenset({Kind.SELECT, Kind.EXECUTE, Kind.FETCH})


def major_version(text: str) -> int:
    """Return the major version of ``server_version``; 0 when it cannot be read."""
    found = _MAJOR.match(text.strip())
    return int(found.group(1)) if found else 0


def analyze(text: str, context: SessionContext, shared: CatalogNames) -> tuple[StatementFacts, ...]:
    """Return the facts of every statement of a text.

    Raises:
        StatementSyntaxError: The text cannot be parsed.
    """
    try:
        tree = parse(text)
    except TooComplexError as error:
        return (_refused(text, 0, len(text), str(error)),)
    offsets = Offsets.of(text)
    length = len(text) if offsets.marks is None else len(text.encode("utf-8"))
    names = Names.of(shared, context)
    prepared, paths = dict(context.prepared), dict(context.prepared_paths)
    path_known = True
    found = []
    for raw in tree.stmts:
        first, last = statement_span(raw, length)
        start, end = offsets.char(first), offsets.char(last)
        while start < end and text[start].isspace():
            start += 1
        f = Findings(names, offsets, start, major_version(context.server_version))
        f.prepared = prepared
        f.prepared_paths = paths
        facts = _one(raw.stmt, text[start:end], start, end, f, context)
        if not path_known and (facts.reads or facts.writes or facts.functions):
            facts = _with_unknown_path(facts)
        if Effect.DDL in facts.effects or _sets_unknown(facts):
            path_known = False
        found.append(facts)
        for change in facts.settings:
            if change.name.lower() in ("search_path", "all", "role", "session_authorization"):
                path = _literal_path(change)
                if path is None:
                    path_known = False
                else:
                    names = names.with_path(path)
        for action, name in facts.names:
            if action in ("prepare", "declare"):
                prepared = {**prepared, name: facts.text}
                paths = {other: path for other, path in paths.items() if other != name}
        if facts.kind is Kind.TRANSACTION and found[:-1] and any(x.settings for x in found):
            path_known = False
    return tuple(found)


def _sets_unknown(facts: StatementFacts) -> bool:
    """True when a statement changes a setting that its text does not tell."""
    calls = any(name.rpartition(".")[2] == "set_config" for name in facts.functions)
    return (calls and not facts.settings) or Effect.PROCEDURE in facts.effects


def _literal_path(change: SettingChange) -> tuple[str, ...] | None:
    """Return the schemas of ``SET search_path = …``, or None when they cannot be known here."""
    if change.name.lower() != "search_path" or change.value is None:
        return None
    path = []
    position = 0
    while position < len(change.value):
        match = _ELEMENT.match(change.value, position)
        if match is None:
            return None
        quoted, plain = match.groups()
        path.append(quoted.replace('""', '"') if quoted is not None else plain.lower())
        position = match.end()
    return tuple(name for name in path if name)


def _with_unknown_path(facts: StatementFacts) -> StatementFacts:
    from dataclasses import replace

    from querykeep_guard.sql.facts import Problem

    problem = Problem(
        "unsupported",
        "an earlier statement of this text may change what names mean: send it on its own",
        matters_unmasked=False,
    )
    return replace(facts, problems=(*facts.problems, problem))


def _one(
    node: Any, text: str, start: int, end: int, f: Findings, context: SessionContext
) -> StatementFacts:
    f.subquery = lambda statement, scope: queries.query(statement, scope, f)
    _check_session(text, f, context)
    kind = node.WhichOneof("node")
    try:
        found, fields = _dispatch(kind, getattr(node, kind), f)
    except TooComplexError as error:
        return _refused(text, start, end, str(error))
    except RecursionError:
        return _refused(text, start, end, "the statement is nested too deeply")
    return _facts(found, fields, text, start, end, f)


def _dispatch(kind: str, stmt: Any, f: Findings) -> tuple[Kind, tuple[Field, ...] | None]:
    if kind == "select_stmt" and stmt.HasField("into_clause"):
        return utility.select_into(stmt, f)
    if kind in utility.QUERIES:
        return utility.query_statement(kind, stmt, f)
    if kind in utility.HANDLERS:
        return utility.HANDLERS[kind](stmt, f)
    if kind in definitions.HANDLERS:
        f.effects.add(Effect.DDL)
        f.literals_matter = True
        return definitions.HANDLERS[kind](stmt, f), ()
    f.problem("unsupported", f"{kind} is not understood", unmasked=True)
    return Kind.UNKNOWN, None


def _check_session(text: str, f: Findings, context: SessionContext) -> None:
    conforming = dict(context.settings).get("standard_conforming_strings", "on")
    if conforming.lower() not in ("on", "true", "1", "yes"):
        f.problem(
            "unsafe",
            "standard_conforming_strings is off in this session: SET it to on",
            unmasked=True,
        )
    if f.version < _NEW_NUMBERS_SINCE and _NEW_NUMBERS.search(text):
        _check_numbers(text, f)


def _check_numbers(text: str, f: Findings) -> None:
    """Refuse numbers that this server does not read as the grammar does."""
    import postgast
    from postgast import pg_query_pb2 as pb

    data = text.encode("utf-8")
    for token in postgast.scan(text).tokens:
        if token.token not in (pb.ICONST, pb.FCONST):
            continue
        word = data[token.start : token.end].decode("utf-8", "replace")
        if _NEW_NUMBERS.search(word):
            f.problem(
                "unsupported",
                f"number {word} is syntax of PostgreSQL {_NEW_NUMBERS_SINCE}",
                unmasked=True,
            )
            return


def _facts(
    found: Kind,
    fields: tuple[Field, ...] | None,
    text: str,
    start: int,
    end: int,
    f: Findings,
) -> StatementFacts:
    strongest = found
    if found is Kind.SELECT:
        written = [kind for kind in _WRITES if kind in f.kinds]
        strongest = written[0] if len(written) == 1 else found
    extra = list(f.extra)
    others = sorted((f.kinds | {found}) - {strongest}, key=lambda kind: kind.value)
    if others:
        extra.append(("kinds", ",".join(kind.value for kind in others)))
    if f.view_reads:
        extra.append(("view_reads", ",".join(sorted(str(name) for name in f.view_reads))))
    for use in f.uses.values():
        is_own = use.role.value not in ("written", "judged") and not use.clause.startswith(POLICY)
        if is_own and use.column.relation in f.writes:
            f.reads.setdefault(use.column.relation, None)
    if f.reads:
        f.effects.add(Effect.READ)
    names = dict.fromkeys([*map(str, f.reads), *map(str, f.writes), *f.objects])
    returns_rows = found in _ZONES or fields
    return StatementFacts(
        text=text,
        start=start,
        end=end,
        kind=strongest,
        effects=frozenset(f.effects),
        digest=utility.digest(text),
        reads=tuple(f.reads),
        writes=tuple(f.writes),
        columns=tuple(f.uses.values()),
        outputs=_outputs(fields, f) if returns_rows else None,
        functions=tuple(f.functions),
        settings=tuple(f.settings),
        names=tuple(f.used_names),
        objects=tuple(name for name in names if name),
        has_where=f.has_where,
        literals_matter=f.literals_matter,
        written_literals=tuple(f.written_literals),
        problems=tuple(f.problems.values()),
        extra=tuple(extra),
        redacted_text=redacted(text),
        touches=tuple(f.touches),
    )


def _outputs(fields: tuple[Field, ...] | None, f: Findings) -> tuple[OutputColumn, ...] | None:
    if fields is None:
        return None
    return tuple(
        OutputColumn(
            field.name,
            field.value.sources,
            field.value.expression,
            field.value.origin,
            field.value.type_name,
        )
        for field in fields
    )


def _refused(text: str, start: int, end: int, message: str) -> StatementFacts:
    from querykeep_guard.sql.facts import Problem

    return StatementFacts(
        text=text,
        start=start,
        end=end,
        kind=Kind.UNKNOWN,
        effects=frozenset(),
        digest="",
        problems=(Problem("too_complex", message),),
    )
