"""Every kind of statement -> its findings: kind, outputs, whether it has a WHERE."""

from __future__ import annotations

import re
from dataclasses import dataclass

from querykeep_engines.mysql.analysis.lineage import (
    OTHER,
    Binding,
    NamedColumn,
    Scope,
    combine,
)
from querykeep_engines.mysql.analysis.settings import SettingAnalysis, plain_text
from querykeep_engines.mysql.analysis.showing import shown_columns
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import ColumnRole, Effect, RelationName, SettingChange

_K = StatementKind

_TRANSACTIONS = frozenset(
    {"begin", "start", "commit", "rollback", "rollback_to", "savepoint", "release"}
)
_SHOW_REFUSED = {
    "warnings": "shows texts that may hold stored values",
    "errors": "shows texts that may hold stored values",
    "count": "counts warnings, which may depend on stored values",
    "processlist": "shows statements of others",
    "engine": "shows statements and sizes of others",
    "profiles": "shows statements",
    "profile": "shows statements",
    "binlog": "shows changes of others",
    "relaylog": "shows changes of others",
    "explain": "shows a plan of others",
    "analyze": "shows a plan of others",
    "open": "tells what others use",
    "create_user": "shows how an account proves itself",
    "user_statistics": "shows statistics",
    "index_statistics": "shows statistics",
    "table_statistics": "shows statistics",
    "client_statistics": "shows statistics",
    "parse_tree": "shows a statement",
}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_$]+")
_SAFE_STATUS = ("compression", "ssl_", "uptime", "threads_", "wsrep_", "rpl_", "max_used_")
_DANGEROUS_FLAGS = frozenset({"union", "connection", "directory"})
_SAFE_ENGINES = frozenset({"innodb", "myisam", "aria", "memory", "heap", "archive", "default"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a statement is, beside what the record holds. ``columns`` None: no rows, or unknown."""

    kind: StatementKind
    columns: tuple[NamedColumn, ...] | None = None
    has_where: bool | None = None
    names: tuple[tuple[str, str], ...] = ()
    prepared_text: str | None = None
    executes: bool = False


def _is_safe_status(tree: n.Show) -> bool:
    """Return whether SHOW STATUS can only tell of what has nothing to do with rows."""
    text = plain_text(tree.where) if tree.where_word == "LIKE" else None
    return text is not None and text.lower().startswith(_SAFE_STATUS)


class StatementAnalysis(SettingAnalysis):
    """Analyzes one statement of any kind."""

    def statement(self, tree: n.Statement) -> Finding:
        """Return what the statement is; the rest is in the record."""
        match tree:
            case n.QueryExpression():
                return self._query(tree)
            case n.Insert():
                columns = self.insert(tree)
                return Finding(_K.INSERT, columns)
            case n.Update():
                self.update(tree)
                return Finding(_K.UPDATE, None, tree.where is not None)
            case n.Delete():
                columns = self.delete(tree)
                return Finding(_K.DELETE, columns, tree.where is not None)
            case n.SetStatement():
                return self._set(tree)
            case n.Explain():
                return self._explain(tree)
            case n.CreateTableAs():
                return self._create_as(tree)
            case n.CreateView():
                return self._create_view(tree)
            case n.Show():
                return self._show(tree)
            case n.Prepare():
                return self._prepare(tree)
            case n.Execute():
                return self._execute(tree)
            case n.Do():
                return self._do(tree)
            case n.Utility():
                return self._utility(tree)

    def _query(self, tree: n.QueryExpression) -> Finding:
        columns = self.query_columns(tree, None)
        self.record.effects.add(Effect.READ)
        arms = [tree.first, *(arm for _, arm in tree.rest)]
        into = tree.into or next(
            (arm.into for arm in arms if isinstance(arm, n.Select) and arm.into), None
        )
        if into is None:
            return Finding(_K.SELECT, columns)
        return Finding(_K.COPY_OUT if into.file_word else _K.SELECT)

    def _set(self, tree: n.SetStatement) -> Finding:
        self.set_statement(tree)
        if tree.statement is not None:
            found = self.statement(tree.statement)
            self.record.kinds.setdefault("set")
            return found
        return Finding(_K.SET)

    def _explain(self, tree: n.Explain) -> Finding:
        if tree.statement is None:
            self.record.problem(
                "unsafe", "EXPLAIN FOR CONNECTION shows a plan of others", matters_unmasked=False
            )
            return Finding(_K.EXPLAIN)
        found = self.statement(tree.statement)
        if found.kind not in (_K.SELECT, _K.INSERT, _K.UPDATE, _K.DELETE):
            self.record.problem("unsupported", "EXPLAIN of this kind of statement is not supported")
        if tree.executes:
            self.record.kinds.setdefault(found.kind.value)
        else:
            self.record.effects.discard(Effect.WRITE)
            self.record.effects.discard(Effect.LOCK)
            self.record.kinds.clear()
            for name in self.record.writes:
                self.record.reads.setdefault(name)
            self.record.writes.clear()
        return Finding(_K.EXPLAIN, has_where=found.has_where if tree.executes else None)

    # --- definitions --------------------------------------------------------------------------

    def _create_as(self, tree: n.CreateTableAs) -> Finding:
        record = self.record
        record.effects.update((Effect.DDL, Effect.COPIES_DATA, Effect.WRITE))
        self._created(tree.table)
        for column in self.query_columns(tree.query, None):
            self._copied_value(column.lineage, "CREATE TABLE AS", tree.query.position)
        self._flagged(n.Utility("create_table", tree.head), tree.head)
        if tree.tail:
            record.problem("unsupported", "what follows the query of CREATE TABLE AS")
        return Finding(_K.CREATE)

    def _created(self, table: n.TableName) -> None:
        schema, name = self._split(table)
        known = self.record.index.relation(schema, name)
        written = RelationName(known.schema, known.name) if known else RelationName(schema, name)
        self.record.writes.setdefault(written)

    def _create_view(self, tree: n.CreateView) -> Finding:
        self.record.effects.add(Effect.DDL)
        self._created(tree.table)
        for column in self.query_columns(tree.query, None):
            self.record.use(column.lineage, ColumnRole.WRITTEN_FROM, "CREATE VIEW")
        return Finding(_K.ALTER if tree.verb == "ALTER" else _K.CREATE)

    def _flagged(self, tree: n.Utility, tokens: tuple[object, ...]) -> None:
        _ = tokens
        for flag in tree.names:
            engine = flag.removeprefix("engine=")
            if flag in _DANGEROUS_FLAGS or (engine != flag and engine not in _SAFE_ENGINES):
                self.record.problem(
                    "unsafe",
                    f"the table option {flag} reaches beyond the table",
                    matters_unmasked=False,
                )

    def _utility(self, tree: n.Utility) -> Finding:
        action = tree.action
        effects = self.record.effects
        if action in _TRANSACTIONS:
            effects.add(Effect.TRANSACTION)
            names = tuple((action, name) for name in tree.names)
            return Finding(_K.TRANSACTION, names=names)
        if action == "use":
            effects.add(Effect.SESSION)
            self.record.settings.append(SettingChange("database", tree.names[0]))
            return Finding(_K.USE)
        if action == "deallocate":
            return Finding(_K.DEALLOCATE, names=(("deallocate", tree.names[0].lower()),))
        if action in ("lock_tables", "unlock_tables", "lock_instance"):
            return self._lock(tree)
        if action == "kill":
            self._refused("KILL ends statements of others", waived=True)
            if tree.value is not None:
                self.predicate(tree.value, Scope(None), "KILL")
            return Finding(_K.KILL)
        if action == "load":
            return self._load(tree)
        if action in ("set_password", "set_role", "set_resource_group"):
            effects.add(Effect.SESSION)
            self._refused(f"{action.replace('_', ' ').upper()} changes rights or accounts", True)
            return Finding(_K.GRANT if action == "set_password" else _K.SET)
        if action == "grant" or action.endswith(("_user", "_role")):
            effects.add(Effect.DDL)
            self._refused("it changes accounts or rights", waived=True)
            return Finding(_K.GRANT)
        if action == "unsupported":
            word = tree.tokens[0].value if tree.tokens else ""
            self._refused(f"{word} is not supported", waived=False)
            return Finding(_K.UNKNOWN)
        if action == "admin":
            word = tree.tokens[0].value if tree.tokens else ""
            self._refused(f"{word} changes the whole server", waived=True)
            return Finding(_K.MAINTENANCE)
        return self._definition(tree)

    def _refused(self, why: str, waived: bool) -> None:
        code = "unsafe" if waived else "unsupported"
        self.record.problem(code, why, matters_unmasked=not waived)

    def _lock(self, tree: n.Utility) -> Finding:
        self.record.effects.add(Effect.LOCK)
        for role, table in tree.tables:
            schema, name = self._split(table)
            known = self.record.index.relation(schema, name)
            found = RelationName(known.schema, known.name) if known else RelationName(schema, name)
            target = self.record.reads if role == "lock_read" else self.record.writes
            target.setdefault(found)
            if known is None:
                self.record.problem(
                    "unknown_relation", f'table "{found}" is not in the catalog', object_=str(found)
                )
        if tree.action == "lock_instance":
            self._refused("LOCK INSTANCE stops others", waived=True)
        return Finding(_K.LOCK if tree.action != "unlock_tables" else _K.TRANSACTION)

    def _load(self, tree: n.Utility) -> Finding:
        self.record.effects.update((Effect.FILE, Effect.WRITE))
        for _, table in tree.tables:
            schema, name = self._split(table)
            relation, _written = self.target(schema, name, table.position)
            if relation is not None:
                self.judge(relation, ("insert",), None)
        is_local = "local" in tree.names
        self._refused(
            "LOAD DATA LOCAL reads a file of the client, which is not supported"
            if is_local
            else "LOAD DATA reads a file of the server",
            waived=not is_local,
        )
        return Finding(_K.LOAD)

    def _definition(self, tree: n.Utility) -> Finding:
        """Note the tables of a definition or of table maintenance."""
        verb, _, kind_of = tree.action.partition("_")
        record = self.record
        kind = {
            "create": _K.CREATE,
            "alter": _K.ALTER,
            "drop": _K.DROP,
            "rename": _K.RENAME,
            "truncate": _K.TRUNCATE,
        }.get(verb, _K.MAINTENANCE)
        if kind is not _K.MAINTENANCE:
            record.effects.add(Effect.DDL)
        clause = tree.action.replace("_", " ").upper()
        for role, table in tree.tables:
            self._defined(role, table, clause)
        self._flagged(tree, tree.tokens)
        if kind_of in ("procedure", "function", "trigger", "event", "package", "library"):
            record.effects.add(Effect.PROCEDURE)
            self._refused("the body of a stored program is not looked into", waived=True)
        elif kind_of in ("server", "tablespace", "logfile", "undo", "resource", "instance"):
            self._refused(f"{clause} changes the whole server", waived=True)
        if kind_of in ("database", "schema"):
            record.objects.setdefault(".".join(tree.names) or record.database)
        return Finding(kind)

    def _defined(self, role: str, table: n.TableName, clause: str) -> None:
        record = self.record
        schema, name = self._split(table)
        known = record.index.relation(schema, name)
        found = RelationName(known.schema, known.name) if known else RelationName(schema, name)
        if role == "read":
            record.reads.setdefault(found)
        else:
            record.writes.setdefault(found)
        if known is None:
            if role in ("alter", "truncate", "rename_from", "judged", "maintain"):
                record.problem(
                    "unknown_relation",
                    f'table "{found}" is not in the catalog',
                    object_=str(found),
                    position=table.position,
                    matters_unmasked=False,
                )
            return
        if role in ("alter", "rename_from", "judged"):
            self._all_judged(known, clause)
        if role == "maintain" and clause.startswith("CHECKSUM"):
            for column in self.table_columns(known):
                record.use(column.lineage, ColumnRole.AGGREGATE, clause)
        if role in ("truncate", "drop"):
            self._referenced(known, None)

    # --- session ------------------------------------------------------------------------------

    def _show(self, tree: n.Show) -> Finding:
        record = self.record
        record.effects.add(Effect.METADATA)
        if tree.table is not None:
            schema, name = self._split(tree.table)
            known = record.index.relation(schema, name)
            shown = RelationName(known.schema, known.name) if known else RelationName(schema, name)
            record.objects.setdefault(str(shown))
        if tree.topic == "status" and not _is_safe_status(tree):
            record.problem(
                "unsafe",
                "SHOW STATUS tells how much was read and sent, and so what a mask hides; name a "
                "harmless variable with LIKE (Ssl_, Uptime, Threads_, Wsrep_, Rpl_)",
                matters_unmasked=False,
            )
        why = _SHOW_REFUSED.get(tree.topic)
        if why is not None:
            words = " ".join(token.value for token in tree.head).upper()
            record.problem("unsafe", f"{words} {why}", matters_unmasked=False)
        columns = shown_columns(tree.topic, record.modes)
        if tree.where is not None:
            scope = Scope(None)
            scope.bindings.append(Binding("", "", None, columns or (), open=columns is None))
            scope.visible.extend(columns or ())
            self.predicate(tree.where, scope, "WHERE")
        for column in columns or ():
            record.use(column.lineage, ColumnRole.PROJECTED, "SHOW", tree.position)
        return Finding(_K.SHOW, columns)

    def _prepare(self, tree: n.Prepare) -> Finding:
        for value in tree.using:
            self.value(value, Scope(None))
        text = plain_text(tree.source)
        if text is None:
            what = "EXECUTE IMMEDIATE" if tree.name is None else "PREPARE"
            self.record.problem(
                "unsafe",
                f"{what} takes its statement from something other than a literal, so that it "
                "cannot be judged",
                position=tree.position,
            )
            return Finding(_K.PREPARE if tree.name else _K.EXECUTE)
        self.record.effects.add(Effect.SESSION)
        names = () if tree.name is None else (("prepare", self._statement_name(tree.name)),)
        return Finding(
            _K.PREPARE if tree.name else _K.EXECUTE,
            names=names,
            prepared_text=text,
            executes=tree.name is None,
        )

    def _statement_name(self, name: n.Name) -> str:
        """Return a prepared statement's name as it is compared.

        The server compares such names by a collation in which letters with and without accents
        are one, and trailing blanks count for nothing: of others than these nobody here can say
        which statement they mean.
        """
        if not _PLAIN_NAME.fullmatch(name.value):
            self.record.problem(
                "ambiguous",
                "the name of a prepared statement may hold letters of ASCII, digits, _ and $ only",
                position=name.position,
            )
        return name.value.lower()

    def _execute(self, tree: n.Execute) -> Finding:
        for value in tree.using:
            self.value(value, Scope(None))
        name = self._statement_name(tree.name)
        texts = {key.lower(): text for key, text in self.record.context.prepared}
        text = texts.get(name)
        if text is None:
            self.record.problem(
                "unsafe",
                f'prepared statement "{name}" is not known here, so that it cannot be judged',
                object_=name,
                position=tree.position,
            )
        return Finding(_K.EXECUTE, names=(("execute", name),), prepared_text=text, executes=True)

    def _do(self, tree: n.Do) -> Finding:
        lineage = combine([self.value(arg, Scope(None)) for arg in tree.args], OTHER)
        if not tree.procedure:
            return Finding(_K.SELECT)
        self._copied_value(lineage, "CALL", tree.position)
        name = ".".join(part.value for part in tree.procedure)
        self.record.effects.add(Effect.PROCEDURE)
        self.record.functions.setdefault(name)
        self.record.problem(
            "unknown_function",
            f'procedure "{name}" runs statements that cannot be seen',
            object_=name,
            position=tree.position,
            matters_unmasked=False,
        )
        return Finding(_K.CALL)
