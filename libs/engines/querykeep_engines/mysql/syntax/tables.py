"""FROM: tables, derived tables, joins."""

from __future__ import annotations

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.functions import FunctionParser


class TableParser(FunctionParser):
    """Parses table references; queries inside come from the query parser built on it."""

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
            return self._json_table()
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
        period = self._period() if self.at_words("FOR", "SYSTEM_TIME") else ()
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
        return n.BaseTable(table, partitions, alias, tuple(hints), start, period)

    def _period(self) -> tuple[str | n.Expression, ...]:
        """Take FOR SYSTEM_TIME (MariaDB): which versions of rows are read."""
        if not self.modes.is_mariadb:
            self.fail("FOR SYSTEM_TIME is not known to this server")
        self.index += 2
        found: list[str | n.Expression] = ["FOR", "SYSTEM_TIME"]
        if self.accept_word("ALL"):
            return (*found, "ALL")
        if self.accept_words("AS", "OF"):
            return (*found, "AS", "OF", *self._moment())
        word = self.expect_word("BETWEEN", "FROM")
        found += [word, *self._moment()]
        found.append(self.expect_word("AND" if word == "BETWEEN" else "TO"))
        return (*found, *self._moment())

    def _moment(self) -> tuple[str | n.Expression, ...]:
        words: tuple[str, ...] = ()
        if self.at_word("TIMESTAMP", "TRANSACTION") and self.peek().kind is not TokenKind.STRING:
            words = (self.advance().value,)
        return (*words, self._climb(60))  # tighter than the AND of BETWEEN

    def _json_table(self) -> n.JsonTable:
        """Take JSON_TABLE(document, path COLUMNS (…)) [AS] alias."""
        start = self.token.start
        form: list[str | Token | n.Expression] = [self.advance().value, self.expect("(")]
        document = self.expression()
        form += [document, self.expect(",")]
        path = self.token
        if path.kind is not TokenKind.STRING:
            self.fail("expected a path")
        form.append(self.advance())
        form.append(self.expect_word("COLUMNS"))
        columns = self.balanced()
        form += [*columns, self.expect(")")]
        alias = self._alias()
        if alias is None:
            self.fail("JSON_TABLE needs an alias")
        return n.JsonTable(tuple(form), document, tuple(self._columns_of(columns)), alias, start)

    def _columns_of(self, tokens: tuple[Token, ...]) -> list[str]:
        """Return the names that COLUMNS ( … ) defines, those of NESTED paths too."""
        found: list[str] = []
        depth, is_first = 0, False
        levels = [1]  # depths at which columns are defined, outermost first
        for place, token in enumerate(tokens):
            if token.kind is TokenKind.OPERATOR and token.value in "(),":
                if token.value == "(":
                    depth += 1
                    is_first = depth == levels[-1]
                elif token.value == ")":
                    if depth == levels[-1] and len(levels) > 1:
                        levels.pop()
                    depth -= 1
                else:
                    is_first = depth == levels[-1]
                continue
            if is_first:
                is_first = False
                if token.kind is TokenKind.QUOTED:
                    found.append(token.value)
                elif token.value != "NESTED" or tokens[place + 1].value not in ("PATH", ""):
                    found.append(token.text)
            elif token.kind is TokenKind.WORD and token.value == "COLUMNS":
                levels.append(depth + 1)
        return found

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
