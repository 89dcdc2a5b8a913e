"""Names: which relation, routine or type a name means on one connection at this moment.

``CatalogNames`` arranges one catalog for look-up and is shared; ``Names`` adds the search path and
temporary tables of a session. Source: PostgreSQL documentation, "The Schema Search Path".
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING

from querykeep_guard.contracts.catalog import Catalog, Relation
from querykeep_guard.sql.facts import ColumnName, SessionContext

if TYPE_CHECKING:
    from querykeep_engines.postgresql.analysis.model import Field

PG_CATALOG = "pg_catalog"
INFORMATION_SCHEMA = "information_schema"
SYSTEM_SCHEMAS = frozenset({PG_CATALOG, INFORMATION_SCHEMA})
TEMP = "pg_temp"
_KEPT_CATALOGS = 16
STATISTICS = frozenset(
    f"pg_{views}_{whose}_{what}"
    for views in ("stat", "statio")
    for whose in ("all", "user", "sys")
    for what in ("tables", "indexes", "sequences")
) - {"pg_stat_all_sequences", "pg_stat_user_sequences", "pg_stat_sys_sequences"}
"""Views that count what was done to tables: readable, with every count and time hidden."""
# Relations of information_schema that show options of user mappings, which are secrets.
_REFUSED_INFORMATION = frozenset({"user_mapping_options", "_pg_user_mappings"})
_SYSTEM_COLUMNS = {
    "tableoid": -6,
    "cmax": -5,
    "xmax": -4,
    "cmin": -3,
    "xmin": -2,
    "ctid": -1,
}


@dataclass(frozen=True, slots=True)
class Builtin:
    """A builtin function of the manifest. ``columns``: what it returns in FROM, where it names
    them."""

    kind: str
    since: int
    columns: tuple[str, ...]


@cache
def builtins() -> dict[str, Builtin]:
    """Return the manifest of functions by name."""
    found = {}
    for line in _lines("functions.txt"):
        name, kind, since, columns = line.split("|")
        found[name] = Builtin(kind, int(since or 0), tuple(columns.split(",")) if columns else ())
    return found


@cache
def readable_system_relations() -> frozenset[str]:
    """Return the relations of pg_catalog that show no stored data."""
    return frozenset(" ".join(_lines("system_relations.txt")).split())


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def is_readable_system(relation: Relation) -> bool:
    """True when a system relation shows no stored data, statistics or secrets."""
    if relation.schema == INFORMATION_SCHEMA:
        return relation.name not in _REFUSED_INFORMATION
    return relation.name in STATISTICS or relation.name in readable_system_relations()


def system_column(name: str) -> int | None:
    """Return the attribute number of a system column such as ``ctid``."""
    return _SYSTEM_COLUMNS.get(name)


class CatalogNames:
    """One catalog, arranged by name. ``views``, ``fields`` and ``attached`` are filled by
    the analyzer as it expands relations, once per catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.relations = {(r.schema, r.name): r for r in catalog.relations}
        self.schemas = frozenset(catalog.schemas) | SYSTEM_SCHEMAS
        self.settings = dict(catalog.settings)
        self.routines: dict[tuple[str, str], set[str]] = {}
        for routine in catalog.routines:
            self.routines.setdefault((routine.schema, routine.name), set()).add(routine.kind)
        self.routine_names = frozenset(name for _, name in self.routines)
        self.children: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.referencing: dict[tuple[str, str], list[tuple[Relation, object]]] = {}
        for relation in catalog.relations:
            for parent in relation.parents:
                self.children.setdefault(parent, []).append((relation.schema, relation.name))
            for constraint in relation.constraints:
                if constraint.kind == "foreign_key":
                    target = (constraint.ref_schema, constraint.ref_table)
                    self.referencing.setdefault(target, []).append((relation, constraint))
        self.fields: dict[tuple[str, str], tuple[Field, ...]] = {}
        self.views: dict[tuple[str, str], object] = {}
        self.attached: dict[tuple[str, str, str], object] = {}

    def lineage_names(self, relation: Relation, column: str) -> frozenset[ColumnName]:
        """Return the column and its counterparts in tables that it inherits from or that inherit
        from it: a row read here may be stored there."""
        found = {ColumnName(relation.schema, relation.name, column)}
        for name in self._family((relation.schema, relation.name)):
            other = self.relations.get(name)
            if other is not None and any(c.name == column for c in other.columns):
                found.add(ColumnName(other.schema, other.name, column))
        return frozenset(found)

    def _family(self, start: tuple[str, str]) -> set[tuple[str, str]]:
        """Return all ancestors and descendants."""
        found: set[tuple[str, str]] = set()
        todo = [start]
        while todo:
            relation = self.relations.get(todo.pop())
            for parent in relation.parents if relation is not None else ():
                if parent not in found:
                    found.add(parent)
                    todo.append(parent)
        todo = [start]
        while todo:
            for child in self.children.get(todo.pop(), ()):
                if child not in found:
                    found.add(child)
                    todo.append(child)
        found.discard(start)
        return found


