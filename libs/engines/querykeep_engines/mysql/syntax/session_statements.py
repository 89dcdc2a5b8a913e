"""Statements about the session: SET, SHOW, EXPLAIN, PREPARE, transactions."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.dml import DmlParser

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_SCOPES = ("GLOBAL", "SESSION", "LOCAL", "PERSIST", "PERSIST_ONLY")
_EXPLAINED = ("SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "TABLE", "VALUES")

_SHOW_WITH_TABLE = {
    "COLUMNS": "columns",
    "FIELDS": "columns",
    "INDEX": "index",
    "INDEXES": "index",
    "KEYS": "index",
}
_SHOW_FILTERED = word_set("""
    DATABASES SCHEMAS TABLES VARIABLES STATUS COLLATION TRIGGERS EVENTS PLUGINS PACKAGE FUNCTION
    PROCEDURE CHARSET CHARACTER OPEN LOCALES
    """)
_SHOW_SIMPLE = word_set("""
    WARNINGS ERRORS PROCESSLIST ENGINES PRIVILEGES GRANTS PROFILES PROFILE ENGINE AUTHORS
    CONTRIBUTORS BINARY MASTER SLAVE REPLICA REPLICAS RELAYLOG ALL USER_STATISTICS INDEX_STATISTICS
    TABLE_STATISTICS CLIENT_STATISTICS BINLOG COUNT EXPLAIN ANALYZE PARSE_TREE LIBRARY
    """)


class SessionParser(DmlParser):
    """Parses statements that look at or change the session."""

    @abstractmethod
    def statement(self) -> n.Statement:
        """Parse a statement of any kind."""

    # --- SET ----------------------------------------------------------------------------------

    def set_statement(self) -> n.Statement:
        """Parse SET in all its forms; forms about accounts are classified."""
        start = self.advance().start
        if self.at_word("PASSWORD"):
            return self._set_rest("set_password", start)
        if self.at_word("ROLE") or self.at_words("DEFAULT", "ROLE"):
            return self._set_rest("set_role", start)
        if self.at_words("RESOURCE", "GROUP"):
            return self._set_rest("set_resource_group", start)
        if self.modes.is_mariadb and self.at_word("STATEMENT") and self.peek().value != "=":
            return self._set_for_statement(start)
        items = [self._set_item()]
        while self.accept(","):
            items.append(self._set_item())
        return n.SetStatement(tuple(items), None, start)

    def _set_rest(self, action: str, start: int) -> n.Utility:
        verb = self.tokens[self.index - 1]
        return n.Utility(action, (verb, *self.rest()), position=start)

    def _set_for_statement(self, start: int) -> n.Statement:
        self.advance()
        items = [self._system_item((), "session")]
        while self.accept(","):
            items.append(self._system_item((), "session"))
        self.expect_word("FOR")
        return n.SetStatement(tuple(items), self.statement(), start)

    def _set_item(self) -> n.VariableAssignment:
        token = self.token
        if token.kind is TokenKind.USER_VARIABLE:
            target = self.user_variable()
            operator = self.expect("=", ":=")
            value = self.expression()
            return n.VariableAssignment("user", "", target.name, (), target, operator, value)
        if token.kind is TokenKind.SYSTEM_VARIABLE:
            return self._at_item()
        if self.at_word("NAMES") and self.peek().value not in ("=", ":=", "."):
            return self._set_names()
        if self.at_word("CHARSET") or self.at_words("CHARACTER", "SET"):
            return self._set_charset()
        scope = ""
        prefix: tuple[str, ...] = ()
        if self.at_word(*_SCOPES) and self.peek().value not in ("=", ":=", "."):
            word = self.advance().value
            scope, prefix = word.lower(), (word,)
        if self.at_word("TRANSACTION") and self.peek().value not in ("=", ":="):
            return self._set_transaction(scope, prefix)
        return self._system_item(prefix, "session" if scope == "local" else scope or "session")

    def _at_item(self) -> n.VariableAssignment:
        target = self.system_variable()
        parts = [part.value.lower() for part in target.parts]
        scope = "session"
        if len(parts) > 1 and parts[0] in ("global", "session", "local", "persist", "persist_only"):
            scope = "session" if parts[0] == "local" else parts[0]
            parts = parts[1:]
        operator = self.expect("=", ":=")
        return n.VariableAssignment(
            "system", scope, ".".join(parts), (), target, operator, self._set_value()
        )

    def _system_item(self, prefix: tuple[str, ...], scope: str) -> n.VariableAssignment:
        names = [self.name()]
        while self.accept("."):
            names.append(self.any_name())
        operator = self.expect("=", ":=")
        name = ".".join(part.value.lower() for part in names)
        return n.VariableAssignment(
            "system", scope, name, prefix, tuple(names), operator, self._set_value()
        )

    def _set_value(self) -> Expression:
        token = self.token
        if (
            self.at_word("ON", "ALL", "BINARY", "ROW", "SYSTEM")
            and self.peek().kind
            in (
                TokenKind.END,
                TokenKind.OPERATOR,
            )
            and self.peek().value in ("", ",")
        ):
            self.advance()
            return n.ColumnRef((n.Name(token.text, token.start),), token.start)
        if self.at_word("DEFAULT") and self.peek().value in ("", ","):
            self.advance()
            return n.DefaultValue(None, token.start)
        return self.expression()

    def _set_names(self) -> n.VariableAssignment:
        self.advance()
        if self.at_word("DEFAULT"):
            start = self.advance().start
            return n.VariableAssignment(
                "names", "session", "names", ("NAMES",), None, "", n.DefaultValue(None, start)
            )
        charset = self._charset_value()
        collation = self.charset_name() if self.accept_word("COLLATE") else None
        return n.VariableAssignment(
            "names", "session", "names", ("NAMES",), None, "", charset, collation
        )

    def _set_charset(self) -> n.VariableAssignment:
        prefix: tuple[str, ...] = (self.advance().value,)
        if prefix[0] == "CHARACTER":
            prefix = ("CHARACTER", self.advance().value)
        return n.VariableAssignment(
            "charset", "session", "charset", prefix, None, "", self._charset_value()
        )

    def _charset_value(self) -> Expression:
        token = self.token
        if token.kind is TokenKind.STRING:
            return self.literal()
        if self.at_word("DEFAULT"):
            self.advance()
            return n.DefaultValue(None, token.start)
        if self.at_word("BINARY", "ASCII"):
            return n.ColumnRef((self.any_name(),), token.start)
        return n.ColumnRef((self.name(),), token.start)

    def _set_transaction(self, scope: str, prefix: tuple[str, ...]) -> n.VariableAssignment:
        start = self.advance().start
        words: list[str] = []
        while not self.at_end():
            if self.accept(","):
                words.append(",")
                continue
            words.append(
                self.expect_word(
                    "ISOLATION",
                    "LEVEL",
                    "READ",
                    "WRITE",
                    "ONLY",
                    "UNCOMMITTED",
                    "COMMITTED",
                    "REPEATABLE",
                    "SERIALIZABLE",
                )
            )
        value = n.Literal("words", " ".join(words), (Token(TokenKind.WORD, "", "", start),))
        return n.VariableAssignment(
            "transaction",
            scope,
            "transaction",
            (*prefix, "TRANSACTION", *words),
            None,
            "",
            value,
        )

    # --- SHOW ---------------------------------------------------------------------------------

    def show(self) -> n.Statement:
        """Parse SHOW: its words, the table that it is about, its filter."""
        start = self.token.start
        head = [self.advance()]
        while self.at_word("FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL", "STORAGE", "ALL"):
            if self.at_word("ALL") and self.peek().kind is not TokenKind.WORD:
                break
            head.append(self.advance())
        token = self.token
        if token.kind is not TokenKind.WORD:
            self.fail()
        head.append(self.advance())
        topic = token.value
        table: n.TableName | None = None
        if topic == "CREATE":
            return self._show_create(head, start)
        if topic in _SHOW_WITH_TABLE:
            return self._show_of_table(_SHOW_WITH_TABLE[topic], head, start)
        if topic == "TABLE" and self.at_word("STATUS", "TYPES"):
            head.append(self.advance())
            topic = "TABLE_STATUS"
        elif topic in _SHOW_SIMPLE:
            return n.Show(topic.lower(), tuple(head), None, "", None, self.rest(), start)
        elif topic not in _SHOW_FILTERED:
            self.index -= 1
            self.fail(f"SHOW {topic} is not supported")
        while self.at_word("STATUS", "SET", "TABLES", "BODY", "CODE") and topic in (
            "FUNCTION",
            "PROCEDURE",
            "CHARACTER",
            "OPEN",
            "PACKAGE",
        ):
            head.append(self.advance())
        if self.at_word("FROM", "IN"):
            head += [self.advance(), self.token]
            self.name()
        word, where = self._show_filter()
        return n.Show(topic.lower(), tuple(head), table, word, where, self.rest(), start)

    def _show_create(self, head: list[Token], start: int) -> n.Statement:
        kind = self.token
        head.append(self.advance())
        if kind.value in ("TABLE", "VIEW", "SEQUENCE"):
            table = self.table_name()
            return n.Show("create_table", tuple(head), table, "", None, self.rest(), start)
        topics = ("DATABASE", "SCHEMA", "USER", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT")
        if kind.value not in (*topics, "PACKAGE"):
            self.index -= 1
            self.fail(f"SHOW CREATE {kind.text} is not supported")
        topic = "create_user" if kind.value == "USER" else f"create_{kind.value.lower()}"
        return n.Show(topic, tuple(head), None, "", None, self.rest(), start)

    def _show_of_table(self, topic: str, head: list[Token], start: int) -> n.Statement:
        head.append(self.token)
        self.expect_word("FROM", "IN")
        table = self.table_name()
        tail: list[Token] = []
        if self.at_word("FROM", "IN"):
            tail += [self.advance(), self.token]
            schema = self.name()
            table = n.TableName((schema, table.parts[-1]), table.position)
        word, where = self._show_filter()
        return n.Show(topic, tuple(head), table, word, where, (*tail, *self.rest()), start)

    def _show_filter(self) -> tuple[str, Expression | None]:
        word = self.accept_word("LIKE", "WHERE")
        if word is None:
            return "", None
        return word, self.expression()

    # --- EXPLAIN ------------------------------------------------------------------------------

    def explain(self) -> n.Statement:
        """Parse EXPLAIN, DESCRIBE, DESC, and MariaDB's ANALYZE of a statement."""
        start = self.token.start
        words = [self.advance()]
        executes = words[0].value == "ANALYZE"
        while not self.at_word(*_EXPLAINED) and not self.at("("):
            token = self.token
            if self.at_word("EXTENDED", "PARTITIONS", "ANALYZE"):
                executes = executes or token.value == "ANALYZE"
                words.append(self.advance())
            elif self.at_word("FORMAT") and self.peek().value == "=":
                words += [self.advance(), self.advance(), self.advance()]
                if self.at_word("INTO"):
                    self.fail("EXPLAIN … INTO is not supported")
            elif self.at_words("FOR", "CONNECTION"):
                return n.Explain((*words, *self.rest()), False, None, start)
            elif (
                token.kind in (TokenKind.WORD, TokenKind.QUOTED)
                and len(words) == 1
                and (not executes)
            ):
                table = self.table_name()
                return n.Show("columns", tuple(words), table, "", None, self.rest(), start)
            else:
                self.fail()
        return n.Explain(tuple(words), executes, self.statement(), start)

    # --- PREPARE, transactions, USE -----------------------------------------------------------

    def prepare(self) -> n.Statement:
        """Parse PREPARE name FROM text."""
        start = self.advance().start
        name = self.name()
        self.expect_word("FROM")
        return n.Prepare(name, self.expression(), (), start)

    def execute(self) -> n.Statement:
        """Parse EXECUTE name [USING values] or EXECUTE IMMEDIATE text [USING values]."""
        start = self.advance().start
        if (
            self.at_word("IMMEDIATE")
            and self.modes.is_mariadb
            and not self.at_end()
            and (self.peek().kind is not TokenKind.END and self.peek().value != "USING")
        ):
            self.advance()
            source = self.expression()
            using = self.expressions() if self.accept_word("USING") else ()
            return n.Prepare(None, source, using, start)
        name = self.name()
        using = self.expressions() if self.accept_word("USING") else ()
        return n.Execute(name, using, start)

    def deallocate(self) -> n.Statement:
        """Parse DEALLOCATE PREPARE or DROP PREPARE."""
        start = self.token.start
        tokens = [self.advance(), self.token]
        self.expect_word("PREPARE")
        tokens.append(self.token)
        name = self.name()
        return n.Utility("deallocate", tuple(tokens), names=(name.value,), position=start)

    def use(self) -> n.Statement:
        """Parse USE database."""
        start = self.advance().start
        tokens = (self.tokens[self.index - 1], self.token)
        name = self.name()
        return n.Utility("use", tokens, names=(name.value,), position=start)

    def transaction(self) -> n.Statement:
        """Parse BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT, RELEASE SAVEPOINT."""
        start = self.index
        verb = self.advance()
        names: tuple[str, ...] = ()
        if verb.value == "BEGIN":
            self.accept_word("WORK")
        elif verb.value == "START":
            self.expect_word("TRANSACTION")
            while self.accept_word("READ", "ONLY", "WRITE", "WITH", "CONSISTENT", "SNAPSHOT") or (
                self.accept(",")
            ):
                pass
        elif verb.value in ("SAVEPOINT", "RELEASE"):
            if verb.value == "RELEASE":
                self.expect_word("SAVEPOINT")
            names = (self.name().value,)
        else:
            self.accept_word("WORK")
            if verb.value == "ROLLBACK" and self.accept_word("TO"):
                if self.at_word("SAVEPOINT") and self.peek().kind is not TokenKind.END:
                    self.advance()
                names = (self.name().value,)
            while self.accept_word("AND", "NO", "CHAIN", "RELEASE"):
                pass
        tokens = tuple(self.tokens[start : self.index])
        action = "rollback_to" if verb.value == "ROLLBACK" and names else verb.value.lower()
        return n.Utility(action, tokens, names=names, position=verb.start)
