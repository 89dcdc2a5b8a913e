"""INSERT, REPLACE, UPDATE and DELETE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.queries import QueryParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_SIMPLE = frozenset({TokenKind.STRING, TokenKind.NUMBER})


class DmlParser(QueryParser):
    """Parses statements that change rows."""

    def insert(self) -> n.Insert:
        """Parse INSERT or REPLACE."""
        start = self.token.start
        verb = self.advance().value
        hint = self._hint()
        words = []
        while word := self.accept_word("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"):
            words.append(word)
        has_into = self.accept_word("INTO") is not None
        table = self.table_name()
        partitions: tuple[n.Name, ...] = ()
        if self.accept_word("PARTITION"):
            partitions = self.name_list()
        has_columns, columns = self._insert_columns()
        values_word = ""
        rows: tuple[tuple[Expression, ...], ...] = ()
        assignments: tuple[n.SetItem, ...] = ()
        query: n.QueryExpression | None = None
        if (not self.at_query() and self.at_word("VALUES", "VALUE")) or (
            self.at_word("VALUES") and self.modes.is_mariadb
        ):
            values_word = self.advance().value
            rows = self._rows()
        elif not has_columns and self.accept_word("SET"):
            assignments = self._assignments()
        else:
            query = self.query_expression()
        row_alias = self._row_alias() if values_word or assignments else None
        duplicate: tuple[n.SetItem, ...] = ()
        if self.accept_words("ON", "DUPLICATE", "KEY", "UPDATE"):
            self._in_duplicate = True
            duplicate = self._assignments()
            self._in_duplicate = False
        return n.Insert(
            verb,
            hint,
            tuple(words),
            has_into,
            table,
            partitions,
            has_columns,
            columns,
            values_word,
            rows,
            assignments,
            query,
            row_alias,
            duplicate,
            self._returning(),
            start,
        )

    def _insert_columns(self) -> tuple[bool, tuple[n.ColumnRef, ...]]:
        if not self.at("("):
            return False, ()
        following = self.peek()
        if following.kind is TokenKind.OPERATOR and following.value == ")":
            self.index += 2
            return True, ()
        self.index += 1
        if self.at_query() or self.at("("):
            self.index -= 1
            return False, ()
        columns = [self.column_ref()]
        while self.accept(","):
            columns.append(self.column_ref())
        self.expect(")")
        return True, tuple(columns)

    def _rows(self) -> tuple[tuple[Expression, ...], ...]:
        """Parse the rows of VALUES; literals on their own are taken without a climb."""
        rows = []
        tokens = self.tokens
        while True:
            self.accept_word("ROW")
            self.expect("(")
            row: list[Expression] = []
            if not self.accept(")"):
                while True:
                    token = tokens[self.index]
                    # The end of the text has nothing behind it.
                    following = tokens[self.index + 1] if token.kind in _SIMPLE else token
                    if (
                        token.kind in _SIMPLE
                        and following.value in (",", ")")
                        and (following.kind is TokenKind.OPERATOR)
                    ):
                        self.index += 2
                        kind = "string" if token.kind is TokenKind.STRING else "number"
                        row.append(n.Literal(kind, token.value, (token,)))
                        if following.value == ")":
                            break
                        continue
                    row.append(self.expression())
                    if self.expect(",", ")") == ")":
                        break
            rows.append(tuple(row))
            if not self.accept(","):
                return tuple(rows)

    def _row_alias(self) -> tuple[n.Name, tuple[n.Name, ...]] | None:
        if self.modes.is_mariadb or not self.accept_word("AS"):
            return None
        name = self.name()
        return name, self.name_list() if self.at("(") else ()

    def _assignments(self) -> tuple[n.SetItem, ...]:
        items = []
        while True:
            column = self.column_ref()
            operator = self.expect("=", ":=")
            items.append(n.SetItem(column, operator, self.expression()))
            if not self.accept(","):
                return tuple(items)

    def _returning(self) -> tuple[n.SelectItem, ...]:
        if self.modes.is_mariadb and self.accept_word("RETURNING"):
            return self.select_items()
        return ()

    def update(self, with_: n.With | None) -> n.Update:
        """Parse UPDATE."""
        start = with_.position if with_ else self.token.start
        self.expect_word("UPDATE")
        hint = self._hint()
        words = []
        while word := self.accept_word("LOW_PRIORITY", "IGNORE"):
            words.append(word)
        table = self.table_references()
        if self.at_words("FOR", "PORTION"):
            self.fail("FOR PORTION OF is not supported")
        self.expect_word("SET")
        assignments = self._assignments()
        where, order, limit = self._tail()
        if self.at_word("RETURNING"):
            self.fail("UPDATE … RETURNING is not supported")
        return n.Update(with_, hint, tuple(words), table, assignments, where, order, limit, start)

    def _tail(self) -> tuple[Expression | None, tuple[n.OrderItem, ...], n.Limit | None]:
        where = self.expression() if self.accept_word("WHERE") else None
        order = self.order_items() if self.accept_words("ORDER", "BY") else ()
        return where, order, self.limit() if self.at_word("LIMIT") else None

    def delete(self, with_: n.With | None) -> n.Delete:
        """Parse DELETE in its three forms."""
        start = with_.position if with_ else self.token.start
        self.expect_word("DELETE")
        hint: Token | None = self._hint()
        words = []
        while word := self.accept_word("LOW_PRIORITY", "QUICK", "IGNORE"):
            words.append(word)
        if not self.at_word("FROM"):
            targets = self._targets()
            self.expect_word("FROM")
            table: n.TableRef | None = self.table_references()
            where = self.expression() if self.accept_word("WHERE") else None
            return n.Delete(
                with_, hint, tuple(words), "from", targets, table, where, (), None, (), start
            )
        self.advance()
        targets = self._targets()
        if self.accept_word("USING"):
            table = self.table_references()
            where = self.expression() if self.accept_word("WHERE") else None
            return n.Delete(
                with_, hint, tuple(words), "using", targets, table, where, (), None, (), start
            )
        if len(targets) != 1 or targets[0][1]:
            self.fail("expected USING")
        alias: n.Alias | None = None
        partitions: tuple[n.Name, ...] = ()
        if self.at_words("FOR", "PORTION"):
            self.fail("FOR PORTION OF is not supported")
        if self.accept_word("PARTITION"):
            partitions = self.name_list()
        else:
            alias = self._alias()
            if self.accept_word("PARTITION"):
                self.fail("PARTITION behind an alias is not supported")
        base = n.BaseTable(targets[0][0], partitions, alias, (), targets[0][0].position)
        where, order, limit = self._tail()
        return n.Delete(
            with_,
            hint,
            tuple(words),
            "single",
            targets,
            base,
            where,
            order,
            limit,
            self._returning(),
            start,
        )

    def _targets(self) -> tuple[tuple[n.TableName, bool], ...]:
        found = []
        while True:
            start = self.token.start
            parts = [self.name()]
            star = False
            while self.accept("."):
                if self.accept("*"):
                    star = True
                    break
                if len(parts) == 2:
                    self.fail("a table name of three parts")
                parts.append(self.any_name())
            found.append((n.TableName(tuple(parts), start), star))
            if not self.accept(","):
                return tuple(found)
