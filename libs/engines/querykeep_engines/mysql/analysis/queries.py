"""Lineage of queries: FROM, joins, views, common tables, set operations, clauses."""

from __future__ import annotations

from querykeep_engines.mysql.analysis.keys import KeyAnalysis
from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    NOTHING,
    OTHER,
    Binding,
    NamedColumn,
    Scope,
    combine,
    named,
    without_origin,
)
from querykeep_engines.mysql.analysis.relations import DEFINED_LATER, UNKNOWN_COLUMNS
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_guard.sql.facts import ColumnRole, Effect, StatementSyntaxError

_MAX_SELECTS = 5_000
_DISTINCT = frozenset({"DISTINCT", "DISTINCTROW"})


class QueryAnalysis(KeyAnalysis):
    """Finds the outputs of queries and notes what their clauses use."""

    _selects = 0

    # --- query expressions --------------------------------------------------------------------

    def query_columns(
        self, query: n.QueryExpression, scope: Scope | None, *, projects: bool = True
    ) -> tuple[NamedColumn, ...]:
        """Return the outputs of a query expression.

        Args:
            query: The query.
            scope: The scope around it, for correlated names; None at the top.
            projects: False where the outputs need no PROJECTED uses (a view's body).
        """
        ctes = scope.ctes if scope is not None else {}
        if query.with_ is not None:
            ctes = self._common_tables(query.with_, scope, ctes)
        first, inner = self._arm(query.first, scope, ctes, projects)
        columns = first
        if query.rest:
            columns = self._set_operation(query, first, scope, ctes, projects)
            inner = None
        self._order(query, columns, inner, scope, ctes)
        for locking in query.locking:
            _ = locking
            self.record.effects.add(Effect.LOCK)
        if query.into is not None:
            self._into(query.into, columns)
        return columns

    def _common_tables(
        self, with_: n.With, scope: Scope | None, outer: dict[str, tuple[NamedColumn, ...]]
    ) -> dict[str, tuple[NamedColumn, ...]]:
        ctes = dict(outer)
        if with_.recursive:
            # MariaDB looks for a name in the whole clause, also behind the table that uses it.
            ctes.update((self._cte_key(t.name.value), DEFINED_LATER) for t in with_.tables)
        for table in with_.tables:
            around = Scope(scope, ctes=ctes)
            key = self._cte_key(table.name.value)
            if with_.recursive:
                columns = self._recursive(table, key, around)
            else:
                columns = self.query_columns(table.query, around)
            if table.cycle:
                for column in columns:
                    self.record.use(column.lineage, ColumnRole.DISTINCT, "CYCLE")
            ctes = {**ctes, key: self._renamed(columns, table.columns)}
        return ctes

    def _recursive(self, table: n.CommonTable, key: str, around: Scope) -> tuple[NamedColumn, ...]:
        """Return the outputs of a common table that may refer to itself: a fixed point."""
        query = table.query
        if not query.rest:
            return self.query_columns(query, around)
        seed, _ = self._arm(query.first, around, around.ctes, True)
        known = self._renamed(seed, table.columns)
        for _ in range(len(known) + 2):
            inner = Scope(around.parent, ctes={**around.ctes, key: known})
            found = self._renamed(self.query_columns(query, inner), table.columns)
            if len(found) != len(known) or all(
                a.lineage == b.lineage for a, b in zip(found, known, strict=True)
            ):
                break
            known = found
        for column, first in zip(found, seed, strict=False):
            # The first part fixes the column's length: what later parts make longer is an error.
            if column.lineage.sources - first.lineage.sources or column.lineage.rank > IDENTITY:
                self.record.use(column.lineage, ColumnRole.FUNCTION, "WITH RECURSIVE")
        return found

    @staticmethod
    def _renamed(
        columns: tuple[NamedColumn, ...], names: tuple[n.Name, ...]
    ) -> tuple[NamedColumn, ...]:
        if not names or len(names) != len(columns):
            return columns
        return tuple(
            named(name.value, column.lineage) for name, column in zip(names, columns, strict=True)
        )

    def _set_operation(
        self,
        query: n.QueryExpression,
        first: tuple[NamedColumn, ...],
        scope: Scope | None,
        ctes: dict[str, tuple[NamedColumn, ...]],
        projects: bool,
    ) -> tuple[NamedColumn, ...]:
        lineages = [column.lineage for column in first]
        compares = False
        for words, arm in query.rest:
            columns, _ = self._arm(arm, scope, ctes, projects)
            compares = compares or words[0] != "UNION" or words[-1] != "ALL"
            if len(columns) != len(lineages):
                self.record.problem(
                    "unsupported",
                    "the arms of a set operation differ in their number of columns",
                    position=arm.position,
                )
            for place, column in enumerate(columns[: len(lineages)]):
                lineages[place] = combine((lineages[place], column.lineage), IDENTITY)
        if compares:
            for lineage in lineages:
                self.record.use(
                    lineage, ColumnRole.SET_OPERATION, query.rest[0][0][0], query.position
                )
        return tuple(
            NamedColumn(column.name, column.key, without_origin(lineage))
            for column, lineage in zip(first, lineages, strict=True)
        )

    def _arm(
        self,
        arm: n.QueryArm,
        scope: Scope | None,
        ctes: dict[str, tuple[NamedColumn, ...]],
        projects: bool,
    ) -> tuple[tuple[NamedColumn, ...], Scope | None]:
        if isinstance(arm, n.Select):
            return self._select(arm, scope, ctes, projects)
        if isinstance(arm, n.ParenQuery):
            inner = Scope(scope, ctes=ctes) if scope is None else self._with_ctes(scope, ctes)
            return self.query_columns(arm.query, inner, projects=projects), None
        if isinstance(arm, n.TableQuery):
            own = Scope(scope, ctes=ctes)
            own.bindings = [self._named_table(arm.table, None, ctes)]
            return tuple(self._star_columns(n.Star((), arm.position), own, projects)), None
        around = self._with_ctes(scope, ctes)
        width = len(arm.rows[0].items)
        columns = [NOTHING] * width
        for row in arm.rows:
            for place, item in enumerate(row.items[:width]):
                columns[place] = combine((columns[place], self.value(item, around)), IDENTITY)
        return tuple(named(f"column_{i}", c) for i, c in enumerate(columns)), None

    @staticmethod
    def _with_ctes(scope: Scope | None, ctes: dict[str, tuple[NamedColumn, ...]]) -> Scope:
        return Scope(scope, ctes=ctes)

    # --- SELECT -------------------------------------------------------------------------------

    def _select(
        self,
        select: n.Select,
        outer: Scope | None,
        ctes: dict[str, tuple[NamedColumn, ...]],
        projects: bool,
    ) -> tuple[tuple[NamedColumn, ...], Scope]:
        self._selects += 1
        if self._selects > _MAX_SELECTS:
            raise StatementSyntaxError("the statement has too many queries in it", select.position)
        scope = Scope(outer, ctes=ctes)
        scope.windows = frozenset(name.value.lower() for name, _ in select.windows)
        if select.table is not None:
            self._from(select.table, scope)
        self._check_hint(select.hint, scope)
        if select.where is not None:
            self.predicate(select.where, scope, "WHERE")
        for name, window in select.windows:
            scope.aliases[f"window {name.value.lower()}"] = self.window(window, scope)
        columns: list[NamedColumn] = []
        for item in select.items:
            if isinstance(item.value, n.Star):
                columns.extend(self._star_columns(item.value, scope, projects))
                continue
            lineage = self.value(item.value, scope)
            if projects:
                self.record.use(lineage, ColumnRole.PROJECTED, "select list", item.value.position)
            column = named(self._output_name(item), lineage)
            columns.append(column)
            if item.alias is not None:
                known = scope.aliases.get(column.key)
                scope.aliases[column.key] = (
                    lineage if known is None else combine((known, lineage), IDENTITY)
                )
        found = tuple(columns)
        self._window_aliases(scope, found)
        for key in select.group:
            self._key(key.value, found, scope, ColumnRole.GROUP, "GROUP BY", alias_first=False)
        if select.rollup:
            # What stands in a super-aggregate row is a value of its own, and reports itself.
            found = tuple(
                NamedColumn(column.name, column.key, without_origin(column.lineage))
                for column in found
            )
        scope.see_aliases = True
        if select.having is not None:
            self.predicate(select.having, scope, "HAVING")
        scope.see_aliases = False
        if _DISTINCT.intersection(select.options):
            for column in found:
                self.record.use(column.lineage, ColumnRole.DISTINCT, "DISTINCT", select.position)
        if select.into is not None:
            self._into(select.into, found)
        return found, scope

    @staticmethod
    def _output_name(item: n.SelectItem) -> str:
        if item.alias is not None:
            return item.alias.name
        value = item.value
        while isinstance(value, n.Paren):
            value = value.value
        if isinstance(value, n.ColumnRef):
            return value.parts[-1].value
        if isinstance(value, n.Literal) and value.kind == "string":
            return value.value
        return item.text

    def _into(self, into: n.Into, columns: tuple[NamedColumn, ...]) -> None:
        effects = self.record.effects
        if into.file_word:
            effects.update((Effect.FILE, Effect.COPIES_DATA))
            clause = f"INTO {into.file_word}"
            self.record.problem(
                "unsafe",
                f"{clause} writes a file of the server",
                position=into.position,
                matters_unmasked=False,
            )
        else:
            effects.add(Effect.SESSION)
            clause = "INTO @" + ", @".join(variable.name for variable in into.variables)
        for column in columns:
            if column.lineage.sources:
                effects.add(Effect.COPIES_DATA)
                self.record.use(column.lineage, ColumnRole.WRITTEN_FROM, clause, into.position)

    # --- FROM ---------------------------------------------------------------------------------

    def _from(self, table: n.TableRef, scope: Scope) -> None:
        scope.visible = self._table(table, scope)
        scope._by_key = None

    def _table(self, table: n.TableRef, scope: Scope) -> list[NamedColumn]:
        """Bind a table reference; return the row that it contributes."""
        if isinstance(table, n.BaseTable):
            binding = self._named_table(table.table, table.alias, scope.ctes)
            self._check_selection(table, binding)
            self._check_period(table, scope)
        elif isinstance(table, n.DerivedTable):
            binding = self._derived(table, scope)
        elif isinstance(table, n.JsonTable):
            binding = self._json_table(table, scope)
        elif isinstance(table, n.ParenTable):
            return self._table(table.table, scope)
        else:
            return self._join(table, scope)
        if any(
            known.alias == binding.alias and known.schema == binding.schema
            for known in scope.bindings
        ):
            self.record.problem(
                "ambiguous",
                f'two tables here have the name "{binding.alias}"',
                position=table.position,
            )
        scope.bindings.append(binding)
        return list(binding.columns)

    def _derived(self, table: n.DerivedTable, scope: Scope) -> Binding:
        if table.lateral:
            scope.visible = [column for b in scope.bindings for column in b.columns]
            scope._by_key = None
            around: Scope | None = scope
        else:
            around = Scope(scope.parent, ctes=scope.ctes)
        columns = self._renamed(self.query_columns(table.query, around), table.columns)
        if table.columns and len(table.columns) != len(columns):
            self.record.problem(
                "unsupported",
                "the column list of a derived table does not fit its query",
                position=table.position,
            )
        return self._made(table.alias.name if table.alias else "", columns)

    def _check_period(self, table: n.BaseTable, scope: Scope) -> None:
        for part in table.period:
            if not isinstance(part, str):
                self.predicate(part, Scope(scope.parent), "FOR SYSTEM_TIME")

    def _json_table(self, table: n.JsonTable, scope: Scope) -> Binding:
        """Bind JSON_TABLE: its document may name the tables to its left, and decides how many rows
        there are."""
        outer = scope.visible
        scope.visible = [column for b in scope.bindings for column in b.columns]
        scope._by_key = None
        document = self.value(table.document, scope)
        scope.visible, scope._by_key = outer, None
        self.record.use(document, ColumnRole.PREDICATE, "JSON_TABLE", table.document.position)
        made = combine((document,), OTHER)
        columns = tuple(named(name, made) for name in table.columns)
        return Binding(table.alias.name if table.alias else "", "", None, columns)

    def _join(self, join: n.Join, scope: Scope) -> list[NamedColumn]:
        row = self._table(join.first, scope)
        for step in join.steps:
            first_new = len(scope.bindings)
            right = self._table(step.table, scope)
            natural = "NATURAL" in step.words
            if not natural and not step.using:
                row = row + right
            else:
                row = self._merged(row, right, step, natural, scope)
                if natural and scope.is_open():
                    self._refuse_open_merge(step, first_new)
            if step.on is not None:
                outer = scope.visible
                scope.visible, scope._by_key = row, None
                self.predicate(step.on, scope, "ON", ColumnRole.JOIN)
                scope.visible, scope._by_key = outer, None
        return row

    def _refuse_open_merge(self, step: n.JoinedTable, position: int) -> None:
        _ = position
        self.record.problem(
            "unsupported",
            f"{' '.join(step.words)} with merged columns over a relation whose columns are not "
            "known",
            matters_unmasked=False,
        )

    def _merged(
        self,
        left: list[NamedColumn],
        right: list[NamedColumn],
        step: n.JoinedTable,
        natural: bool,
        scope: Scope,
    ) -> list[NamedColumn]:
        right_keys = {column.key: column for column in right}
        if natural:
            keys = [column.key for column in left if column.key in right_keys]
        else:
            keys = [name.value.lower() for name in step.using]
        if "RIGHT" in step.words:
            scope.star_is_certain = False
        common: list[NamedColumn] = []
        left_keys = {column.key: column for column in left}
        order = [column.key for column in left if column.key in keys] if not natural else keys
        for key in dict.fromkeys(order):
            if key not in left_keys or key not in right_keys:
                continue
            a, b = left_keys[key], right_keys[key]
            for lineage in (a.lineage, b.lineage):
                self.record.use(lineage, ColumnRole.JOIN, "NATURAL JOIN" if natural else "USING")
            common.append(NamedColumn(a.name, key, combine((a.lineage, b.lineage), IDENTITY)))
        merged = {column.key for column in common}
        for key in dict.fromkeys(keys):
            if key in merged:
                continue
            if not scope.is_open():
                self.record.problem(
                    "unknown_column", f'column "{key}" of USING is not in both tables', object_=key
                )
                continue
            known = [side[key].lineage for side in (left_keys, right_keys) if key in side]
            for lineage in known:
                self.record.use(lineage, ColumnRole.JOIN, "USING")
            common.append(NamedColumn(key, key, combine(known, IDENTITY)))
            merged.add(key)
        return (
            common
            + [column for column in left if column.key not in merged]
            + [column for column in right if column.key not in merged]
        )

    def _star_columns(self, star: n.Star, scope: Scope, projects: bool) -> list[NamedColumn]:
        if star.qualifier:
            columns = self._qualified_star(star, scope)
        else:
            columns = scope.visible or [c for b in scope.bindings for c in b.columns]
            if scope.is_open():
                columns = [*columns, UNKNOWN_COLUMNS]
            self._check_star(star, scope, scope.bindings)
            if not scope.star_is_certain:
                self.record.problem(
                    "unsupported",
                    "the order of columns of * over NATURAL RIGHT JOIN or USING is not certain; "
                    "name the columns",
                    position=star.position,
                )
        if projects:
            for column in columns:
                self.record.use(column.lineage, ColumnRole.PROJECTED, "*", star.position)
        return columns

    def _check_star(self, star: n.Star, scope: Scope, bindings: list[Binding]) -> None:
        _ = scope
        for binding in bindings:
            for key in sorted(binding.sized)[:1]:
                self._note_sized(key, [binding])
        if not bindings:
            self.record.problem("unsupported", "* without a table", position=star.position)

    def _qualified_star(self, star: n.Star, scope: Scope) -> list[NamedColumn]:
        index = self.record.index
        table = star.qualifier[-1].value
        at: Scope | None = scope
        while at is not None:
            for binding in at.bindings:
                same = binding.alias == table or (
                    (index.folds or binding.schema.lower() == "information_schema")
                    and binding.alias.lower() == table.lower()
                )
                if same and (
                    len(star.qualifier) == 1
                    or index.fold_schema(star.qualifier[0].value)
                    == index.fold_schema(binding.schema)
                ):
                    self._check_star(star, at, [binding])
                    return [*binding.columns, *([UNKNOWN_COLUMNS] if binding.open else [])]
            at = at.parent
        self.record.problem(
            "unknown_relation",
            f'table "{table}" is not named in FROM',
            object_=table,
            position=star.position,
        )
        return []
