"""MysqlAnalyzer: statement text + session + catalog -> StatementFacts, for MySQL and MariaDB.

Pure. Text is cut by our own lexer as the server at hand cuts it, parsed by our own parser, and
analyzed against the catalog; what any of them does not know is refused, never guessed. Several
statements in one text are split by the lexer and each is judged, under the session state that those
before it leave.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from querykeep_engines.kit.lexing import Token
from querykeep_engines.mysql.analysis import shape as keys
from querykeep_engines.mysql.analysis.lineage import CLASSES, NamedColumn
from querykeep_engines.mysql.analysis.names import CatalogIndex
from querykeep_engines.mysql.analysis.record import Record
from querykeep_engines.mysql.analysis.relations import UNKNOWN_COLUMNS
from querykeep_engines.mysql.analysis.spelling import doubtful_name, names_of
from querykeep_engines.mysql.analysis.statements import Finding, StatementAnalysis
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.lexer import tokenize
from querykeep_engines.mysql.syntax.modes import LexicalModes, is_utf8
from querykeep_engines.mysql.syntax.parser import parse_statement
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import (
    ColumnName,
    Effect,
    OutputColumn,
    Problem,
    SessionContext,
    StatementFacts,
    StatementSyntaxError,
)

_CATALOGS_KEPT = 32
_MAX_STATEMENTS = 100_000
_KEPT_TEXT_CHARS = 65_536
_COMPOUND = frozenset({"BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT"})
_PROGRAMS = frozenset(
    f"{verb}_{kind}"
    for verb in ("create", "alter")
    for kind in ("procedure", "function", "trigger", "event", "package", "library")
)
_SHAPED_KINDS = frozenset(
    {StatementKind.SELECT, StatementKind.INSERT, StatementKind.UPDATE, StatementKind.DELETE}
)
_ACCOUNT_WORDS = frozenset({"GRANT", "REVOKE", "SET", "CHANGE", "CREATE", "ALTER", "START"})


@dataclass(slots=True)
class _Position:
    """Where the reading of a text stands: the session as the statements so far leave it, and why
    what follows may not be read as it was cut."""

    context: SessionContext
    start: int = 0
    unreadable: str = ""


class MysqlAnalyzer:
    """The Analyzer of the flavours ``mysql`` and ``mariadb``. Keeps an index of the last
    catalogs and the tokens of the last text, and nothing else."""

    def __init__(self) -> None:
        self._indexes: OrderedDict[int, CatalogIndex] = OrderedDict()
        self._cut: tuple[str, LexicalModes, list[list[Token]]] | None = None

    def analyze(
        self, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        """Return the facts of each statement of a text, in order; see ``Analyzer.analyze``.

        Raises:
            StatementSyntaxError: The text cannot be cut or parsed with certainty, or is nested too
                deep; nothing of it may run.
        """
        if "sql_mode" not in dict(context.settings):
            server = tuple((k, v) for k, v in catalog.settings if k == "sql_mode")
            context = replace(context, settings=(*context.settings, *server))
        try:
            return self._analyze(text, context, self._index(catalog))
        except RecursionError:
            raise StatementSyntaxError("the statement is nested too deep") from None

    def shape(self, text: str, context: SessionContext) -> str | None:
        """Return a cache key without the literals that cannot change a decision, or None; see
        ``Analyzer.shape``. A text that cannot be cut has none."""
        try:
            modes = LexicalModes.of(context)
            return keys.shape(self._tokens(text, modes), modes)
        except StatementSyntaxError:
            return None

    def _tokens(self, text: str, modes: LexicalModes) -> list[list[Token]]:
        """Cut a text; that of the text before is kept, since shape and facts are asked in turn."""
        cut = self._cut
        if cut is not None and cut[0] == text and cut[1] == modes:
            return cut[2]
        statements = tokenize(text, modes)
        if len(text) <= _KEPT_TEXT_CHARS:
            self._cut = (text, modes, statements)
        return statements

    def _index(self, catalog: Catalog) -> CatalogIndex:
        index = self._indexes.get(id(catalog))
        if index is None or index.catalog is not catalog:
            index = CatalogIndex(catalog)
            self._indexes[id(catalog)] = index
            while len(self._indexes) > _CATALOGS_KEPT:
                self._indexes.popitem(last=False)
        return index

    def _analyze(
        self, text: str, context: SessionContext, index: CatalogIndex
    ) -> tuple[StatementFacts, ...]:
        modes = LexicalModes.of(context)
        statements = self._tokens(text, modes)
        if len(statements) > _MAX_STATEMENTS:
            raise StatementSyntaxError(f"the text holds more than {_MAX_STATEMENTS} statements")
        if len(statements) == 1 and len(statements[0]) == 1:
            return ()
        found: list[StatementFacts] = []
        at = _Position(context)
        for number, tokens in enumerate(statements):
            if len(tokens) == 1:
                found.append(_empty(text, at.start, tokens[-1].start))
                at.start = tokens[-1].start + 1
                continue
            tree = parse_statement(tokens, modes, text)
            rest = statements[number + 1 :]
            if rest and _is_compound(tree):
                whole = [token for part in (tokens, *rest) for token in part]
                found.append(self._facts(tree, whole, text, at, index, modes))
                break
            found.append(self._facts(tree, tokens, text, at, index, modes))
            _follow(found[-1], tree, at, modes)
            at.start = tokens[-1].start + 1
        return tuple(found)

    def _facts(
        self,
        tree: n.Statement,
        tokens: list[Token],
        text: str,
        at: _Position,
        index: CatalogIndex,
        modes: LexicalModes,
    ) -> StatementFacts:
        context = at.context
        record = Record(index, context, modes, context.database)
        finding = StatementAnalysis(record).statement(tree)
        if at.unreadable:
            record.problem("unsafe", at.unreadable)
        start, end = _trimmed(text, at.start, tokens[-1].start)
        own = text[start:end]
        self._check_spelling(tokens, record, index)
        if record.waiting and (record.reads or record.writes):
            for name, position in record.waiting:
                record.problem(
                    "unsafe",
                    f"function {name} waits or locks beside stored data",
                    object_=name,
                    position=position,
                    matters_unmasked=False,
                )
        facts = StatementFacts(
            text=own,
            start=start,
            end=end,
            kind=finding.kind,
            effects=frozenset(record.effects),
            digest=keys.digest(tokens),
            reads=tuple(record.reads),
            writes=tuple(record.writes),
            columns=record.column_uses(),
            outputs=_outputs(finding),
            functions=tuple(record.functions),
            settings=tuple(record.settings),
            names=finding.names,
            objects=tuple(
                dict.fromkeys(
                    [str(name) for name in (*record.writes, *record.reads)] + [*record.objects]
                )
            ),
            has_where=finding.has_where,
            literals_matter=finding.kind not in _SHAPED_KINDS or finding.prepared_text is not None,
            written_literals=_literals(record.written_literals),
            problems=_placed(record.problems, start),
            extra=(("kinds", ",".join(record.kinds)),) if record.kinds else (),
            redacted_text=keys.redacted(
                own,
                tokens,
                about_accounts=tokens[0].value in _ACCOUNT_WORDS and not _is_rows(tree),
                start=start,
            ),
            touches=tuple(record.touches),
        )
        if start:
            facts = replace(
                facts,
                columns=tuple(
                    replace(use, position=use.position - start) if use.position >= start else use
                    for use in facts.columns
                ),
            )
        if finding.prepared_text is not None:
            return self._prepared(facts, finding, context, index)
        return facts

    @staticmethod
    def _check_spelling(tokens: list[Token], record: Record, index: CatalogIndex) -> None:
        names: list[str] = []
        for used in (*record.reads, *record.writes):
            relation = index.relation(used.schema, used.name)
            names += names_of(relation) if relation is not None else ()
        for table, columns in record.context.temporary_columns:
            names += (table.rpartition(".")[2], *(column for column, _ in columns))
        name = doubtful_name(tokens, names)
        if name is not None:
            record.problem(
                "ambiguous",
                f'"{name}" and another name differ only in letters of which the server may take '
                "both cases for one, or not: spell them alike, or apart",
                object_=name,
                matters_unmasked=False,
            )

    def _prepared(
        self, facts: StatementFacts, finding: Finding, context: SessionContext, index: CatalogIndex
    ) -> StatementFacts:
        """Return the facts of PREPARE (the text must be one statement that is understood), or of
        EXECUTE: those of the statement behind it."""
        assert finding.prepared_text is not None
        inner = self._analyze(finding.prepared_text, context, index)
        if len(inner) != 1 or inner[0].kind in (
            StatementKind.PREPARE,
            StatementKind.EXECUTE,
            StatementKind.EMPTY,
        ):
            problem = Problem("unsupported", "a prepared text must be one statement of its own")
            return replace(facts, problems=(*facts.problems, problem))
        if not finding.executes:
            return replace(facts, extra=(*facts.extra, ("prepared", finding.prepared_text)))
        run = inner[0]
        return replace(
            run,
            text=facts.text,
            start=facts.start,
            end=facts.end,
            columns=tuple(replace(use, position=-1) for use in run.columns),
            names=(*facts.names, *run.names),
            literals_matter=True,
            effects=run.effects | facts.effects,
            problems=(
                *facts.problems,
                *(replace(problem, position=-1) for problem in run.problems),
            ),
            redacted_text=facts.redacted_text,
        )


def _is_rows(tree: n.Statement) -> bool:
    return isinstance(tree, (n.QueryExpression, n.Insert, n.Update, n.Delete, n.CreateTableAs))


def _is_compound(tree: n.Statement) -> bool:
    """True for a stored program whose body may hold semicolons: what follows belongs to it."""
    return (
        isinstance(tree, n.Utility)
        and tree.action in _PROGRAMS
        and any(token.value in _COMPOUND for token in tree.tokens)
    )


def _follow(facts: StatementFacts, tree: n.Statement, at: _Position, modes: LexicalModes) -> None:
    """Move the session on to what the statement leaves for those behind it in the same text."""
    for change in facts.settings:
        if change.is_local:
            continue
        if change.name == "database" and change.value is not None:
            at.context = replace(at.context, database=change.value, prepared=())
        elif change.name == "character_set_client" and (
            change.value is None or is_utf8(change.value) == modes.single_byte
        ):
            at.unreadable = (
                "the character set changes before it in the same text, so that it may be read in "
                "another way; send it on its own"
            )
        elif change.name == "sql_mode" and (
            change.value is None or modes.with_sql_mode(change.value) != modes
        ):
            at.unreadable = (
                "sql_mode changes before it in the same text, so that it may be read in another "
                "way; send it on its own"
            )
    for action, name in facts.names:
        known = tuple((k, v) for k, v in at.context.prepared if k.lower() != name)
        if action == "prepare" and isinstance(tree, n.Prepare):
            source = tree.source
            text = source.value if isinstance(source, n.Literal) else ""
            at.context = replace(at.context, prepared=(*known, (name, text)))
        elif action == "deallocate":
            at.context = replace(at.context, prepared=known)


def _empty(text: str, start: int, end: int) -> StatementFacts:
    return StatementFacts(
        text=text[start:end],
        start=start,
        end=end,
        kind=StatementKind.EMPTY,
        effects=frozenset[Effect](),
        digest=keys.digest(()),
    )


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _outputs(finding: Finding) -> tuple[OutputColumn, ...] | None:
    columns = finding.columns
    if columns is None or any(column is UNKNOWN_COLUMNS for column in columns):
        return None
    return tuple(_output(column) for column in columns)


def _output(column: NamedColumn) -> OutputColumn:
    lineage = column.lineage
    return OutputColumn(column.name, lineage.sources, CLASSES[lineage.rank], lineage.origin)


def _literals(found: list[tuple[ColumnName, str]]) -> tuple[tuple[ColumnName, str], ...]:
    return tuple(dict.fromkeys(found))


def _placed(problems: dict[Problem, None], start: int) -> tuple[Problem, ...]:
    if not start:
        return tuple(problems)
    return tuple(
        replace(problem, position=problem.position - start)
        if problem.position >= start
        else problem
        for problem in problems
    )
