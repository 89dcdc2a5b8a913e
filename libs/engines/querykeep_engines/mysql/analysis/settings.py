"""SET: which settings a statement changes, and which of them would change how text is read."""

from __future__ import annotations

from querykeep_engines.kit.lexing import TokenKind
from querykeep_engines.mysql.analysis import variables as v
from querykeep_engines.mysql.analysis.lineage import OTHER, Scope, combine
from querykeep_engines.mysql.analysis.writes import WriteAnalysis
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.modes import SINGLE_BYTE_NAMES, UTF8_NAMES
from querykeep_guard.sql.facts import Effect, SettingChange

_SPOKEN = UTF8_NAMES | SINGLE_BYTE_NAMES
_CLIENT_CHARSETS = frozenset({"character_set_client", "character_set_connection"})
_RESULT_CHARSETS = _SPOKEN | {"null", "binary"}
_GLOBAL_ONLY_WORDS = ("global", "persist", "persist_only")


def _why_not(name: str, value: str | None) -> str | None:
    """Return why a variable may not be set to a value where anything is masked, None if it may."""
    if name in v.HARMLESS:
        return None
    if name in v.TRACES:
        off = (value or "").lower() in ("0", "off", "enabled=off")
        return None if off else "records what statements read"
    if name == "sort_buffer_size":
        fits = value is not None and value.isdigit() and int(value) >= v.LEAST_SORT_BUFFER
        return None if fits else f"may not go below {v.LEAST_SORT_BUFFER}: sorting would fail"
    if name in v.LIMITS:
        return "lets a statement fail depending on how much is stored"
    if name in v.REPLICATION:
        return "changes what is logged or replicated"
    if name in v.REFUSED:
        return "names files or tables, hides metadata or changes how queries are read"
    return "is not among those known to be harmless"


def plain_text(value: n.Expression | None) -> str | None:
    """Return the text of a string literal without an introducer, else None: under ``_utf16`` or as
    0x… the server would read another text than stands here."""
    if (
        isinstance(value, n.Literal)
        and value.kind == "string"
        and all(token.kind is TokenKind.STRING for token in value.tokens)
    ):
        return value.value
    return None


class SettingAnalysis(WriteAnalysis):
    """Finds what SET does."""

    def set_statement(self, statement: n.SetStatement) -> None:
        """Note each assignment of a SET."""
        self.record.effects.add(Effect.SESSION)
        scope = Scope(None)
        is_local = statement.statement is not None
        for item in statement.items:
            if item.form == "user":
                if item.value is not None:
                    lineage = self.value(item.value, scope)
                    self._copied(lineage, f"user variable @{item.name}", item.value.position)
            elif item.form in ("names", "charset"):
                self._charset(item)
            elif item.form == "transaction":
                self._transaction(item)
            else:
                self._system_variable(item, scope, is_local)

    def _transaction(self, item: n.VariableAssignment) -> None:
        if item.scope in _GLOBAL_ONLY_WORDS:
            self._global("transaction", -1)
        value = item.value.value if isinstance(item.value, n.Literal) else None
        self.record.settings.append(SettingChange("transaction", value, item.scope == ""))

    def _global(self, name: str, position: int) -> None:
        self.record.problem(
            "unsafe",
            f'"{name}" is a setting of the whole server',
            object_=name,
            position=position,
            matters_unmasked=False,
        )

    def _system_variable(self, item: n.VariableAssignment, scope: Scope, is_local: bool) -> None:
        value = self._literal(item.value)
        if item.name == "sql_mode" and not isinstance(item.value, n.ColumnRef):
            value = plain_text(item.value)  # a number is a set of modes by their bits
            value = None if value is not None and value.strip().isdigit() else value
        position = item.value.position if item.value is not None else -1
        bare = isinstance(item.value, n.ColumnRef) and len(item.value.parts) == 1
        if item.value is not None and not bare:
            lineage = combine((self.value(item.value, scope),), OTHER)
            self._copied(lineage, f"setting {item.name}", position)
        if item.scope in _GLOBAL_ONLY_WORDS:
            self._global(item.name, position)
            self.record.settings.append(SettingChange(f"global.{item.name}", value))
            return
        if item.name in _CLIENT_CHARSETS:
            self._must_be(item.name, value, _SPOKEN, position)
            if is_local:
                self._not_for_one_statement(item.name, position)
        elif item.name == "character_set_results":
            self._must_be(item.name, value, _RESULT_CHARSETS, position)
        elif item.name == "collation_connection":
            family = None if value is None else value.split("_")[0]
            self._must_be(item.name, family, _SPOKEN, position)
        elif (why := _why_not(item.name, value)) is not None:
            self.record.problem(
                "unsafe",
                f'setting "{item.name}" {why}',
                object_=item.name,
                position=position,
                matters_unmasked=False,
            )
        elif item.name == "sql_mode" and is_local:
            self._not_for_one_statement(item.name, position)
        elif item.name == "sql_mode" and value is not None and "ORACLE" in value.upper():
            self.record.problem(
                "unsupported", "sql_mode ORACLE selects a grammar that is not understood"
            )
        self.record.settings.append(SettingChange(item.name, value, is_local))

    def _not_for_one_statement(self, name: str, position: int) -> None:
        self.record.problem(
            "unsupported", f"{name} may not be set for one statement", position=position
        )

    @staticmethod
    def _literal(value: n.Expression | None) -> str | None:
        """Return the value as text where it is certain, else None."""
        if isinstance(value, n.Literal):
            return None if value.tokens[0].value[:1] == "_" else value.value
        if isinstance(value, n.ColumnRef) and len(value.parts) == 1:
            return value.parts[0].value
        if (
            isinstance(value, n.Unary)
            and value.operator in ("-", "+")
            and isinstance(value.operand, n.Literal)
        ):
            return value.operator + value.operand.value
        return None

    def _must_be(
        self, name: str, value: str | None, allowed: frozenset[str], position: int
    ) -> None:
        if value is not None and value.lower() in allowed:
            return
        shown = "a value that is not known" if value is None else f'"{value}"'
        self.record.problem(
            "unsafe",
            f'"{name}" may not be set to {shown}: statements and results are read as UTF-8 or '
            "latin1; use utf8mb4",
            object_=name,
            position=position,
        )

    def _charset(self, item: n.VariableAssignment) -> None:
        value = self._literal(item.value)
        position = item.value.position if item.value is not None else -1
        what = "NAMES" if item.form == "names" else "CHARACTER SET"
        self._must_be(what, value, _SPOKEN, position)
        for name in ("character_set_client", "character_set_results", "character_set_connection"):
            self.record.settings.append(SettingChange(name, value))
        if item.collation is not None:
            collation = item.collation.value
            self._must_be("COLLATE", collation.split("_")[0], _SPOKEN, position)
            self.record.settings.append(SettingChange("collation_connection", collation))
