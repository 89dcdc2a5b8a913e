"""Function calls, and the functions whose arguments have words of their own between them.

What such a call amounts to is kept as ``SpecialCall``: its form in source order.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax import words as w
from querykeep_engines.mysql.syntax.windows import WindowParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_Part = str | n.Name | Token
_TYPES = word_set("""
    BINARY CHAR CHARACTER NCHAR VARCHAR DATE DATETIME TIME TIMESTAMP YEAR SIGNED UNSIGNED INT
    INTEGER
    DECIMAL DEC NUMERIC FLOAT DOUBLE REAL JSON INTERVAL INET4 INET6 UUID POINT LINESTRING POLYGON
    MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION GEOMETRY BIGINT
    """)
_TYPE_WORDS = word_set(
    "PRECISION UNSIGNED SIGNED INT INTEGER CHARSET CHARACTER SET ASCII UNICODE BINARY ARRAY"
)


class FunctionParser(WindowParser):
    """Parses calls. Each ``special_*`` returns None, having taken nothing, when the word is an
    ordinary name or an ordinary call here."""

    def _opens(self) -> bool:
        token, following = self.token, self.peek()
        if following.kind is not TokenKind.OPERATOR or following.value != "(":
            return False
        if token.value in w.TIGHT_FUNCTIONS and not following.tight and not self.modes.ignore_space:
            self.fail(f"{token.value} needs its parenthesis at once")
        return True

    def call(self, parts: tuple[n.Name, ...], position: int) -> Expression:
        """Parse an ordinary call: ``([DISTINCT] args) [nulls] [OVER …]``."""
        self.expect("(")
        self.enter()
        try:
            name = w.keyword(parts[-1].value)
            words: list[str] = []
            args: list[Expression] = []
            if name in w.AGGREGATES and (word := self.accept_word("DISTINCT", "ALL")):
                words.append(word)
            if name == "COUNT" and self.at("*"):
                args.append(n.Star((), self.advance().start))
            elif not self.at(")"):
                args.extend(self.expressions())
            if self.at_word("AS"):
                self.fail("named arguments belong to loadable functions")
            self.expect(")")
        finally:
            self.leave()
        nulls = self._null_treatment() if name in w.WINDOW_ONLY else ()
        order: tuple[n.OrderItem, ...] = ()
        within = name in w.ORDERED_SETS and self.accept_words("WITHIN", "GROUP")
        if within:
            self.expect("(")
            self.expect_word("ORDER")
            self.expect_word("BY")
            order = self.order_items()
            self.expect(")")
        over = self._over() if name in w.WINDOW_ONLY | w.AGGREGATES else None
        return n.Call(
            parts,
            tuple(args),
            position,
            tuple(words),
            order=order,
            nulls=nulls,
            over=over,
            within=within,
        )

    # --- functions with their own syntax ------------------------------------------------------

    def special_case(self) -> Expression | None:
        """CASE [operand] WHEN … THEN … [ELSE …] END."""
        start = self.advance().start
        self.enter()
        try:
            operand = None if self.at_word("WHEN") else self.expression()
            whens = []
            while self.accept_word("WHEN"):
                condition = self.expression()
                self.expect_word("THEN")
                whens.append((condition, self.expression()))
            if not whens:
                self.fail("expected WHEN")
            default = self.expression() if self.accept_word("ELSE") else None
            self.expect_word("END")
            return n.Case(operand, tuple(whens), default, start)
        finally:
            self.leave()

    def special_exists(self) -> Expression | None:
        """EXISTS (query)."""
        start = self.advance().start
        self.expect("(")
        query = self.query_expression()
        self.expect(")")
        return n.Exists(query, start)

    def special_interval(self) -> Expression | None:
        """INTERVAL value unit, or the function INTERVAL(n, a, b …)."""
        token = self.advance()
        left: Expression | None = None
        if self.at("("):
            start = self.token.start
            left = self._parenthesis()
            if isinstance(left, n.Row):
                return n.Call((self.as_name(token),), left.items, token.start)
            assert left.position == start
        value = self._climb(0, left)
        unit = self._unit(w.INTERVAL_UNITS)
        return n.Interval(value, unit, token.start)

    def _unit(self, units: frozenset[str]) -> str:
        token = self.token
        if token.kind is not TokenKind.WORD or token.value not in units:
            self.fail("expected a unit of time")
        self.advance()
        return token.value

    def special_cast(self) -> Expression | None:
        """CAST(value [AT TIME ZONE zone] AS type [ARRAY])."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        if self.accept_words("AT", "TIME", "ZONE"):
            form += ["AT", "TIME", "ZONE"]
            if self.accept_word("INTERVAL"):
                form.append("INTERVAL")
            form.append(self.literal())
        self.expect_word("AS")
        form += ["AS", *self._type()]
        self.expect(")")
        return n.SpecialCall(token.value, tuple(form), token.start)

    def special_convert(self) -> Expression | None:
        """CONVERT(value, type) or CONVERT(value USING charset)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        if self.accept_word("USING"):
            charset = self.charset_name()
            form += ["USING", charset if isinstance(charset, n.Name) else charset.tokens[0]]
        else:
            self.expect(",")
            form += [",", *self._type()]
        self.expect(")")
        return n.SpecialCall(token.value, tuple(form), token.start)

    def _type(self) -> list[_Part]:
        """Take a type of CAST as tokens: its name, length and attributes."""
        token = self.token
        if token.kind is not TokenKind.WORD or token.value not in _TYPES:
            self.fail("expected a type")
        found: list[_Part] = [self.advance()]
        while True:
            token = self.token
            if self.at("("):
                found.extend(self.balanced())
            elif token.kind is TokenKind.WORD and token.value in _TYPE_WORDS:
                found.append(self.advance())
                if token.value in ("SET", "CHARSET"):
                    found.append(self.advance())
                    if self.tokens[self.index - 1].kind not in (
                        TokenKind.WORD,
                        TokenKind.STRING,
                        TokenKind.QUOTED,
                    ):
                        self.fail("expected a character set")
            else:
                return found

    def special_trim(self) -> Expression | None:
        """TRIM([LEADING|TRAILING|BOTH] [what] FROM value)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = []
        side = self.accept_word("LEADING", "TRAILING", "BOTH")
        if side:
            form.append(side)
        if not self.at_word("FROM"):
            form.append(self.expression())
        if self.accept_word("FROM"):
            form += ["FROM", self.expression()]
        elif side:
            self.fail("expected FROM")
        self.expect(")")
        return n.SpecialCall("TRIM", tuple(form), token.start)

    def special_extract(self) -> Expression | None:
        """EXTRACT(unit FROM value)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        unit = self._unit(w.INTERVAL_UNITS)
        self.expect_word("FROM")
        value = self.expression()
        self.expect(")")
        return n.SpecialCall("EXTRACT", (unit, "FROM", value), token.start)

    def special_substring(self) -> Expression | None:
        """SUBSTRING(value FROM start [FOR length]) or with commas."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        if self.accept_word("FROM"):
            form += ["FROM", self.expression()]
            if self.accept_word("FOR"):
                form += ["FOR", self.expression()]
        else:
            while self.accept(","):
                form += [",", self.expression()]
        self.expect(")")
        return n.SpecialCall(token.value, tuple(form), token.start)

    def special_position(self) -> Expression | None:
        """POSITION(what IN value)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        what = self._climb(60)
        self.expect_word("IN")
        value = self.expression()
        self.expect(")")
        return n.SpecialCall("POSITION", (what, "IN", value), token.start)

    def special_char(self) -> Expression | None:
        """CHAR(values [USING charset])."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        while self.accept(","):
            form += [",", self.expression()]
        if self.accept_word("USING"):
            charset = self.charset_name()
            form += ["USING", charset if isinstance(charset, n.Name) else charset.tokens[0]]
        self.expect(")")
        return n.SpecialCall("CHAR", tuple(form), token.start)

    def special_weight_string(self) -> Expression | None:
        """WEIGHT_STRING(value [AS CHAR|BINARY(n)] [LEVEL …])."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        if self.accept_word("AS"):
            form += ["AS", self.expect_word("CHAR", "BINARY"), *self.balanced()]
        if self.at_word("LEVEL"):
            self.fail("WEIGHT_STRING with LEVEL is not supported")
        self.expect(")")
        return n.SpecialCall("WEIGHT_STRING", tuple(form), token.start)

    def special_get_format(self) -> Expression | None:
        """GET_FORMAT(DATE|TIME|DATETIME|TIMESTAMP, value)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        kind = self.expect_word("DATE", "TIME", "DATETIME", "TIMESTAMP")
        self.expect(",")
        value = self.expression()
        self.expect(")")
        return n.SpecialCall("GET_FORMAT", (kind, ",", value), token.start)

    def special_timestamp(self) -> Expression | None:
        """TIMESTAMPADD or TIMESTAMPDIFF(unit, a, b)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        unit = self._unit(w.TIMESTAMP_UNITS)
        self.expect(",")
        first = self.expression()
        self.expect(",")
        second = self.expression()
        self.expect(")")
        return n.SpecialCall(token.value, (unit, ",", first, ",", second), token.start)

    def special_group_concat(self) -> Expression | None:
        """GROUP_CONCAT([DISTINCT] values [ORDER BY …] [SEPARATOR '…'] [LIMIT …])."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        word = self.accept_word("DISTINCT", "ALL")
        args = self.expressions()
        order = self.order_items() if self.accept_words("ORDER", "BY") else ()
        separator = None
        if self.accept_word("SEPARATOR"):
            separator = self.literal()
            if separator.kind not in ("string", "hex", "bit"):
                self.fail("expected a string behind SEPARATOR")
        limit = self.limit() if self.at_word("LIMIT") else None
        self.expect(")")
        return n.Call(
            (self.as_name(token),),
            args,
            token.start,
            (word,) if word else (),
            order=order,
            separator=separator,
            limit=limit,
            over=self._over(),
        )

    @abstractmethod
    def limit(self) -> n.Limit:
        """Parse a LIMIT clause."""

    def special_match(self) -> Expression | None:
        """MATCH (columns) AGAINST (value [modifiers])."""
        start = self.advance().start
        parenthesised = self.accept("(") is not None
        columns: list[Expression] = [self.column_ref()]
        while self.accept(","):
            columns.append(self.column_ref())
        if parenthesised:
            self.expect(")")
        self.expect_word("AGAINST")
        self.expect("(")
        value = self._climb(60)
        words: list[str] = []
        if self.accept_word("IN"):
            words.append("IN")
            if self.accept_words("BOOLEAN", "MODE"):
                words += ["BOOLEAN", "MODE"]
            else:
                for word in ("NATURAL", "LANGUAGE", "MODE"):
                    words.append(self.expect_word(word))
        if self.accept_words("WITH", "QUERY", "EXPANSION"):
            words += ["WITH", "QUERY", "EXPANSION"]
        self.expect(")")
        return n.Match(tuple(columns), parenthesised, value, tuple(words), start)

    def special_row(self) -> Expression | None:
        """ROW(a, b)."""
        if self.peek().value != "(" or self.peek().kind is not TokenKind.OPERATOR:
            return None
        start = self.advance().start
        self.expect("(")
        items = self.expressions()
        self.expect(")")
        return n.Row(items, True, start)

    def special_default(self) -> Expression | None:
        """DEFAULT or DEFAULT(column)."""
        start = self.advance().start
        if not self.accept("("):
            return n.DefaultValue(None, start)
        column = self.column_ref()
        self.expect(")")
        return n.DefaultValue(column, start)

    def special_values(self) -> Expression | None:
        """VALUES(column) or VALUE(column)."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        column = self.column_ref()
        self.expect(")")
        return n.InsertedValue(token.value, column, token.start)

    def special_json_value(self) -> Expression | None:
        """JSON_VALUE(document, path [RETURNING type] [… ON EMPTY] [… ON ERROR])."""
        if not self._opens():
            return None
        token = self.advance()
        self.expect("(")
        form: list[_Part | Expression] = [self.expression()]
        self.expect(",")
        form += [",", self.expression()]
        if self.at_word("RETURNING"):
            self.advance()
            form += ["RETURNING", *self._type()]
        for _ in range(2):
            if self.at_word("NULL", "ERROR", "DEFAULT"):
                word = self.advance().value
                form.append(word)
                if word == "DEFAULT":
                    form.append(self.literal())
                self.expect_word("ON")
                form += ["ON", self.expect_word("EMPTY", "ERROR")]
        self.expect(")")
        return n.SpecialCall("JSON_VALUE", tuple(form), token.start)

    def special_sequence(self) -> Expression | None:
        """NEXT|PREVIOUS VALUE FOR sequence (MariaDB)."""
        if not self.modes.is_mariadb or not self.at_words(self.token.value, "VALUE", "FOR"):
            return None
        start = self.token.start
        words = (self.advance().value, self.advance().value, self.advance().value)
        table = self.table_name()
        return n.SequenceValue((*words, table), table.parts, (), words[0] == "NEXT", start)

    def special_sequence_call(self) -> Expression | None:
        """NEXTVAL, LASTVAL or SETVAL(sequence [, value …]) (MariaDB)."""
        if not self.modes.is_mariadb or not self._opens():
            return None
        token = self.advance()
        form: list[object] = [f"{token.value}{self.expect('(')}"]
        table = self.table_name()
        form.append(table)
        args: list[Expression] = []
        while self.accept(","):
            args.append(self.expression())
            form += [",", args[-1]]
        form.append(self.expect(")"))
        writes = token.value != "LASTVAL"
        return n.SequenceValue(tuple(form), table.parts, tuple(args), writes, token.start)
