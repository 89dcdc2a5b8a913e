"""The whole parser: one statement's tokens -> its tree. What has no branch here is refused by
name."""

from __future__ import annotations

from collections.abc import Callable

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.definitions import DefinitionParser
from querykeep_engines.mysql.syntax.modes import LexicalModes

_ADMIN = word_set("""
    FLUSH RESET PURGE CHANGE STOP INSTALL UNINSTALL BINLOG SHUTDOWN RESTART CACHE CLONE IMPORT
    BACKUP
    """)
_REFUSED = word_set("""
    HANDLER XA SIGNAL RESIGNAL GET HELP LOOP WHILE REPEAT IF CASE DECLARE FETCH OPEN CLOSE RETURN
    ITERATE LEAVE
    """)


class StatementParser(DefinitionParser):
    """Parses one statement."""

    def parse(self) -> n.Statement:
        """Return the tree of the statement, every token taken.

        Raises:
            StatementSyntaxError: The tokens do not make a statement that is known.
        """
        found = self.statement()
        if not self.at_end():
            self.fail()
        return found

    def statement(self) -> n.Statement:
        """Parse a statement of any kind."""
        token = self.token
        if self.at("("):
            return self.query_expression()
        if token.kind is not TokenKind.WORD:
            self.fail()
        branches: dict[str, Callable[[], n.Statement]] = {
            "SELECT": self.query_expression,
            "VALUES": self.query_expression,
            "TABLE": self.query_expression,
            "WITH": self._with,
            "INSERT": self.insert,
            "REPLACE": self.insert,
            "UPDATE": lambda: self.update(None),
            "DELETE": lambda: self.delete(None),
            "SET": self.set_statement,
            "SHOW": self.show,
            "EXPLAIN": self.explain,
            "DESCRIBE": self.explain,
            "DESC": self.explain,
            "ANALYZE": self._analyze,
            "USE": self.use,
            "PREPARE": self.prepare,
            "EXECUTE": self.execute,
            "DEALLOCATE": self.deallocate,
            "COMMIT": self.transaction,
            "ROLLBACK": self.transaction,
            "SAVEPOINT": self.transaction,
            "RELEASE": self.transaction,
            "BEGIN": self.transaction,
            "START": self._start,
            "CALL": self._call,
            "DO": self._do,
            "KILL": self._kill,
            "LOCK": self.lock_tables,
            "UNLOCK": lambda: self._words("unlock_tables"),
            "CREATE": self.definition,
            "ALTER": self.definition,
            "DROP": self._drop,
            "RENAME": self.rename,
            "TRUNCATE": self.truncate,
            "GRANT": lambda: self._words("grant"),
            "REVOKE": lambda: self._words("grant"),
            "CHECK": self.table_maintenance,
            "CHECKSUM": self.table_maintenance,
            "OPTIMIZE": self.table_maintenance,
            "REPAIR": self.table_maintenance,
            "LOAD": self.load,
        }
        branch = branches.get(token.value)
        if branch is not None:
            return branch()
        if token.value in _ADMIN:
            return self._words("admin")
        if token.value in _REFUSED:
            return self._words("unsupported")
        raise self.failure("a kind of statement that is not known")

    def _words(self, action: str) -> n.Utility:
        start = self.token.start
        return n.Utility(action, self.rest(), position=start)

    def _with(self) -> n.Statement:
        with_ = self.with_clause()
        if self.at_word("UPDATE"):
            return self.update(with_)
        if self.at_word("DELETE"):
            return self.delete(with_)
        return self.query_after(self._arm(), with_)

    def _analyze(self) -> n.Statement:
        if self.peek().value in ("TABLE", "TABLES", "NO_WRITE_TO_BINLOG", "LOCAL"):
            return self.table_maintenance()
        if not self.modes.is_mariadb:
            self.fail()
        return self.explain()

    def _start(self) -> n.Statement:
        if self.peek().value == "TRANSACTION":
            return self.transaction()
        return self._words("admin")

    def _drop(self) -> n.Statement:
        if self.peek().value == "PREPARE":
            return self.deallocate()
        return self.definition()

    def _call(self) -> n.Statement:
        start = self.advance().start
        name = self.qualified_name(2)
        args: tuple[n.Expression, ...] = ()
        has_parens = self.accept("(") is not None
        if has_parens and not self.accept(")"):
            args = self.expressions()
            self.expect(")")
        return n.Do(name, has_parens, args, start)

    def _do(self) -> n.Statement:
        start = self.advance().start
        return n.Do((), False, self.expressions(), start)

    def _kill(self) -> n.Statement:
        start = self.index
        verb = self.advance()
        self.accept_word("HARD", "SOFT")
        self.accept_word("CONNECTION", "QUERY")
        if self.modes.is_mariadb and self.at_word("ID", "USER"):
            self.rest()
            value = None
        else:
            value = self.expression()
        tokens = tuple(self.tokens[start : self.index])
        return n.Utility("kill", tokens, value=value, position=verb.start)


def parse_statement(tokens: list[Token], modes: LexicalModes, source: str) -> n.Statement:
    """Return the tree of one statement's tokens.

    Raises:
        StatementSyntaxError: See ``StatementParser.parse``; also for trees that are nested too
        deep.
    """
    return StatementParser(tokens, modes, source).parse()
