"""Names, lists and variables: what every part of the grammar uses."""

from __future__ import annotations

from collections.abc import Sequence

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.kit.parsing import TokenCursor
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax import words as w
from querykeep_engines.mysql.syntax.modes import LexicalModes


class BasicParser(TokenCursor):
    """A cursor that knows the session's modes and which words are reserved under them."""

    def __init__(self, tokens: Sequence[Token], modes: LexicalModes, source: str) -> None:
        super().__init__(tokens)
        self.modes = modes
        self.source = source
        self.reserved = w.MARIADB_RESERVED if modes.is_mariadb else w.MYSQL_RESERVED

    def at_name(self) -> bool:
        """True when the token can be an identifier."""
        token = self.token
        return token.kind is TokenKind.QUOTED or (
            token.kind is TokenKind.WORD and token.value not in self.reserved
        )

    def as_name(self, token: Token) -> n.Name:
        """Return a token as a Name, with the spelling that it has in the text."""
        if token.kind is TokenKind.QUOTED:
            return n.Name(token.value, token.start, True)
        return n.Name(token.text, token.start)

    def name(self) -> n.Name:
        """Take an identifier."""
        if not self.at_name():
            self.fail("expected a name")
        return self.as_name(self.advance())

    def any_name(self) -> n.Name:
        """Take an identifier behind a point, where reserved words need no quotes."""
        token = self.token
        if token.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            self.fail("expected a name")
        return self.as_name(self.advance())

    def qualified_name(self, most: int) -> tuple[n.Name, ...]:
        """Take an identifier with up to ``most`` parts."""
        parts = [self.name()]
        while (
            len(parts) < most
            and self.at(".")
            and self.peek().kind
            in (
                TokenKind.WORD,
                TokenKind.QUOTED,
            )
        ):
            self.advance()
            parts.append(self.any_name())
        return tuple(parts)

    def names(self) -> tuple[n.Name, ...]:
        """Take names with commas between."""
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        return tuple(found)

    def name_list(self) -> tuple[n.Name, ...]:
        """Take ``(a, b)``."""
        self.expect("(")
        found = self.names()
        self.expect(")")
        return found

    def table_name(self) -> n.TableName:
        """Take a table's name."""
        start = self.token.start
        return n.TableName(self.qualified_name(2), start)

    def column_ref(self) -> n.ColumnRef:
        """Take a column's name."""
        start = self.token.start
        return n.ColumnRef(self.qualified_name(3), start)

    def user_variable(self) -> n.UserVariable:
        """Take ``@x``."""
        token = self.token
        if token.kind is not TokenKind.USER_VARIABLE:
            self.fail("expected a user variable")
        self.advance()
        return n.UserVariable(token.value, token.text, token.start)

    def system_variable(self) -> n.SystemVariable:
        """Take ``@@x`` with up to three parts."""
        start = self.advance().start
        parts = [self.any_name()]
        while len(parts) < 3 and self.accept("."):
            parts.append(self.any_name())
        return n.SystemVariable(tuple(parts), start)

    def charset_name(self) -> n.Name | n.Literal:
        """Take a character set's or collation's name: an identifier, a string, BINARY, DEFAULT."""
        token = self.token
        if token.kind is TokenKind.STRING:
            self.advance()
            return n.Literal("string", token.value, (token,))
        if self.at_word("BINARY", "DEFAULT", "ASCII"):
            return self.any_name()
        return self.name()

    def balanced(self) -> tuple[Token, ...]:
        """Take a parenthesis and all up to the one that closes it."""
        found: list[Token] = []
        depth = 0
        while True:
            token = self.token
            if token.kind is TokenKind.END:
                self.fail("a parenthesis is not closed")
            found.append(self.advance())
            if token.kind is TokenKind.OPERATOR:
                if token.value == "(":
                    depth += 1
                elif token.value == ")":
                    depth -= 1
                    if depth == 0:
                        return tuple(found)

    def rest(self) -> tuple[Token, ...]:
        """Take all that is left of the statement."""
        found = tuple(self.tokens[self.index : -1])
        self.index = len(self.tokens) - 1
        return found
