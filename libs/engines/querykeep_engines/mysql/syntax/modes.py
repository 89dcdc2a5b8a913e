"""LexicalModes: what of a session changes how its text is cut into tokens and trees."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from querykeep_engines.mysql.versions import without_prefix
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")

_COMBINED_MODES = {
    "ANSI": ("REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "DB2": ("PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "MAXDB": ("PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "MSSQL": ("PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "ORACLE": ("ORACLE", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "POSTGRESQL": ("PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE"),
    "MYSQL323": ("HIGH_NOT_PRECEDENCE",),
    "MYSQL40": ("HIGH_NOT_PRECEDENCE",),
}


def parse_version(text: str) -> tuple[int, int, int]:
    """Return (major, minor, patch) of a server's version text.

    MariaDB's replication prefix ``5.5.5-`` is passed over.

    Raises:
        StatementSyntaxError: No version stands in the text; nothing can be judged without it.
    """
    text = without_prefix(text)
    found = _VERSION.search(text)
    if found is None:
        raise StatementSyntaxError(f"the server's version {text!r} is not understood")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def expand_sql_mode(value: str) -> frozenset[str]:
    """Return the single modes of an ``sql_mode`` value, combination modes resolved."""
    modes: set[str] = set()
    for word in value.upper().split(","):
        name = word.strip()
        if name:
            modes.add(name)
            modes.update(_COMBINED_MODES.get(name, ()))
    return frozenset(modes)


UTF8_NAMES = frozenset({"utf8", "utf8mb3", "utf8mb4"})
SINGLE_BYTE_NAMES = frozenset({"latin1", "ascii"})
"""Character sets that a client may speak; in any other a byte may swallow the next one."""


def is_utf8(charset: str) -> bool:
    """Return whether a character set of this name is read as UTF-8."""
    return charset.lower() in UTF8_NAMES


@dataclass(frozen=True, slots=True)
class LexicalModes:
    """Flavour, version and the ``sql_mode`` flags that the lexer and the parser look at.

    ``single_byte``: the client's character set is one of single bytes. There the server takes some
    bytes above 127 for spaces (0xA0 in latin1), so that none of them may stand outside of quotes
    and comments.
    """

    is_mariadb: bool
    version: tuple[int, int, int]
    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    pipes_as_concat: bool = False
    high_not_precedence: bool = False
    ignore_space: bool = False
    oracle: bool = False
    single_byte: bool = False

    @property
    def version_id(self) -> int:
        """The version as executable comments write it: 8.0.36 is 80036, 10.11.6 is 101106."""
        return self.version[0] * 10000 + self.version[1] * 100 + self.version[2]

    def with_sql_mode(self, value: str) -> LexicalModes:
        """Return these modes under another ``sql_mode``."""
        modes = expand_sql_mode(value)
        return replace(
            self,
            ansi_quotes="ANSI_QUOTES" in modes,
            no_backslash_escapes="NO_BACKSLASH_ESCAPES" in modes,
            pipes_as_concat="PIPES_AS_CONCAT" in modes,
            high_not_precedence="HIGH_NOT_PRECEDENCE" in modes,
            ignore_space="IGNORE_SPACE" in modes,
            oracle=self.is_mariadb and "ORACLE" in modes,
        )

    def for_stored_view(self) -> LexicalModes:
        """Return the modes under which the server re-reads a view's stored text."""
        return LexicalModes(
            self.is_mariadb, self.version, high_not_precedence=self.high_not_precedence
        )

    @classmethod
    def of(cls, context: SessionContext) -> LexicalModes:
        """Return the modes of a session.

        Raises:
            StatementSyntaxError: Version or ``sql_mode`` is not known, or ``sql_mode`` selects
                another grammar (Oracle), which this parser does not know.
        """
        settings = dict(context.settings)
        if "sql_mode" not in settings:
            raise StatementSyntaxError(
                "the session's sql_mode is not known, without which no text can be read"
            )
        modes = cls(context.flavour == "mariadb", parse_version(context.server_version))
        modes = modes.with_sql_mode(settings["sql_mode"])
        if not is_utf8(settings.get("character_set_client", "utf8mb4")):
            modes = replace(modes, single_byte=True)
        if modes.oracle:
            raise StatementSyntaxError(
                "sql_mode ORACLE selects a grammar that is not understood; change sql_mode"
            )
        return modes
