"""INSERT, REPLACE, UPDATE, DELETE: what they write, read, copy, and what judges them."""

from __future__ import annotations

import re

from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    NOTHING,
    Binding,
    Lineage,
    NamedColumn,
    Scope,
)
from querykeep_engines.mysql.analysis.names import is_system_schema
from querykeep_engines.mysql.analysis.queries import QueryAnalysis
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_guard.contracts.catalog import Relation
from querykeep_guard.sql.facts import (
    ColumnRole,
    Effect,
    RelationName,
)

_QUOTED = re.compile(r"`((?:[^`]|``)+)`")


class WriteAnalysis(QueryAnalysis):
    """Finds what statements that change rows do. Each method returns the outputs, or None."""

    # --- targets ------------------------------------------------------------------------------

    def target(self, schema: str, name: str, position: int) -> tuple[Relation | None, RelationName]:
        """Note a relation as written; return it as the catalog has it."""
        record = self.record
        record.effects.add(Effect.WRITE)
        if self.is_temporary(schema, name):
            written = RelationName(schema, name)
            record.writes.setdefault(written)
            known = self.temporary_relation(schema, name)
            if known is not None:
                return known, written
            record.problem(
                "unsupported",
                f'"{written}" is a temporary table, whose columns are not known',
                object_=str(written),
                position=position,
                matters_unmasked=False,
            )
            return None, written
        found = record.index.relation(schema, name)
        written = RelationName(found.schema, found.name) if found else RelationName(schema, name)
        record.writes.setdefault(written)
        if is_system_schema(schema):
            record.problem(
                "unsafe",
                f'"{written}" belongs to the server itself',
                object_=str(written),
                position=position,
                matters_unmasked=False,
            )
        elif found is None:
            record.problem(
                "unknown_relation",
                f'table "{written}" is not in the catalog',
                object_=str(written),
                position=position,
            )
        return found, written

    def _target_columns(
        self, relation: Relation | None, name: RelationName, position: int
    ) -> tuple[NamedColumn, ...]:
        if relation is None:
            return ()
        if relation.kind == "view":
            columns = self._view(relation, name, position)
            for column in columns:
                for source in column.lineage.sources:
                    self.record.writes.setdefault(source.relation)
            return columns
        return self.table_columns(relation)

    def _written(self, lineage: Lineage, clause: str, position: int) -> None:
        self.record.use(Lineage(lineage.sources, IDENTITY), ColumnRole.WRITTEN, clause, position)

    def _copied_value(self, lineage: Lineage, clause: str, position: int) -> None:
        if lineage.sources:
            self.record.effects.add(Effect.COPIES_DATA)
            self.record.use(lineage, ColumnRole.WRITTEN_FROM, clause, position)

    def _assign(
        self,
        column: Lineage,
        value: n.Expression,
        scope: Scope,
        clause: str,
    ) -> None:
        """Note one assignment: the column written, what its value is made of, a literal."""
        self._written(column, clause, value.position)
        if isinstance(value, n.Literal):
            if value.kind == "string":
                for source in column.sources:
                    self.record.written_literals.append((source, value.value))
            return
        self._copied_value(self.value(value, scope), clause, value.position)

    # --- what judges a write ------------------------------------------------------------------

    def _judged(
        self, name: RelationName, columns: tuple[str, ...] | list[str], clause: str
    ) -> None:
        relation = self.record.index.relation(name.schema, name.name)
        if relation is None:
            return
        known = {column.key: column.lineage for column in self.table_columns(relation)}
        for column in columns:
            lineage = known.get(column.lower())
            if lineage is not None:
                self.record.use(lineage, ColumnRole.JUDGED, clause)

    def _all_judged(self, relation: Relation, clause: str) -> None:
        for column in self.table_columns(relation):
            self.record.use(column.lineage, ColumnRole.JUDGED, clause)

    def judge(self, relation: Relation, events: tuple[str, ...], written: set[str] | None) -> None:
        """Note every column by which keys, constraints and triggers judge a write.

        Args:
            relation: The table written.
            events: Among insert, update, delete.
            written: Folded names of the columns that an UPDATE sets; None means all.
        """
        name = RelationName(relation.schema, relation.name)
        if relation.kind == "view":
            for base in {
                source.relation
                for column in self._view(relation, name, -1)
                for source in column.lineage.sources
            } - {name}:
                found = self.record.index.relation(base.schema, base.name)
                if found is not None and found.kind != "view":
                    self.judge(found, events, None)
            return
        touched = self._touched(relation, written)
        if "insert" in events or "update" in events:
            for index in relation.indexes:
                columns = {column.lower() for column in index.columns}
                if not index.unique or not (
                    touched is None or columns & touched or index.has_expression
                ):
                    continue
                clause = f"unique key {index.name}"
                if index.has_expression:
                    self._all_judged(relation, clause)
                else:
                    self._judged(name, index.columns, clause)
            for constraint in relation.constraints:
                columns = {column.lower() for column in constraint.columns}
                if constraint.kind == "foreign_key":
                    if touched is None or columns & touched:
                        reference = RelationName(
                            constraint.ref_schema or relation.schema, constraint.ref_table
                        )
                        self._judged(reference, constraint.ref_columns, "foreign key")
                elif "update" in events and "insert" not in events:
                    named = self._named_in(constraint.definition, relation) or columns
                    if touched is None or not named or named & touched:
                        self._judged(name, sorted(named), f"check {constraint.name}")
        if "update" in events or "delete" in events:
            self._referenced(relation, None if "delete" in events else touched)
        for trigger in relation.triggers:
            if set(trigger.events) & set(events):
                self._all_judged(relation, f"trigger {trigger.name}")

    def _referenced(self, relation: Relation, touched: set[str] | None) -> None:
        """Note the columns, on both sides, by which others refer to rows that go or change."""
        name = RelationName(relation.schema, relation.name)
        for other, constraint in self.record.index.referencing(relation):
            if touched is not None and not touched & {c.lower() for c in constraint.ref_columns}:
                continue
            self._cascaded(other)
            self._judged(RelationName(other.schema, other.name), constraint.columns, "foreign key")
            self._judged(name, constraint.ref_columns, "foreign key")

    def _cascaded(self, relation: Relation) -> None:
        """Note that rows may go or change with those that they refer to, and others with them: the
        catalog does not say what a foreign key does then."""
        todo = [relation]
        while todo:
            found = todo.pop()
            name = RelationName(found.schema, found.name)
            if name not in self.record.touches:
                self.record.touches[name] = None
                todo.extend(child for child, _ in self.record.index.referencing(found))

    @staticmethod
    def _named_in(definition: str, relation: Relation) -> set[str]:
        known = {column.name.lower() for column in relation.columns}
        words = {word.replace("``", "`").lower() for word in _QUOTED.findall(definition)}
        words |= set(re.findall(r"[\w$]+", definition.lower()))
        return words & known

    def _touched(self, relation: Relation, written: set[str] | None) -> set[str] | None:
        """Return the written columns and the generated ones that follow from them."""
        if written is None:
            return None
        found = set(written)
        for column in relation.columns:
            if column.generated and self._named_in(column.generated, relation) & written:
                found.add(column.name.lower())
        return found

    # --- INSERT -------------------------------------------------------------------------------

    def insert(self, statement: n.Insert) -> tuple[NamedColumn, ...] | None:
        """Analyze INSERT or REPLACE; return the outputs of RETURNING."""
        record = self.record
        schema, name = self._split(statement.table)
        relation, written = self.target(schema, name, statement.table.position)
        columns = self._target_columns(relation, written, statement.table.position)
        binding = Binding(name, written.schema, written, columns, open=relation is None)
        scope = Scope(None, [binding], list(columns))
        self._check_hint(statement.hint, scope)
        clause = f"{statement.verb} INTO"
        record.kinds.setdefault("insert")
        if statement.verb == "REPLACE":
            record.kinds.setdefault("delete")
        targets = self._insert_targets(statement, scope, columns, clause)
        own = tuple(NamedColumn(column.name, column.key, NOTHING) for column in columns)
        fresh = Scope(None, [Binding(name, written.schema, written, own, relation is None)])
        fresh.visible = list(own)
        for row in statement.rows:
            self._insert_row(row, targets, fresh, clause)
        for item in statement.assignments:
            self._assign(self.resolve(item.column, scope), item.value, fresh, clause)
        query_scope = None
        if statement.query is not None:
            found = self.query_columns(statement.query, None)
            query_scope = found
            for column in found:
                self._copied_value(column.lineage, clause, statement.query.position)
        if relation is not None:
            events: tuple[str, ...] = ("insert",)
            if statement.on_duplicate:
                events = ("insert", "update")
            if statement.verb == "REPLACE":
                # A row that equals the stored one counts once, another twice.
                self._all_judged(relation, "REPLACE, which compares whole rows")
                events = (*events, "delete")
            self.judge(relation, events, None)
        if statement.on_duplicate:
            self._on_duplicate(statement, scope, columns, query_scope)
        return self._returning(statement.returning, scope)

    def _split(self, table: n.TableName) -> tuple[str, str]:
        if len(table.parts) == 2:
            return table.parts[0].value, table.parts[1].value
        return self.record.database, table.parts[0].value

    def _insert_targets(
        self,
        statement: n.Insert,
        scope: Scope,
        columns: tuple[NamedColumn, ...],
        clause: str,
    ) -> list[Lineage]:
        if statement.has_columns and statement.columns:
            targets = [self.resolve(column, scope) for column in statement.columns]
        elif statement.assignments:
            return []
        else:
            targets = [column.lineage for column in columns]
        for lineage in targets:
            self._written(lineage, clause, statement.table.position)
        return targets

    def _insert_row(
        self,
        row: tuple[n.Expression, ...],
        targets: list[Lineage],
        scope: Scope,
        clause: str,
    ) -> None:
        literals = self.record.written_literals
        for place, value in enumerate(row):
            if isinstance(value, n.Literal):
                if value.kind == "string" and place < len(targets):
                    for source in targets[place].sources:
                        literals.append((source, value.value))
                continue
            if isinstance(value, (n.Parameter, n.DefaultValue)):
                continue
            # A column named in VALUES is the value given to it in the same row: the user's own.
            self._copied_value(self.value(value, scope), clause, value.position)

    def _on_duplicate(
        self,
        statement: n.Insert,
        scope: Scope,
        columns: tuple[NamedColumn, ...],
        selected: tuple[NamedColumn, ...] | None,
    ) -> None:
        clause = "ON DUPLICATE KEY UPDATE"
        self.record.kinds.setdefault("update")
        inner = Scope(None, list(scope.bindings), list(columns))
        if statement.row_alias is not None:
            alias, names = statement.row_alias
            own = tuple(
                NamedColumn(c.name, c.key, Lineage())
                for c in (
                    [NamedColumn(x.value, x.value.lower(), Lineage()) for x in names]
                    or list(columns)
                )
            )
            inner.bindings.append(Binding(alias.value, "", None, own))
            inner.visible = [*inner.visible, *(c for c in own if names)]
        if statement.query is not None and isinstance(statement.query.first, n.Select):
            source = Scope(None)
            if statement.query.with_ is not None:
                source.ctes = self._common_tables(statement.query.with_, None, {})
            if statement.query.first.table is not None:
                self._from(statement.query.first.table, source)
            inner.parent = source
            if selected is not None:
                inner.aliases = {column.key: column.lineage for column in selected}
        for item in statement.on_duplicate:
            column = self.resolve(item.column, inner)
            self._assign(column, item.value, inner, clause)

    def _returning(
        self, items: tuple[n.SelectItem, ...], scope: Scope
    ) -> tuple[NamedColumn, ...] | None:
        if not items:
            return None
        select = n.Select(
            None, (), items, None, False, None, None, (), False, None, (), items[0].value.position
        )
        columns: list[NamedColumn] = []
        for item in select.items:
            if isinstance(item.value, n.Star):
                columns.extend(self._star_columns(item.value, scope, True))
                continue
            lineage = self.value(item.value, scope)
            self.record.use(lineage, ColumnRole.PROJECTED, "RETURNING", item.value.position)
            name = self._output_name(item)
            columns.append(NamedColumn(name, name.lower(), lineage))
        return tuple(columns)

    # --- UPDATE and DELETE --------------------------------------------------------------------

    def update(self, statement: n.Update) -> None:
        """Analyze UPDATE."""
        self.record.kinds.setdefault("update")
        self.record.effects.add(Effect.WRITE)
        scope = Scope(None)
        if statement.with_ is not None:
            scope.ctes = self._common_tables(statement.with_, None, {})
        self._from(statement.table, scope)
        self._check_hint(statement.hint, scope)
        touched: dict[RelationName, set[str]] = {}
        for item in statement.assignments:
            column = self.resolve(item.column, scope)
            self._assign(column, item.value, scope, "UPDATE SET")
            binding = self._owner(item.column, scope)
            if binding is None or binding.relation is None:
                self.record.problem(
                    "ambiguous",
                    f'the table of column "{item.column.parts[-1].value}" in SET is not certain',
                    position=item.column.position,
                )
                continue
            touched.setdefault(binding.relation, set()).add(item.column.parts[-1].value.lower())
        for name, columns in touched.items():
            relation, _ = self.target(name.schema, name.name, statement.position)
            if relation is not None:
                if relation.kind == "view":
                    self._target_columns(relation, name, -1)
                self.judge(relation, ("update",), columns)
        self._conditions(statement.where, statement.order, scope)

    def _owner(self, ref: n.ColumnRef, scope: Scope) -> Binding | None:
        """Return the one relation in FROM that a column of SET belongs to."""
        key = ref.parts[-1].value.lower()
        table = ref.parts[-2].value if len(ref.parts) > 1 else None
        folds = self.record.index.folds
        found = [
            binding
            for binding in scope.bindings
            if (
                table is None
                or binding.alias == table
                or (folds and binding.alias.lower() == table.lower())
            )
            and binding.find(key) is not None
        ]
        return found[0] if len(found) == 1 else None

    def _conditions(
        self, where: n.Expression | None, order: tuple[n.OrderItem, ...], scope: Scope
    ) -> None:
        if where is not None:
            self.predicate(where, scope, "WHERE")
        for item in order:
            self._key(item.value, (), scope, ColumnRole.ORDER, "ORDER BY", alias_first=True)

    def delete(self, statement: n.Delete) -> tuple[NamedColumn, ...] | None:
        """Analyze DELETE; return the outputs of RETURNING."""
        self.record.kinds.setdefault("delete")
        scope = Scope(None)
        if statement.with_ is not None:
            scope.ctes = self._common_tables(statement.with_, None, {})
        if statement.table is not None:
            self._from(statement.table, scope)
        self._check_hint(statement.hint, scope)
        for target, _ in statement.targets:
            binding = self._delete_target(target, scope, statement.style)
            if binding is None or binding.relation is None:
                name = ".".join(part.value for part in target.parts)
                self.record.problem(
                    "unknown_relation",
                    f'table "{name}", whose rows go, is not among the tables named',
                    object_=name,
                    position=target.position,
                )
                continue
            name_ = binding.relation
            relation, _ = self.target(name_.schema, name_.name, target.position)
            if relation is not None:
                if relation.kind == "view":
                    self._target_columns(relation, name_, -1)
                self.judge(relation, ("delete",), None)
        self._conditions(statement.where, statement.order, scope)
        return self._returning(statement.returning, scope)

    def _delete_target(self, target: n.TableName, scope: Scope, style: str) -> Binding | None:
        if style == "single":
            return scope.bindings[0] if scope.bindings else None
        index = self.record.index
        name = target.parts[-1].value
        found = [
            binding
            for binding in scope.bindings
            if (binding.alias == name or (index.folds and binding.alias.lower() == name.lower()))
            and (
                len(target.parts) == 1
                or index.fold_schema(target.parts[0].value) == index.fold_schema(binding.schema)
            )
        ]
        if not found:
            schema = target.parts[0].value if len(target.parts) == 2 else self.record.database
            found = [
                binding
                for binding in scope.bindings
                if binding.relation is not None and binding.relation == RelationName(schema, name)
            ]
        return found[0] if len(found) == 1 else None