class CatalogCache:
    """Keeps the arranged form of the catalogs used last. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[int, CatalogNames] = OrderedDict()

    def names_of(self, catalog: Catalog) -> CatalogNames:
        """Return the arranged catalog, the same object while it is kept."""
        with self._lock:
            found = self._kept.get(id(catalog))
            if found is None or found.catalog is not catalog:
                found = CatalogNames(catalog)
                self._kept[id(catalog)] = found
                while len(self._kept) > _KEPT_CATALOGS:
                    self._kept.popitem(last=False)
            return found


@dataclass(frozen=True, slots=True)
class Names:
    """Resolution in one session. ``path`` is effective: implicit schemas put in, absent ones out;
    ``declared`` is what SHOW search_path would say."""

    shared: CatalogNames
    declared: tuple[str, ...]
    path: tuple[str, ...]
    temporary: frozenset[str]
    any_path: bool = False

    @classmethod
    def of(cls, shared: CatalogNames, context: SessionContext) -> Names:
        """Build from what the session says of itself."""
        temporary = frozenset(name.rpartition(".")[2] for name in context.temporary)
        return cls(shared, (), (), temporary).with_path(context.search_path)

    def with_path(self, declared: tuple[str, ...]) -> Names:
        """Return the same names under another search path."""
        path = []
        for entry in declared:
            schema = self.shared.settings.get("session_user", "") if entry == "$user" else entry
            if schema in (PG_CATALOG, TEMP) or schema in self.shared.schemas:
                path.append(schema)
        if PG_CATALOG not in path:
            path.insert(0, PG_CATALOG)
        if TEMP not in path:
            path.insert(0, TEMP)
        return replace(self, declared=declared, path=tuple(path))

    def without_temporary(self) -> Names:
        """Return the same names as if the session had no temporary tables."""
        return replace(self, temporary=frozenset())

    def under_any_path(self, made_under: tuple[str, ...] | None) -> Names:
        """Return names for a text that was prepared earlier. It means what it meant then, or, where
        PostgreSQL plans it anew, what it means under today's path; a table that was put before
        another since then may or may not be meant. So only a name that is in one schema of both
        paths has a meaning; where the earlier path is not known (None), in one schema of all."""
        if made_under is None:
            found = self.shared.schemas
        else:
            found = frozenset({*self.path, *self.with_path(made_under).path})
        schemas = sorted(found - SYSTEM_SCHEMAS - {TEMP})
        path = (TEMP, PG_CATALOG, *schemas)
        return replace(self, declared=tuple(schemas), path=path, any_path=True)

    def relation(self, schema: str, name: str) -> Relation | None:
        """Return the relation, or None when it is temporary (then ``is_temporary``) or unknown."""
        if schema:
            return self.shared.relations.get((schema, name))
        if self.any_path:
            found = [(s, name) for s in self.path if (s, name) in self.shared.relations]
            is_one = len(found) == 1 and name not in self.temporary
            return self.shared.relations[found[0]] if is_one else None
        for entry in self.path:
            if entry == TEMP:
                if name in self.temporary:
                    return None
                continue
            relation = self.shared.relations.get((entry, name))
            if relation is not None:
                return relation
        return None

    def is_temporary(self, schema: str, name: str) -> bool:
        """True when the name means a temporary relation of this session."""
        if schema:
            return schema.startswith(TEMP) and name in self.temporary
        if name not in self.temporary:
            return False
        if self.any_path:
            return not any((entry, name) in self.shared.relations for entry in self.path)
        for entry in self.path:
            if entry == TEMP:
                return True
            if (entry, name) in self.shared.relations:
                return False
        return True

    def permanent(self, name: str) -> Relation | None:
        """Return what an unqualified name would mean without the session's temporary tables."""
        return self.without_temporary().relation("", name)

    def creation_schema(self) -> str:
        """Return the schema that an unqualified CREATE makes things in."""
        for entry in self.declared:
            schema = self.shared.settings.get("session_user", "") if entry == "$user" else entry
            if schema in self.shared.schemas or schema == TEMP:
                return schema
        return ""

    def user_routine(self, schema: str, name: str) -> bool:
        """True when a user's routine of that name may be reached by a call: qualified into its
        schema, or unqualified with the schema on the path."""
        return self._user_object(schema, name, ("function", "procedure", "aggregate", "window"))

    def user_operator(self, schema: str, name: str) -> bool:
        """True when a user's operator may be reached."""
        return self._user_object(schema, name, ("operator",))

    def _user_object(self, schema: str, name: str, kinds: tuple[str, ...]) -> bool:
        if name not in self.shared.routine_names:
            return False
        schemas = (schema,) if schema else self.path
        return any(
            not self.shared.routines.get((entry, name), set()).isdisjoint(kinds)
            for entry in schemas
        )

    def user_type(self, schema: str, name: str) -> str:
        """Return ``enum``, ``domain`` …, ``relation`` for a table's row type, or empty."""
        for entry in (schema,) if schema else self.path:
            for kind in self.shared.routines.get((entry, name), ()):
                if kind.endswith("_type"):
                    return kind.removesuffix("_type")
            if (entry, name) in self.shared.relations:
                return "relation"
        return ""

    def has_user_cast(self, name: str) -> bool:
        """True when some user-made cast function targets a type of that name."""
        return name in self.shared.routine_names and any(
            "cast" in kinds for (_, n), kinds in self.shared.routines.items() if n == name
        )
