"""Relations that a query names: tables, views with their bodies, system views, common tables."""

from __future__ import annotations

from querykeep_engines.kit.lexing import TokenKind
from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    NOTHING,
    OTHER,
    TOTAL,
    Binding,
    Lineage,
    NamedColumn,
    combine,
    named,
    without_origin,
)
from querykeep_engines.mysql.analysis.names import (
    SIZE_COLUMNS,
    SIZED_TABLES,
    TEMPORARY_TABLE,
    is_refused_system,
    is_system_schema,
    own_columns,
)
from querykeep_engines.mysql.analysis.showing import SIZE
from querykeep_engines.mysql.analysis.values import ValueAnalysis
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.lexer import tokenize
from querykeep_engines.mysql.syntax.parser import parse_statement
from querykeep_guard.contracts.catalog import Column, Relation
from querykeep_guard.sql.facts import Effect, RelationName, StatementSyntaxError

UNKNOWN_COLUMNS = NamedColumn("*", "*", NOTHING)
"""Stands in a row for columns whose number and names are not known."""

DEFINED_LATER = (NamedColumn("(defined later)", "", NOTHING),)
"""The columns of a common table that is defined behind the one that names it."""


class RelationAnalysis(ValueAnalysis):
    """Binds relations; view bodies are analyzed by the query analysis built on it."""

    def _cte_key(self, name: str) -> str:
        return name.lower() if self.record.index.folds else name

    @staticmethod
    def _made(label: str, columns: tuple[NamedColumn, ...]) -> Binding:
        """Bind the outputs of a query: no origin, and open where its width is not known."""
        known = tuple(
            NamedColumn(c.name, c.key, without_origin(c.lineage))
            for c in columns
            if c is not UNKNOWN_COLUMNS
        )
        return Binding(label, "", None, known, open=len(known) != len(columns))

    def _named_table(
        self,
        table: n.TableName,
        alias: n.Alias | None,
        ctes: dict[str, tuple[NamedColumn, ...]],
    ) -> Binding:
        name = table.parts[-1].value
        label = alias.name if alias is not None else name
        if len(table.parts) == 1:
            cte = ctes.get(self._cte_key(name))
            if cte is DEFINED_LATER:
                self.record.problem(
                    "unsupported",
                    f'common table "{name}" is used before it is defined',
                    object_=name,
                    position=table.position,
                )
                return Binding(label, "", None, (), open=True)
            if cte is not None:
                return self._made(label, cte)
            if any(key.lower() == name.lower() for key in ctes):
                self.record.problem(
                    "ambiguous",
                    f'"{name}" and a common table differ only in case',
                    position=table.position,
                )
        schema = table.parts[0].value if len(table.parts) == 2 else self.record.database
        return self.relation(schema, name, label, table.position)

    def relation(self, schema: str, name: str, label: str, position: int) -> Binding:
        """Bind a named relation that is read."""
        record = self.record
        if self.is_temporary(schema, name):
            read = RelationName(schema, name)
            record.reads.setdefault(read)
            known = self.temporary_relation(schema, name)
            if known is not None:
                return Binding(label, schema, read, self.table_columns(known))
            record.problem(
                "unsupported",
                f'"{read}" is a temporary table, whose columns are not known',
                object_=str(read),
                position=position,
                matters_unmasked=False,
            )
            return Binding(label, schema, read, (), open=True)
        found = record.index.relation(schema, name)
        if is_system_schema(schema):
            return self._system(schema, name, label, found, position)
        if found is None:
            read = RelationName(schema, name)
            record.reads.setdefault(read)
            what = f'"{read}"' if schema else f'"{name}" (no database is selected)'
            record.problem(
                "unknown_relation",
                f"table {what} is not in the catalog",
                object_=str(read),
                position=position,
            )
            return Binding(label, schema, read, (), open=True)
        read = RelationName(found.schema, found.name)
        record.reads.setdefault(read)
        if found.kind == "view":
            return Binding(label, found.schema, read, self._view(found, read, position))
        if found.kind not in ("table", "partitioned_table", "sequence", "system_view"):
            record.problem(
                "unsupported",
                f'"{read}" is a {found.kind.replace("_", " ")}, which is not supported in queries',
                object_=str(read),
                position=position,
                matters_unmasked=False,
            )
        return Binding(label, found.schema, read, self.table_columns(found))

    def is_temporary(self, schema: str, name: str) -> bool:
        """True when the session has a temporary table of this name, which hides any other."""
        names = {self.record.index.fold(schema, item) for item in self.record.context.temporary}
        folded = self.record.index.fold(schema, name)
        return folded in names or f"{schema}.{folded}" in names

    def temporary_relation(self, schema: str, name: str) -> Relation | None:
        """Return a temporary table whose columns the session knows. No masked value stands in it:
        a write of one is refused.

        Never one that hides a table or view: were it dropped where nobody here sees it (in a
        function), its name would mean that one, and be read as if nothing in it were masked.
        """
        if self.record.index.relation(schema, name) is not None:
            return None
        fold = self.record.index.fold
        wanted = fold(schema, f"{schema}.{name}")
        for full, columns in self.record.context.temporary_columns:
            if fold(schema, full) == wanted:
                made = tuple(
                    Column(column, kind, place) for place, (column, kind) in enumerate(columns, 1)
                )
                return Relation(schema, name, TEMPORARY_TABLE, made)
        return None

    def _system(
        self, schema: str, name: str, label: str, found: Relation | None, position: int
    ) -> Binding:
        record = self.record
        read = (
            RelationName(found.schema, found.name)
            if found is not None
            else RelationName(schema.lower(), name)
        )
        record.effects.add(Effect.METADATA)
        record.reads.setdefault(read)
        if is_refused_system(schema, name):
            record.problem(
                "unsafe",
                f'"{read}" shows statistics, accounts or statements of others',
                object_=str(read),
                position=position,
                matters_unmasked=False,
            )
        sized = SIZE_COLUMNS if name.lower() in SIZED_TABLES else frozenset[str]()
        if found is None or not found.columns:
            return Binding(label, schema.lower(), read, (), open=True, sized=sized)
        columns = tuple(
            named(column.name, SIZE if column.name.lower() in sized else NOTHING)
            for column in found.columns
        )
        return Binding(label, found.schema, read, columns)

    def table_columns(self, relation: Relation) -> tuple[NamedColumn, ...]:
        """Return a table's columns; generated ones also carry what they are made of."""
        if relation.kind == TEMPORARY_TABLE:
            return own_columns(relation)
        base = self.record.index.base_columns(relation)
        if not any(column.generated for column in relation.columns):
            return base
        plain = tuple(
            c for c, column in zip(base, relation.columns, strict=True) if not column.generated
        )
        columns = list(base)
        for place, column in enumerate(relation.columns):
            if column.generated:
                made = self._generated(column.generated, plain)
                own = base[place].lineage
                columns[place] = NamedColumn(
                    column.name,
                    base[place].key,
                    Lineage(
                        own.sources | made.sources,
                        TOTAL if made.sources else IDENTITY,
                        own.size,
                        own.origin,
                        own.is_binary,
                    ),
                )
        return tuple(columns)

    def _generated(self, text: str, columns: tuple[NamedColumn, ...]) -> Lineage:
        """Return what a generated column is made of; every column where that is not certain."""
        everything = combine((column.lineage for column in columns), OTHER)
        try:
            tokens = tokenize(f"SELECT {text}", self.record.modes.for_stored_view())
        except StatementSyntaxError:
            return everything
        keys = {column.key: column.lineage for column in columns}
        named_here = [
            keys[token.value.lower()]
            for token in tokens[0]
            if token.kind in (TokenKind.WORD, TokenKind.QUOTED) and token.value.lower() in keys
        ]
        return combine(named_here, TOTAL)

    def _view(self, view: Relation, name: RelationName, position: int) -> tuple[NamedColumn, ...]:
        """Return a view's columns: its own names over the lineage of its body."""
        record = self.record
        known = record.view_columns.get(name)
        if known is not None:
            return known
        base = record.index.base_columns(view)
        body: tuple[NamedColumn, ...] | None = None
        if name in record.open_views or len(record.open_views) > 32:
            why = "refers to itself or is nested too deep"
        elif not view.definition:
            why = "has a definition that may not be read"
        else:
            body, why = self._view_body(view, name)
        if body is None or len(body) != len(base):
            record.problem(
                "stale_catalog",
                f'view "{name}" {why or "does not fit its definition in the catalog"}',
                object_=str(name),
                position=position,
            )
            body = tuple(named(c.name, c.lineage) for c in base)
        columns = tuple(
            NamedColumn(
                own.name,
                own.key,
                Lineage(
                    own.lineage.sources | made.lineage.sources,
                    made.lineage.rank,
                    made.lineage.size,
                    None,
                    made.lineage.is_binary,
                ),
            )
            for own, made in zip(base, body, strict=True)
        )
        record.view_columns[name] = columns
        return columns

    def _view_body(
        self, view: Relation, name: RelationName
    ) -> tuple[tuple[NamedColumn, ...] | None, str]:
        record = self.record
        modes = record.modes.for_stored_view()
        outer = (record.via, record.database, record.modes)
        record.via = record.via or name
        record.database, record.modes = view.schema, modes
        record.open_views.append(name)
        try:
            statements = tokenize(view.definition, modes)
            tree = parse_statement(statements[0], modes, view.definition)
            if len(statements) != 1 or not isinstance(tree, n.QueryExpression):
                return None, "has a definition that is not one query"
            columns = self.query_columns(tree, None, projects=False)
            if any(column is UNKNOWN_COLUMNS for column in columns):
                return None, "reads a relation whose columns are not known"
            return columns, ""
        except StatementSyntaxError as error:
            return None, f"has a definition that is not understood: {error.message}"
        finally:
            record.open_views.pop()
            record.via, record.database, record.modes = outer[0], outer[1], outer[2]
