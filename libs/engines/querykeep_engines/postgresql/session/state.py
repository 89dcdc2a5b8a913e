"""What names mean on this connection now: search path, temporary tables, names of SQL statements.

The value of ``search_path`` is never computed from SETs: whatever may have changed it marks the
state dirty, and the session reads it back before the next decision (or takes the server's own
ParameterStatus, PostgreSQL 18). What cannot change it costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from querykeep_engines.kit.session import SessionConfig
from querykeep_engines.postgresql.session.books import (
    REMEMBERED_CHARS,
    REMEMBERED_NAMES,
    Statement,
)
from querykeep_guard.contracts.policy import ObjectPattern, SessionPolicy, StatementKind
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import Effect, SessionContext, StatementFacts

_NAME_SETTINGS = frozenset(
    {"search_path", "schema", "role", "session_authorization", "standard_conforming_strings", "all"}
)
_NAMES_ONLY = frozenset(
    {
        StatementKind.PREPARE,
        StatementKind.DECLARE_CURSOR,
        StatementKind.CLOSE_CURSOR,
        StatementKind.DEALLOCATE,
        StatementKind.FETCH,
        StatementKind.NOTIFY,
        StatementKind.TRANSACTION,
    }
)
_NO_NAME_CHANGED = frozenset(
    {
        StatementKind.TRUNCATE,
        StatementKind.COMMENT,
        StatementKind.GRANT,
        StatementKind.MAINTENANCE,
    }
)
_MAKES_NAMES = frozenset({"prepare", "deallocate", "declare", "close"})
_USES_NAMES = re.compile(r"\b(?:execute|fetch|move|close|deallocate|declare|prepare)\b", re.I)
_TEMPORARY = re.compile(r"\b(?:temp|temporary|pg_temp\w*)\b", re.I)
_KEPT_CONTEXTS = 8
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)', re.ASCII)
_CAPITALS = re.compile(r"[A-Z]+")
_NAME_BYTES = 63


def split_search_path(value: str) -> tuple[str, ...]:
    """Return the schemas of a ``search_path`` as ``SHOW`` prints it. ``$user`` stays as it is: the
    analyzer knows the account. What cannot be read ends the list: a name that only a later schema
    has is then not found, and refused.

    As the server does, only ASCII is folded and counts as blank, and a long name is cut.
    Source: ``SplitIdentifierString`` (src/backend/utils/adt/varlena.c).
    """
    found: list[str] = []
    pos = 0
    while pos < len(value):
        match = _ELEMENT.match(value, pos)
        if match is None:
            break
        quoted, plain = match.groups()
        if quoted is not None:
            name = quoted.replace('""', '"')
        else:
            name = _CAPITALS.sub(lambda found: found[0].lower(), plain)
        name = name.encode("utf-8")[:_NAME_BYTES].decode("utf-8", "ignore")
        if name and name not in found:
            found.append(name)
        pos = match.end()
    return tuple(found)


def is_bare(policy: SessionPolicy) -> bool:
    """Return whether nothing is hidden from this person on this connection, so that a name that
    means something else than decided gives nothing away."""
    return (
        all(rule.exempt for rule in policy.access_rules)
        and all(rule.exempt for rule in policy.masking_rules)
        and all(grant.objects == (ObjectPattern(),) for grant in policy.grants)
    )


def alters_names(facts: StatementFacts) -> bool:
    """Return whether a statement may change what names mean for later ones."""
    if facts.problems or Effect.PROCEDURE in facts.effects:
        return True
    if facts.kind in (StatementKind.CALL, StatementKind.UNKNOWN):
        return True
    if any(name.rpartition(".")[2].lower() == "set_config" for name in facts.functions):
        return True
    if facts.settings:
        return any(change.name.lower() in _NAME_SETTINGS for change in facts.settings)
    if facts.kind in _NAMES_ONLY or Effect.TRANSACTION in facts.effects:
        return False
    return Effect.SESSION in facts.effects or facts.kind is StatementKind.SET


def changes_schema(facts: StatementFacts) -> bool:
    """Return whether a statement changes the catalog beyond this session's own temporary tables,
    whose names the context carries."""
    if Effect.DDL not in facts.effects or facts.kind in _NO_NAME_CHANGED:
        return False
    own = facts.kind is StatementKind.CREATE and bool(facts.writes)
    return not (own and all(name.schema.startswith("pg_temp") for name in facts.writes))


def touches_relations(facts: StatementFacts) -> bool:
    """Return whether a statement resolves names of relations."""
    return bool(facts.reads or facts.writes or facts.columns or facts.problems or facts.outputs)


class SessionState:
    """The part of the context that this connection may change."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._search_path: tuple[str, ...] = ()
        self._conforming = "on"
        self._temporary: set[str] = set()
        self._sql_statements: dict[str, str] = {}
        self._cursors: dict[str, str] = {}
        self._contexts: dict[tuple[object, ...], SessionContext] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._server_version = config.connection.server_version
        self._reported = False
        self.dirty = True
        self.touched = False
        self.generation = 0
        self.listens = False

    def parameter(self, name: str, value: str) -> None:
        """The server reported a setting."""
        if name == "search_path":
            self._reported = True
            self.set_search_path(value)
        elif name == "standard_conforming_strings" and value != self._conforming:
            self._conforming = value
            self.generation += 1
        elif name == "server_version":
            self._server_version = value

    def set_search_path(self, value: str) -> None:
        """The server said what the search path is now."""
        self.dirty = False
        path = split_search_path(value)
        if path != self._search_path:
            self._search_path = path
            self.generation += 1

    def ready(self, status: str) -> None:
        """ReadyForQuery came; the server has reported what it reports by itself."""
        if self.touched and not self._reported:
            self._doubt()
        if self._reported:
            self.dirty = False
        if status == "I":
            self.touched = False

    def sent(self, decision: Decision) -> bool:
        """A statement is being sent on; return whether names are uncertain until it is answered."""
        facts = decision.facts
        makes_names = any(action in _MAKES_NAMES for action, _ in facts.names)
        alters = alters_names(facts) or makes_names or Effect.DDL in facts.effects
        if facts.kind is StatementKind.TRANSACTION and self.touched:
            alters = True
        if alters:
            self.generation += 1
        if Effect.DDL in facts.effects and _TEMPORARY.search(facts.text):
            self._temporary.update(name.name for name in facts.writes)
        return alters

    def ended(self, decision: Decision, *, ok: bool) -> None:
        """A statement that was sent on ended."""
        facts = decision.facts
        if alters_names(facts):
            self.touched = True
            self._doubt()
        elif facts.kind is StatementKind.TRANSACTION and self.touched:
            self._doubt()
        if not ok:
            return
        if facts.kind is StatementKind.NOTIFY:
            self.listens = True
        for action, name in facts.names:
            self._name(action, name, facts.text)

    def failed(self) -> None:
        """An error undid what the transaction had set."""
        if self.touched:
            self._doubt()

    def _doubt(self) -> None:
        """What was known of names, and what was decided with it, may hold no more."""
        self.dirty = True
        self.generation += 1

    def _name(self, action: str, name: str, text: str) -> None:
        if action in ("prepare", "declare"):
            self._paths.pop(name, None)
            if not (self.dirty or self.touched):
                self._paths[name] = self._search_path
        match action:
            case "prepare":
                self._sql_statements[name] = text
            case "declare":
                self._cursors[name] = text
            case "deallocate" if name in ("", "*", "all", "ALL"):
                self._sql_statements.clear()
            case "deallocate":
                self._sql_statements.pop(name, None)
            case "close" if name in ("", "*", "all", "ALL"):
                self._cursors.clear()
            case "close":
                self._cursors.pop(name, None)

    def has_room(self, text: str) -> bool:
        """Return whether one more SQL statement or cursor may be remembered."""
        held = (*self._sql_statements.values(), *self._cursors.values())
        chars = sum(map(len, held)) + len(text)
        return len(held) < REMEMBERED_NAMES and chars <= REMEMBERED_CHARS

    def is_sql_statement(self, name: str) -> bool:
        """Return whether SQL PREPARE made a statement of that name."""
        return name in self._sql_statements

    def closed(self, kind: str, name: str) -> None:
        """A protocol-level Close dropped a statement (``S``) or portal (``P``), which SQL PREPARE
        or DECLARE may have made."""
        names = self._sql_statements if kind == "S" else self._cursors
        names.pop(name, None)

    def context(
        self,
        text: str,
        named: Mapping[str, Statement],
        *,
        in_transaction: bool,
        parameter_types: tuple[int, ...] = (),
    ) -> SessionContext:
        """Return the context for judging ``text``.

        Names of prepared statements and cursors go in only where the text can use one, so that a
        client that names each statement does not make every context a new one. A name that means
        both a statement and a cursor is left out: what uses it is refused.
        """
        prepared: tuple[tuple[str, str], ...] = ()
        paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
        if (named or self._sql_statements or self._cursors) and _USES_NAMES.search(text):
            statements = {name: statement.text for name, statement in named.items() if name}
            statements.update(self._sql_statements)
            both = statements.keys() & self._cursors.keys()
            merged = {**statements, **self._cursors}
            prepared = tuple(sorted(item for item in merged.items() if item[0] not in both))
            made_by_sql = merged.keys() - named.keys()
            paths = tuple(sorted(item for item in self._paths.items() if item[0] in made_by_sql))
        temporary = tuple(sorted(self._temporary)) if self._temporary else ()
        key = (
            self._server_version,
            self._search_path,
            self._conforming,
            temporary,
            prepared,
            paths,
            in_transaction,
            parameter_types,
        )
        known = self._contexts.get(key)
        if known is None:
            known = self._contexts[key] = SessionContext(
                engine=self._config.connection.engine,
                flavour=self._config.connection.flavour,
                server_version=self._server_version,
                database=self._config.connection.database,
                search_path=self._search_path,
                settings=(("standard_conforming_strings", self._conforming),),
                temporary=temporary,
                prepared=prepared,
                in_transaction=in_transaction,
                parameter_types=parameter_types,
                prepared_paths=paths,
            )
            while len(self._contexts) > _KEPT_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
        return known
