"""Query expressions: WITH, SELECT, VALUES, TABLE, set operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.tables import TableParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_OPTIONS = word_set("""
    ALL DISTINCT DISTINCTROW HIGH_PRIORITY STRAIGHT_JOIN SQL_SMALL_RESULT SQL_BIG_RESULT
    SQL_BUFFER_RESULT SQL_NO_CACHE SQL_CACHE SQL_CALC_FOUND_ROWS
    """)
_SET_WORDS = ("UNION", "INTERSECT", "EXCEPT")
_REST_WORDS = (*_SET_WORDS, "ORDER", "LIMIT", "FETCH")


class QueryParser(TableParser):
    """Parses queries."""

    def at_query(self) -> bool:
        """True when a query expression (not in parentheses) starts here."""
        token, following = self.token, self.peek()
        if token.kind is not TokenKind.WORD:
            return False
        if token.value in ("SELECT", "WITH"):
            return True
        if token.value == "TABLE":
            return following.kind in (TokenKind.WORD, TokenKind.QUOTED)
        if token.value == "VALUES":
            if following.value == "ROW":
                return True
            return self.modes.is_mariadb and following.value == "(" and not self._is_values_call()
        return False

    def _is_values_call(self) -> bool:
        """True when VALUES ( … ) can only be the function of ON DUPLICATE KEY UPDATE."""
        return self._in_duplicate

    _in_duplicate = False

    def at_query_rest(self) -> bool:
        """True when a query in parentheses goes on here."""
        return self.at_word(*_REST_WORDS)

    def query_expression(self) -> n.QueryExpression:
        """Parse ``[WITH …] arm {set-operator arm} [ORDER BY] [LIMIT] [INTO] [locking]``."""
        self.enter()
        try:
            with_ = self.with_clause() if self.at_word("WITH") else None
            return self.query_after(self._arm(), with_)
        finally:
            self.leave()

    def query_after(self, first: n.QueryArm, with_: n.With | None) -> n.QueryExpression:
        """Parse what follows the first arm."""
        rest = []
        while self.at_word(*_SET_WORDS):
            words = [self.advance().value]
            quantifier = self.accept_word("ALL", "DISTINCT")
            if quantifier:
                words.append(quantifier)
            rest.append((tuple(words), self._arm()))
        order = self.order_items() if self.accept_words("ORDER", "BY") else ()
        limit = self.limit() if self.at_word("LIMIT", "OFFSET", "FETCH") else None
        into = self._into() if self.at_word("INTO") else None
        locking = []
        while self.at_word("FOR", "LOCK"):
            locking.append(self._locking())
        after = False
        if into is None and locking and self.at_word("INTO"):
            into, after = self._into(), True
        if self.at_word("PROCEDURE"):
            self.fail("PROCEDURE is not supported")
        position = with_.position if with_ else first.position
        return n.QueryExpression(
            with_, first, tuple(rest), order, limit, into, tuple(locking), after, position
        )

    def with_clause(self) -> n.With:
        """Parse WITH [RECURSIVE] and its tables."""
        start = self.advance().start
        recursive = self.accept_word("RECURSIVE") is not None
        tables = []
        while True:
            name = self.name()
            columns = self.name_list() if self.at("(") else ()
            self.expect_word("AS")
            self.expect("(")
            query = self._nested_query()
            self.expect(")")
            cycle: tuple[n.Name, ...] = ()
            if self.modes.is_mariadb and self.accept_word("CYCLE"):
                cycle = self.names()
                self.expect_word("RESTRICT")
            tables.append(n.CommonTable(name, columns, query, cycle))
            if not self.accept(","):
                return n.With(recursive, tuple(tables), start)

    def _nested_query(self) -> n.QueryExpression:
        """Parse a query that may itself begin with a parenthesis."""
        return self.query_expression()

    def _arm(self) -> n.QueryArm:
        token = self.token
        if self.at_word("SELECT"):
            return self._select()
        if self.at_word("TABLE"):
            self.advance()
            return n.TableQuery(self.table_name(), token.start)
        if self.at_word("VALUES"):
            return self._values()
        if self.accept("("):
            self.enter()
            try:
                query = self.query_expression()
            finally:
                self.leave()
            self.expect(")")
            return n.ParenQuery(query, token.start)
        raise self.failure("expected a query")

    def _values(self) -> n.ValuesQuery:
        start = self.advance().start
        rows = []
        while True:
            at = self.token.start
            explicit = self.accept_word("ROW") is not None
            if explicit is self.modes.is_mariadb:
                self.fail("expected a row")
            self.expect("(")
            items = self.expressions()
            self.expect(")")
            rows.append(n.Row(items, explicit, at))
            if not self.accept(","):
                return n.ValuesQuery(tuple(rows), start)

    def _select(self) -> n.Select:
        start = self.advance().start
        hint = self._hint()
        options = []
        while self.token.kind is TokenKind.WORD and self.token.value in _OPTIONS:
            options.append(self.advance().value)
        items = [self._select_item()]
        while self.accept(","):
            items.append(self._select_item())
        into = self._into() if self.at_word("INTO") else None
        table, has_from = None, False
        if self.accept_word("FROM"):
            has_from = True
            table = None if self.accept_word("DUAL") else self.table_references()
        where = self.expression() if self.accept_word("WHERE") else None
        group: tuple[n.OrderItem, ...] = ()
        rollup = False
        if self.accept_words("GROUP", "BY"):
            group = self.order_items()
            rollup = self.accept_words("WITH", "ROLLUP")
        having = self.expression() if self.accept_word("HAVING") else None
        windows: list[tuple[n.Name, n.Window]] = []
        if self.accept_word("WINDOW"):
            while True:
                name = self.name()
                self.expect_word("AS")
                windows.append((name, self.window()))
                if not self.accept(","):
                    break
        if self.at_word("QUALIFY"):
            self.fail("QUALIFY is not supported")
        return n.Select(
            hint,
            tuple(options),
            tuple(items),
            into,
            has_from,
            table,
            where,
            group,
            rollup,
            having,
            tuple(windows),
            start,
        )

    def _hint(self) -> Token | None:
        return self.advance() if self.token.kind is TokenKind.HINT else None

    def select_items(self) -> tuple[n.SelectItem, ...]:
        """Parse a select list (RETURNING)."""
        items = [self._select_item()]
        while self.accept(","):
            items.append(self._select_item())
        return tuple(items)

    def _select_item(self) -> n.SelectItem:
        first = self.token
        value: Expression
        if self.at("*"):
            self.advance()
            return n.SelectItem(n.Star((), first.start), None, "*")
        star = self._qualified_star()
        value = star if star is not None else self.expression()
        last = self.tokens[self.index - 1]
        text = self.source[first.start : last.end]
        return n.SelectItem(value, None if star else self._alias(strings=True), text)

    def _qualified_star(self) -> n.Star | None:
        if not self.at_name():
            return None
        for parts in (1, 2):
            if (
                self.peek(2 * parts).value == "*"
                and all(
                    self.peek(2 * i + 1).kind is TokenKind.OPERATOR
                    and self.peek(2 * i + 1).value == "."
                    for i in range(parts)
                )
                and self.peek(2 * parts).kind is TokenKind.OPERATOR
            ):
                start = self.token.start
                names = [self.name()]
                self.expect(".")
                if parts == 2:
                    names.append(self.any_name())
                    self.expect(".")
                self.expect("*")
                return n.Star(tuple(names), start)
        return None

    def limit(self) -> n.Limit:
        """Parse LIMIT in its forms, or OFFSET … FETCH."""
        if self.accept_word("LIMIT"):
            first = self._limit_value()
            if self.accept(","):
                return self._limit_end(n.Limit("comma", (first, self._limit_value())))
            if self.accept_word("OFFSET"):
                return self._limit_end(n.Limit("offset", (first, self._limit_value())))
            return self._limit_end(n.Limit("plain", (first,)))
        values: list[Expression] = []
        words: list[str] = []
        if self.accept_word("OFFSET"):
            values.append(self._limit_value())
            words += ["OFFSET", "?", self.expect_word("ROW", "ROWS")]
        if self.accept_word("FETCH"):
            words += ["FETCH", self.expect_word("FIRST", "NEXT")]
            if not self.at_word("ROW", "ROWS"):
                values.append(self._limit_value())
                words.append("?")
            words.append(self.expect_word("ROW", "ROWS"))
            if self.accept_word("ONLY"):
                words.append("ONLY")
            else:
                self.expect_word("WITH")
                self.expect_word("TIES")
                words += ["WITH", "TIES"]
        return n.Limit("fetch", tuple(values), tuple(words))

    def _limit_end(self, limit: n.Limit) -> n.Limit:
        if self.at_words("ROWS", "EXAMINED"):
            self.fail("LIMIT ROWS EXAMINED is not supported")
        return limit

    def _limit_value(self) -> Expression:
        token = self.token
        if token.kind in (TokenKind.NUMBER, TokenKind.HEX):
            return self.literal()
        if token.kind is TokenKind.PARAMETER:
            self.advance()
            return n.Parameter(token.start)
        if token.kind is TokenKind.WORD and self.at_name():
            return n.ColumnRef((self.name(),), token.start)
        raise self.failure("expected a number of rows")

    def _into(self) -> n.Into:
        start = self.advance().start
        word = self.accept_word("OUTFILE", "DUMPFILE")
        if word is None:
            variables = [self.user_variable()]
            while self.accept(","):
                variables.append(self.user_variable())
            return n.Into(tuple(variables), "", (), start)
        tokens: list[Token] = []
        stops = ("FROM", "WHERE", "FOR", "LOCK", "UNION", "ORDER", "LIMIT", "GROUP", "HAVING")
        while not self.at_end() and not self.at(")") and not self.at_word(*stops):
            tokens.append(self.advance())
        return n.Into((), word, tuple(tokens), start)

    def _locking(self) -> n.Locking:
        if self.accept_words("LOCK", "IN", "SHARE", "MODE"):
            words: tuple[str, ...] = ("LOCK", "IN", "SHARE", "MODE")
            tables: list[n.TableName] = []
        else:
            self.expect_word("FOR")
            words = ("FOR", self.expect_word("UPDATE", "SHARE"))
            tables = []
            if self.accept_word("OF"):
                tables.append(self.table_name())
                while self.accept(","):
                    tables.append(self.table_name())
        if self.accept_word("NOWAIT"):
            return n.Locking(words, tuple(tables), ("NOWAIT",))
        if self.accept_words("SKIP", "LOCKED"):
            return n.Locking(words, tuple(tables), ("SKIP", "LOCKED"))
        if self.accept_word("WAIT"):
            token = self.token
            if token.kind is not TokenKind.NUMBER:
                self.fail("expected a number of seconds")
            return n.Locking(words, tuple(tables), ("WAIT",), self.advance())
        return n.Locking(words, tuple(tables), ())
