"""Expressions: the operator table of MySQL and MariaDB, climbed by precedence.

Only the grouping of operators could differ between the flavours where parentheses are missing; what
an expression reads does not depend on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.kit.parsing import BinaryOperator
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax import words as w
from querykeep_engines.mysql.syntax.basics import BasicParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_OR, _XOR, _AND, _NOT, _COMPARE, _BIT_OR = 10, 20, 30, 40, 50, 60
_CONCAT = 115
_UNARY = 120

OPERATORS: dict[str, BinaryOperator] = {
    "OR": BinaryOperator(_OR),
    "XOR": BinaryOperator(_XOR),
    "AND": BinaryOperator(_AND),
    "&&": BinaryOperator(_AND),
    **{op: BinaryOperator(_COMPARE) for op in ("=", "<=>", ">=", ">", "<=", "<", "<>", "!=")},
    "|": BinaryOperator(_BIT_OR),
    "&": BinaryOperator(70),
    "<<": BinaryOperator(80),
    ">>": BinaryOperator(80),
    "+": BinaryOperator(90),
    "-": BinaryOperator(90),
    **{op: BinaryOperator(100) for op in ("*", "/", "%", "DIV", "MOD")},
    "^": BinaryOperator(110),
    "->": BinaryOperator(140),
    "->>": BinaryOperator(140),
}
"""Infix operators by token value; ``||`` depends on sql_mode and is decided in ``_power``."""

_PREDICATES = frozenset(
    {"IS", "IN", "LIKE", "BETWEEN", "REGEXP", "RLIKE", "SOUNDS", "MEMBER", "NOT"}
)
_TESTS = ("NULL", "TRUE", "FALSE", "UNKNOWN")
_COMPARISONS = frozenset({"=", "<=>", ">=", ">", "<=", "<", "<>", "!="})
_LITERALS = frozenset({TokenKind.STRING, TokenKind.NUMBER, TokenKind.HEX, TokenKind.BIT})


class ExpressionParser(BasicParser, ABC):
    """Parses expressions; queries inside come from the query parser that is built on it."""

    def expression(self) -> Expression:
        """Parse one expression."""
        self.enter()
        try:
            return self._climb(0)
        finally:
            self.leave()

    def expressions(self) -> tuple[Expression, ...]:
        """Parse expressions with commas between."""
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        return tuple(items)

    def _power(self, token: Token) -> int:
        """How tightly the infix operator at hand binds; -1 when there is none."""
        if token.kind is TokenKind.OPERATOR or token.kind is TokenKind.WORD:
            value = token.value
            if value == "||":
                return _CONCAT if self.modes.pipes_as_concat else _OR
            operator = OPERATORS.get(value)
            if operator is not None:
                return operator.power
            if token.kind is TokenKind.WORD and value in _PREDICATES and self._at_predicate():
                return _COMPARE
        return -1

    def _at_predicate(self) -> bool:
        value, following = self.token.value, self.peek()
        if value == "NOT":
            return following.kind is TokenKind.WORD and following.value in (
                "IN",
                "LIKE",
                "BETWEEN",
                "REGEXP",
                "RLIKE",
            )
        if value == "SOUNDS":
            return following.kind is TokenKind.WORD and following.value == "LIKE"
        if value == "MEMBER":
            return following.value in ("OF", "(")
        return True

    def _climb(self, minimum: int, left: Expression | None = None) -> Expression:
        if left is None:
            left = self._prefix()
        while True:
            token = self.token
            power = self._power(token)
            if power < minimum or power < 0:
                return left
            if token.value in _PREDICATES and token.kind is TokenKind.WORD:
                left = self._predicate(left)
                continue
            left = self._chain(left, power)

    def _chain(self, first: Expression, power: int) -> Expression:
        rest: list[tuple[str, Expression]] = []
        start = first.position
        while True:
            token = self.token
            if token.value in _PREDICATES or self._power(token) != power:
                break
            self.advance()
            if (
                token.value in _COMPARISONS
                and self.at_word("ANY", "SOME", "ALL")
                and (self.peek().value == "(")
            ):
                left = n.Chain(first, tuple(rest), start) if rest else first
                first, rest = self._quantified(left, token.value), []
                continue
            rest.append((token.value, self._climb(power + 1)))
        return n.Chain(first, tuple(rest), start) if rest else first

    def _quantified(self, left: Expression, operator: str) -> Expression:
        quantifier = self.advance().value
        self.expect("(")
        query = self.query_expression()
        self.expect(")")
        return n.Quantified(left, operator, quantifier, query, left.position)

    def _predicate(self, left: Expression) -> Expression:
        at = left.position
        if self.accept_word("IS"):
            negation = self.accept_word("NOT")
            test = self.expect_word(*_TESTS)
            return n.IsTest(left, (*((negation,) if negation else ()), test), at)
        negated = self.accept_word("NOT") is not None
        if self.accept_word("IN"):
            return self._in(left, negated)
        if self.accept_word("BETWEEN"):
            low = self._climb(_BIT_OR)
            self.expect_word("AND")
            return n.Between(left, negated, low, self._climb(_BIT_OR), at)
        if self.accept_word("MEMBER"):
            words = ("MEMBER", "OF") if self.accept_word("OF") else ("MEMBER",)
            self.expect("(")
            array = self.expression()
            self.expect(")")
            return n.MemberOf(left, words, array, at)
        if self.accept_words("SOUNDS", "LIKE"):
            return n.Like(left, negated, ("SOUNDS", "LIKE"), self._climb(_BIT_OR), None, at)
        word = self.expect_word("LIKE", "REGEXP", "RLIKE")
        pattern = self._climb(_BIT_OR)
        escape = None
        if word == "LIKE" and self.accept_word("ESCAPE"):
            escape = self._climb(_UNARY)
        return n.Like(left, negated, (word,), pattern, escape, at)

    def _in(self, left: Expression, negated: bool) -> Expression:
        self.expect("(")
        if self.at_query():
            query = self.query_expression()
            self.expect(")")
            return n.InQuery(left, negated, query, left.position)
        items = self.expressions()
        self.expect(")")
        return n.InList(left, negated, items, left.position)

    def _prefix(self) -> Expression:
        token = self.token
        if token.kind is TokenKind.OPERATOR:
            if token.value in ("-", "+", "~"):
                return self._unary(token, _UNARY)
            if token.value == "!":
                return self._unary(token, _UNARY + 5)
        elif token.kind is TokenKind.WORD:
            if token.value == "NOT":
                return self._unary(
                    token, _UNARY + 5 if self.modes.high_not_precedence else _NOT + 1
                )
            if token.value == "BINARY" and not self._binary_is_call():
                return self._unary(token, _UNARY + 10)
        return self._postfix(self._primary())

    def _binary_is_call(self) -> bool:
        return False

    def _unary(self, token: Token, power: int) -> Expression:
        self.enter()
        try:
            self.advance()
            return n.Unary(token.value, self._climb(power), token.start)
        finally:
            self.leave()

    def _postfix(self, value: Expression) -> Expression:
        while self.at_word("COLLATE"):
            self.advance()
            value = n.Collated(value, self.charset_name(), value.position)
        return value

    def _primary(self) -> Expression:
        token = self.token
        kind = token.kind
        if kind is TokenKind.WORD:
            return self._word()
        if kind in _LITERALS:
            return self.literal()
        if kind is TokenKind.QUOTED:
            return self._name_or_call()
        if kind is TokenKind.PARAMETER:
            self.advance()
            return n.Parameter(token.start)
        if kind is TokenKind.USER_VARIABLE:
            return self._user_variable()
        if kind is TokenKind.SYSTEM_VARIABLE:
            return self.system_variable()
        if self.at("("):
            return self._parenthesis()
        if self.accept("{"):
            word = self.name()
            value = self.expression()
            self.expect("}")
            return n.OdbcEscape(word, value, token.start)
        raise self.failure()

    def _user_variable(self) -> Expression:
        target = self.user_variable()
        if self.accept(":="):
            self.enter()
            try:
                return n.Assignment(target, self._climb(0), target.position)
            finally:
                self.leave()
        return target

    def _parenthesis(self) -> Expression:
        start = self.token.start
        self.expect("(")
        self.enter()
        try:
            if self.at_query():
                query = self.query_expression()
                self.expect(")")
                return n.SubqueryExpression(query, start)
            first = self._climb(0)
            if isinstance(first, n.SubqueryExpression) and self.at_query_rest():
                arm = n.ParenQuery(first.query, first.position)
                query = self.query_after(arm, None)
                self.expect(")")
                return n.SubqueryExpression(query, start)
            if self.at(","):
                items = [first]
                while self.accept(","):
                    items.append(self._climb(0))
                self.expect(")")
                return n.Row(tuple(items), False, start)
            self.expect(")")
            return n.Paren(first, start)
        finally:
            self.leave()

    def literal(self) -> n.Literal:
        """Parse a literal; strings side by side are one."""
        token = self.advance()
        if token.kind is TokenKind.STRING:
            return self._string((token,))
        kind = {
            TokenKind.NUMBER: "number",
            TokenKind.HEX: "hex",
            TokenKind.BIT: "bit",
        }.get(token.kind)
        if kind is None:
            self.index -= 1
            self.fail("expected a literal")
        return n.Literal(kind, token.value, (token,))

    def _string(self, tokens: tuple[Token, ...]) -> n.Literal:
        found = list(tokens)
        while self.token.kind is TokenKind.STRING:
            found.append(self.advance())
        value = "".join(t.value for t in found if t.kind is TokenKind.STRING)
        return n.Literal("string", value, tuple(found))

    def _word(self) -> Expression:
        token = self.token
        value = token.value
        following = self.peek()
        if (
            value[0] == "_"
            and following.kind in _LITERALS
            and following.kind is not (TokenKind.NUMBER)
        ):
            return self._introduced(token, following)
        if value in ("DATE", "TIME", "TIMESTAMP") and following.kind is TokenKind.STRING:
            self.index += 2
            return n.Literal("temporal", following.value, (token, following))
        if value in ("NULL", "TRUE", "FALSE"):
            self.advance()
            return n.Literal("null" if value == "NULL" else "bool", value, (token,))
        method = _WORDS.get(value)
        if method is not None:
            found: Expression | None = getattr(self, method)()
            if found is not None:
                return found
        return self._name_or_call()

    def _introduced(self, token: Token, following: Token) -> Expression:
        charset = token.value.lower()
        if charset not in w.CHARSETS_PLAIN:
            self.fail("character set introducer that is not supported")
        self.advance()
        if following.kind is TokenKind.STRING:
            self.advance()
            return self._string((token, following))
        self.advance()
        return n.Literal("hex", following.value, (token, following))

    def _name_or_call(self) -> Expression:
        token = self.token
        following = self.peek()
        is_open = following.kind is TokenKind.OPERATOR and following.value == "("
        if token.kind is TokenKind.WORD:
            if token.value in w.BARE_FUNCTIONS and not is_open:
                self.advance()
                return n.Call((self.as_name(token),), (), token.start, bare=True)
            if is_open and token.value in w.RESERVED_FUNCTIONS | w.BARE_FUNCTIONS:
                self.advance()
                return self.call((self.as_name(token),), token.start)
        if is_open:
            name = self.name()
            if (
                token.kind is TokenKind.WORD
                and token.value in w.TIGHT_FUNCTIONS
                and not following.tight
                and not self.modes.ignore_space
            ):
                self.fail(f"{token.value} needs its parenthesis at once")
            return self.call((name,), token.start)
        parts = self.qualified_name(3)
        if self.at("(") and len(parts) == 2:
            return self.call(parts, token.start)
        return n.ColumnRef(parts, token.start)

    # Functions with syntax of their own are in ``functions.py``.
    @abstractmethod
    def call(self, parts: tuple[n.Name, ...], position: int) -> Expression:
        """Parse what follows a function's name."""

    @abstractmethod
    def at_query(self) -> bool:
        """True when a query expression starts here."""

    @abstractmethod
    def at_query_rest(self) -> bool:
        """True when a query in parentheses goes on here."""

    @abstractmethod
    def query_expression(self) -> n.QueryExpression:
        """Parse a query expression."""

    @abstractmethod
    def query_after(self, first: n.QueryArm, with_: n.With | None) -> n.QueryExpression:
        """Parse what follows the first arm of a query expression."""


_WORDS = {
    "CASE": "special_case",
    "EXISTS": "special_exists",
    "INTERVAL": "special_interval",
    "CAST": "special_cast",
    "CONVERT": "special_convert",
    "TRIM": "special_trim",
    "EXTRACT": "special_extract",
    "SUBSTRING": "special_substring",
    "SUBSTR": "special_substring",
    "MID": "special_substring",
    "POSITION": "special_position",
    "CHAR": "special_char",
    "WEIGHT_STRING": "special_weight_string",
    "GET_FORMAT": "special_get_format",
    "TIMESTAMPADD": "special_timestamp",
    "TIMESTAMPDIFF": "special_timestamp",
    "GROUP_CONCAT": "special_group_concat",
    "MATCH": "special_match",
    "ROW": "special_row",
    "DEFAULT": "special_default",
    "VALUES": "special_values",
    "VALUE": "special_values",
    "JSON_VALUE": "special_json_value",
    "NEXT": "special_sequence",
    "PREVIOUS": "special_sequence",
    "NEXTVAL": "special_sequence_call",
    "LASTVAL": "special_sequence_call",
    "SETVAL": "special_sequence_call",
    "JSON_ARRAYAGG": "special_group_concat",
}
