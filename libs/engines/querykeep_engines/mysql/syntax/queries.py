"""Query expressions: WITH, SELECT, VALUES, TABLE, set operations, FROM with all joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.functions import FunctionParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_OPTIONS = word_set("""
    ALL DISTINCT DISTINCTROW HIGH_PRIORITY STRAIGHT_JOIN SQL_SMALL_RESULT SQL_BIG_RESULT
    SQL_BUFFER_RESULT SQL_NO_CACHE SQL_CACHE SQL_CALC_FOUND_ROWS
    """)
_SET_WORDS = ("UNION", "INTERSECT", "EXCEPT")
_REST_WORDS = (*_SET_WORDS, "ORDER", "LIMIT", "FETCH")


class QueryParser(FunctionParser):
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
            if self.at_word("CYCLE"):
                self.fail("CYCLE is not supported")
            tables.append(n.CommonTable(name, columns, query))
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

    def _alias(self, *, strings: bool = False) -> n.Alias | None:
        has_as = self.accept_word("AS") is not None
        token = self.token
        if strings and token.kind is TokenKind.STRING:
            self.advance()
            if self.token.kind is TokenKind.STRING:
                self.fail("an alias of two strings")
            return n.Alias(token.value, token, has_as)
        if self.at_name():
            self.advance()
            value = token.value if token.kind is TokenKind.QUOTED else token.text
            return n.Alias(value, token, has_as)
        if has_as:
            self.fail("expected an alias")
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

    # --- FROM ---------------------------------------------------------------------------------

    def table_references(self) -> n.TableRef:
        """Parse a list of table references with commas between."""
        first = self._joined_table()
        steps = []
        while self.accept(","):
            steps.append(n.JoinedTable((",",), self._joined_table(), None, ()))
        return n.Join(first, tuple(steps), first.position) if steps else first

    def _joined_table(self) -> n.TableRef:
        return self._join_rest(self._table_factor())

    def _join_rest(self, first: n.TableRef) -> n.TableRef:
        steps: list[n.JoinedTable] = []
        while words := self._join_words():
            self.enter()
            try:
                steps.append(self._join_step(words))
            finally:
                self.leave()
        return n.Join(first, tuple(steps), first.position) if steps else first

    def _join_step(self, words: tuple[str, ...]) -> n.JoinedTable:
        right = self._table_factor()
        natural = words[0] == "NATURAL"
        must_match = words[0] in ("LEFT", "RIGHT")
        if natural:
            return n.JoinedTable(words, right, None, ())
        while not self.at_word("ON", "USING"):
            inner = self._join_words() if must_match or self._on_is_due() else ()
            if not inner:
                break
            step = self._join_step(inner)
            right = n.Join(right, (step,), right.position)
        if self.accept_word("ON"):
            return n.JoinedTable(words, right, self.expression(), ())
        if self.accept_word("USING"):
            return n.JoinedTable(words, right, None, self.name_list())
        if must_match:
            self.fail("expected ON or USING")
        return n.JoinedTable(words, right, None, ())

    def _on_is_due(self) -> bool:
        """Inner joins may wait for their ON (``a JOIN b JOIN c ON … ON …``): refused as ambiguous
        unless each ON stands at its join."""
        return False

    def _join_words(self) -> tuple[str, ...]:
        """Take the words of a join, or nothing."""
        if self.accept_word("JOIN"):
            return ("JOIN",)
        if self.accept_word("STRAIGHT_JOIN"):
            return ("STRAIGHT_JOIN",)
        if self.at_word("INNER", "CROSS") and self.peek().value == "JOIN":
            return (self.advance().value, self.advance().value)
        for prefix in ((), ("NATURAL",)):
            if prefix and not self.at_word("NATURAL"):
                continue
            offset = len(prefix)
            words = list(prefix)
            if prefix and self.peek().value == "INNER":
                words.append("INNER")
                offset += 1
            elif self.peek(offset).kind is TokenKind.WORD and self.peek(offset).value in (
                "LEFT",
                "RIGHT",
            ):
                words.append(self.peek(offset).value)
                offset += 1
                if self.peek(offset).value == "OUTER":
                    words.append("OUTER")
                    offset += 1
            if words and self.peek(offset).value == "JOIN":
                self.index += offset + 1
                return (*words, "JOIN")
        return ()

    def _table_factor(self) -> n.TableRef:
        token = self.token
        if self.at("("):
            query, table = self._table_parenthesis()
            return self._derived(query, False, token.start) if query is not None else table
        if self.at("{"):
            return self._odbc_join()
        if self.at_word("LATERAL") and self.peek().value == "(":
            if self.modes.is_mariadb:
                self.fail("LATERAL is not known to this server")
            self.advance()
            self.expect("(")
            query = self.query_expression()
            self.expect(")")
            return self._derived(query, True, token.start)
        if (
            token.kind is TokenKind.WORD
            and token.value == "JSON_TABLE"
            and (self.peek().value == "(")
        ):
            self.fail("JSON_TABLE is not supported")
        return self._base_table()

    def _base_table(self) -> n.BaseTable:
        start = self.token.start
        table = self.table_name()
        if self.at("("):
            self.fail("table functions are not supported")
        partitions: tuple[n.Name, ...] = ()
        if self.at_word("PARTITION") and self.peek().value == "(":
            self.advance()
            partitions = self.name_list()
        if self.at_words("FOR", "SYSTEM_TIME"):
            self.fail("FOR SYSTEM_TIME is not supported")
        if self.at_word("TABLESAMPLE"):
            self.fail("TABLESAMPLE is not supported")
        alias = self._alias()
        hints: list[Token] = []
        while self.at_word("USE", "FORCE", "IGNORE") and self.peek().value in ("INDEX", "KEY"):
            hints += [self.advance(), self.advance()]
            if self.accept_word("FOR"):
                hints.append(self.tokens[self.index - 1])
                for word in (("JOIN",), ("ORDER", "BY"), ("GROUP", "BY")):
                    if self.at_words(*word):
                        hints += [self.advance() for _ in word]
                        break
                else:
                    self.fail("expected JOIN, ORDER BY or GROUP BY")
            hints.extend(self.balanced())
        return n.BaseTable(table, partitions, alias, tuple(hints), start)

    def _derived(self, query: n.QueryExpression, lateral: bool, position: int) -> n.DerivedTable:
        alias = self._alias()
        if alias is None:
            self.fail("a derived table needs an alias")
        columns = self.name_list() if self.at("(") else ()
        return n.DerivedTable(query, lateral, alias, columns, position)

    def _table_parenthesis(self) -> tuple[n.QueryExpression | None, n.TableRef]:
        """Take ``( … )`` in FROM: a query (first of the pair) or table references (second)."""
        start = self.token.start
        self.expect("(")
        nothing: n.TableRef = n.BaseTable(n.TableName((), start), (), None, (), start)
        self.enter()
        try:
            if self.at_query():
                query = self.query_expression()
                self.expect(")")
                return query, nothing
            if self.at("("):
                at = self.token.start
                inner, table = self._table_parenthesis()
                if inner is not None and (self.at_query_rest() or self.at(")")):
                    arm = n.ParenQuery(inner, at)
                    query = self.query_after(arm, None)
                    self.expect(")")
                    return query, nothing
                first = self._derived(inner, False, at) if inner is not None else table
                first = self._join_rest(first)
            else:
                first = self._joined_table()
            steps = []
            while self.accept(","):
                steps.append(n.JoinedTable((",",), self._joined_table(), None, ()))
            if steps:
                first = n.Join(first, tuple(steps), first.position)
            self.expect(")")
            return None, n.ParenTable(first, None, start)
        finally:
            self.leave()

    def _odbc_join(self) -> n.TableRef:
        start = self.token.start
        self.expect("{")
        word = self.name()
        table = self._joined_table()
        self.expect("}")
        return n.ParenTable(table, word, start)
