"""Definitions and administration: classified by their words, with the tables that they name.

CREATE TABLE … AS and views are parsed whole, since they read; all else is kept as its tokens.
"""

from __future__ import annotations

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.session_statements import SessionParser

_OBJECTS = word_set("""
    TABLE TABLES VIEW INDEX DATABASE SCHEMA USER ROLE PROCEDURE FUNCTION TRIGGER EVENT SEQUENCE
    SERVER TABLESPACE LOGFILE RESOURCE SPATIAL UNDO PACKAGE LIBRARY INSTANCE
    """)
PROGRAMS = frozenset({"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "LIBRARY"})
"""Kinds of object with a body of statements."""


class DefinitionParser(SessionParser):
    """Parses CREATE, ALTER, DROP, RENAME, TRUNCATE and administration."""

    def definition(self) -> n.Statement:
        """Parse CREATE, ALTER or DROP."""
        first = self.index
        verb = self.advance()
        kind = self._object_kind()
        head_end = self.index
        if kind.value == "TABLE" or (kind.value == "TABLES" and verb.value == "DROP"):
            return self._table(verb, first)
        if kind.value == "VIEW" and verb.value in ("CREATE", "ALTER"):
            return self._view(verb, first)
        if kind.value == "INDEX":
            return self._index(verb, first)
        self.index = head_end
        tables: list[tuple[str, n.TableName]] = []
        if kind.value in ("VIEW", "SEQUENCE") and verb.value == "DROP":
            self._if_exists()
            tables = [("drop", self.table_name())]
            while self.accept(","):
                tables.append(("drop", self.table_name()))
        if kind.value == "TRIGGER" and verb.value == "CREATE":
            tables = self._trigger_table()
        names = self._object_name(kind)
        self.rest()
        action = f"{verb.value.lower()}_{kind.value.lower()}"
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility(action, tokens, tuple(tables), names, position=verb.start)

    def _object_kind(self) -> Token:
        """Pass over OR REPLACE, TEMPORARY, DEFINER = … and the like; take the kind of object."""
        while True:
            token = self.token
            if token.kind is not TokenKind.WORD:
                self.fail()
            if token.value == "DEFINER":
                self.advance()
                self.expect("=")
                self._account()
                continue
            if token.value == "ALGORITHM":
                self.advance()
                self.expect("=")
                self.expect_word("UNDEFINED", "MERGE", "TEMPTABLE")
                continue
            self.advance()
            if token.value in _OBJECTS:
                if token.value in ("SPATIAL", "UNDO") and self.at_word("INDEX", "TABLESPACE"):
                    continue
                return token
            if token.value not in (
                "OR",
                "REPLACE",
                "TEMPORARY",
                "UNIQUE",
                "FULLTEXT",
                "ONLINE",
                "OFFLINE",
                "IGNORE",
                "SQL",
                "SECURITY",
                "INVOKER",
                "AGGREGATE",
                "VECTOR",
                "EXTERNAL",
            ):
                self.index -= 1
                self.fail()
            if token.value == "SECURITY":
                self.expect_word("DEFINER", "INVOKER")

    def _account(self) -> None:
        if self.at_word("CURRENT_USER", "CURRENT_ROLE"):
            self.advance()
            if self.accept("("):
                self.expect(")")
            return
        if self.token.kind not in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING):
            self.fail("expected an account")
        self.advance()
        if self.peek(0).kind is TokenKind.USER_VARIABLE:
            self.advance()

    def _if_exists(self) -> None:
        if self.accept_word("IF"):
            self.accept_word("NOT")
            self.expect_word("EXISTS")

    def _object_name(self, kind: Token) -> tuple[str, ...]:
        """Return the name of a database or program, for the record."""
        if kind.value in ("DATABASE", "SCHEMA") or kind.value in PROGRAMS:
            at = self.index
            self._if_exists()
            if self.at_name():
                parts = tuple(part.value for part in self.qualified_name(2))
                self.index = at
                return parts
            self.index = at
        return ()

    def _trigger_table(self) -> list[tuple[str, n.TableName]]:
        at = self.index
        while not self.at_end():
            if self.advance().value == "ON" and self.at_name():
                table = self.table_name()
                self.index = at
                return [("judged", table)]
        self.index = at
        return []

    def _table(self, verb: Token, first: int) -> n.Statement:
        tables: list[tuple[str, n.TableName]] = []
        if verb.value == "CREATE":
            return self._create_table(verb, first)
        self._if_exists()
        if verb.value == "DROP":
            tables.append(("drop", self.table_name()))
            while self.accept(","):
                tables.append(("drop", self.table_name()))
        else:
            tables.append(("alter", self.table_name()))
        tables += self._named_in_rest()
        action = "alter_table" if verb.value == "ALTER" else "drop_table"
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility(action, tokens, tuple(tables), self._flags(tokens), position=verb.start)

    def _named_in_rest(self) -> list[tuple[str, n.TableName]]:
        """Take the rest; return the tables that REFERENCES, RENAME TO, EXCHANGE … WITH TABLE and
        UNION name in it."""
        tables: list[tuple[str, n.TableName]] = []
        while not self.at_end():
            if self.accept_word("REFERENCES") or self.accept_words("WITH", "TABLE"):
                tables.append(("judged", self.table_name()))
            elif self.at_word("RENAME") and self.peek().value in ("TO", "AS"):
                self.index += 2
                tables.append(("rename_to", self.table_name()))
            elif self.at_word("RENAME") and self.peek().value not in ("COLUMN", "INDEX", "KEY"):
                self.advance()
                tables.append(("rename_to", self.table_name()))
            else:
                self.advance()
        return tables

    def _flags(self, tokens: tuple[Token, ...]) -> tuple[str, ...]:
        """Return what reaches beyond the table: another engine, files, other tables."""
        flags = []
        for index, token in enumerate(tokens[:-1]):
            if token.kind is not TokenKind.WORD:
                continue
            following = tokens[index + 1]
            if token.value in ("ENGINE", "TYPE"):
                value = (
                    tokens[min(index + 2, len(tokens) - 1)]
                    if following.value == "="
                    else (following)
                )
                flags.append(f"engine={value.value.lower()}")
            elif token.value in ("UNION", "CONNECTION", "DIRECTORY") and following.value in (
                "=",
                "(",
            ):
                flags.append(token.value.lower())
        return tuple(flags)

    def _create_table(self, verb: Token, first: int) -> n.Statement:
        self._if_exists()
        table = self.table_name()
        tables: list[tuple[str, n.TableName]] = [("create", table)]
        if self.accept_word("LIKE") or (self.at("(") and self.peek().value == "LIKE"):
            if self.at("("):
                self.index += 2
            tables.append(("read", self.table_name()))
            self.rest()
            tokens = tuple(self.tokens[first : self.index])
            return n.Utility("create_table", tokens, tuple(tables), position=verb.start)
        start = self.index
        while not self.at_end():
            if self._at_created_query():
                head = tuple(self.tokens[first : self.index])
                query = self.query_expression()
                return n.CreateTableAs(head, table, query, self.rest(), verb.start)
            if self.at("("):
                self.balanced()
            else:
                self.advance()
        self.index = start
        tables += self._named_in_rest()
        tokens = tuple(self.tokens[first : self.index])
        flags = self._flags(tokens)
        return n.Utility("create_table", tokens, tuple(tables), flags, position=verb.start)

    def _at_created_query(self) -> bool:
        if self.at_word("SELECT", "VALUES", "TABLE"):
            return True
        if self.at_word("WITH"):
            return self.peek().value != "SYSTEM"
        index = self.index
        while self.tokens[index].value == "(" and self.tokens[index].kind is TokenKind.OPERATOR:
            index += 1
        token = self.tokens[index]
        return (
            index > self.index
            and token.kind is TokenKind.WORD
            and token.value in ("SELECT", "WITH", "VALUES", "TABLE")
        )

    def _view(self, verb: Token, first: int) -> n.Statement:
        self._if_exists()
        table = self.table_name()
        columns = self.name_list() if self.at("(") else ()
        self.expect_word("AS")
        head = tuple(self.tokens[first : self.index])
        query = self.query_expression()
        tail = []
        if self.at_word("WITH"):
            while not self.at_end():
                token = self.token
                self.expect_word("WITH", "CASCADED", "LOCAL", "CHECK", "OPTION")
                tail.append(token)
        return n.CreateView(head, verb.value, table, columns, query, tuple(tail), verb.start)

    def _index(self, verb: Token, first: int) -> n.Statement:
        while not self.at_end() and not self.at_word("ON"):
            self.advance()
        self.expect_word("ON")
        table = self.table_name()
        self.rest()
        tokens = tuple(self.tokens[first : self.index])
        role = "alter" if verb.value == "CREATE" else "drop_index"
        return n.Utility(
            f"{verb.value.lower()}_index", tokens, ((role, table),), position=verb.start
        )

    def rename(self) -> n.Statement:
        """Parse RENAME TABLE a TO b, … or RENAME USER."""
        first = self.index
        verb = self.advance()
        if self.at_word("USER"):
            self.rest()
            tokens = tuple(self.tokens[first : self.index])
            return n.Utility("rename_user", tokens, position=verb.start)
        self.expect_word("TABLE", "TABLES")
        self._if_exists()
        tables = []
        while True:
            tables.append(("rename_from", self.table_name()))
            if self.accept_word("WAIT"):
                self.advance()
            self.accept_word("NOWAIT")
            self.expect_word("TO")
            tables.append(("rename_to", self.table_name()))
            if not self.accept(","):
                break
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility("rename_table", tokens, tuple(tables), position=verb.start)

    def truncate(self) -> n.Statement:
        """Parse TRUNCATE [TABLE] t."""
        first = self.index
        verb = self.advance()
        self.accept_word("TABLE")
        table = self.table_name()
        if self.at_word("WAIT", "NOWAIT"):
            self.rest()
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility("truncate", tokens, (("truncate", table),), position=verb.start)

    def table_maintenance(self) -> n.Statement:
        """Parse ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE."""
        first = self.index
        verb = self.advance()
        self.accept_word("NO_WRITE_TO_BINLOG", "LOCAL")
        self.expect_word("TABLE", "TABLES", "VIEW")
        tables = [("maintain", self.table_name())]
        while self.accept(","):
            tables.append(("maintain", self.table_name()))
        self.rest()
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility(f"{verb.value.lower()}_table", tokens, tuple(tables), position=verb.start)

    def lock_tables(self) -> n.Statement:
        """Parse LOCK TABLES."""
        first = self.index
        verb = self.advance()
        if self.at_word("INSTANCE"):
            self.rest()
            tokens = tuple(self.tokens[first : self.index])
            return n.Utility("lock_instance", tokens, position=verb.start)
        self.expect_word("TABLE", "TABLES")
        tables = []
        while True:
            table = self.table_name()
            if not self.at_word("READ", "WRITE", "LOW_PRIORITY"):
                self._alias()
            mode = self.expect_word("READ", "WRITE", "LOW_PRIORITY")
            if mode == "LOW_PRIORITY":
                self.expect_word("WRITE")
            elif mode == "READ":
                self.accept_word("LOCAL")
            self.accept_word("CONCURRENT")
            tables.append(("lock_read" if mode == "READ" else "lock_write", table))
            if not self.accept(","):
                break
        if self.at_word("WAIT", "NOWAIT"):
            self.rest()
        tokens = tuple(self.tokens[first : self.index])
        return n.Utility("lock_tables", tokens, tuple(tables), position=verb.start)

    def load(self) -> n.Statement:
        """Classify LOAD DATA, LOAD XML, LOAD INDEX INTO CACHE."""
        first = self.index
        verb = self.advance()
        kind = self.advance()
        tables: list[tuple[str, n.TableName]] = []
        names: tuple[str, ...] = ()
        if kind.value in ("DATA", "XML"):
            while not self.at_end():
                if self.accept_words("INTO", "TABLE"):
                    tables.append(("write", self.table_name()))
                    continue
                if self.accept_word("LOCAL"):
                    names = ("local",)
                    continue
                self.advance()
        self.rest()
        tokens = tuple(self.tokens[first : self.index])
        action = "load" if kind.value in ("DATA", "XML") else "admin"
        return n.Utility(action, tokens, tuple(tables), names, position=verb.start)
