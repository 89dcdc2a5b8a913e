"""Random queries over a catalog: typed, nested, biased to hidden columns.

A query is made in one of two tempers. A *careful* one lets hidden columns stand only where the
guard allows them (select lists and total functions); a *bold* one lets them stand anywhere. What
must come of either is not said here: the twin databases judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.index import PolicyIndex
from querykeep_guard.sql.facts import ColumnName

_FAMILIES = {
    "text": "text",
    "character varying": "text",
    "integer": "int",
    "bigint": "int",
    "smallint": "int",
    "numeric": "num",
    "boolean": "bool",
    "date": "date",
    "timestamp with time zone": "time",
    "jsonb": "json",
    "text[]": "texts",
}
_LITERALS = {
    "text": ("'k'", "'1'", "'Seoul'", "''", "'a@b.example'", "NULL"),
    "int": ("1", "2", "7", "0", "24"),
    "num": ("10.5", "100", "0"),
    "bool": ("true", "false"),
    "date": ("date '1970-03-05'", "date '2026-01-01'"),
    "time": ("timestamptz '2026-02-03 10:00:00+00'",),
    "json": ("'{\"n\": 1}'::jsonb",),
    "texts": ("ARRAY['t1', 'x']",),
}
_TOTAL: tuple[str, ...] = (
    "lower({})",
    "upper({})",
    "reverse({})",
    "md5({})",
    "btrim({})",
    "initcap({})",
)
_TOTAL += ("left({}, 3)", "right({}, 2)", "{} || '!'", "'<' || {}", "concat({}, '-')", "({})::text")
_TOTAL += ("coalesce({}, '-')", "quote_literal({})", '({}) COLLATE "C"')
_FAILING: tuple[str, ...] = (
    "substr({}, 2, 3)",
    "replace({}, '1', '2')",
    "split_part({}, '@', 1)",
    "nullif({}, '1')",
)
_FAILING += ("lpad({}, 20)", "repeat({}, 2)", "translate({}, 'k1', 'x2')", "greatest({}, '5')")
_NUMBERS: tuple[str, ...] = (
    "length({})",
    "strpos({}, '1')",
    "octet_length({})",
    "ascii({})",
    "({})::integer",
)
_AGGREGATES = {
    "text": ("min({})", "max({})", "string_agg({}, ',')"),
    "int": ("sum({})", "min({})", "max({})", "count({})"),
    "num": ("sum({})", "avg({})", "max({})"),
    "bool": ("bool_or({})", "every({})"),
    "date": ("min({})", "max({})"),
    "time": ("max({})",),
    "json": ("count({})",),
    "texts": ("count({})",),
}
_JOINS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "NATURAL JOIN")


@dataclass(frozen=True, slots=True)
class Column:
    """A column in sight."""

    name: str
    family: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of FROM, or a common table expression."""

    name: str
    columns: tuple[Column, ...]


Scope = Sequence[Source]


class Queries:
    """Makes queries. The same random numbers give the same queries."""

    def __init__(self, random: Random, catalog: Catalog, rules: SessionPolicy) -> None:
        self.random = random
        self.bold = False
        self._numbers = 0
        index = PolicyIndex(rules, catalog)
        self.tables: list[Source] = []
        for relation in catalog.relations:
            if relation.schema not in ("public", "other") or relation.kind == "sequence":
                continue
            columns = []
            for column in relation.columns:
                family = _FAMILIES.get(column.type_name.partition("(")[0].strip())
                name = ColumnName(relation.schema, relation.name, column.name)
                found = index.column_rules(name)
                hidden = bool(found.masking or found.refusing)
                hidden = hidden or (relation.kind != "table" and column.name in ("email", "phone"))
                columns.append(Column(column.name, family or "other", hidden))
            spoken = relation.name if relation.schema == "public" else str(f"other.{relation.name}")
            self.tables.append(Source(spoken, tuple(columns)))

    def chance(self, probability: float) -> bool:
        """Return True as often as that."""
        return self.random.random() < probability

    def name(self, prefix: str) -> str:
        """Return a new name."""
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    def table(self) -> Source:
        """Return a table or view, most often one with hidden columns that may be read."""
        usual = ("customers", "people", "customer_contact", "contact_twice", "logs_2026", "vault")
        if self.chance(0.75):
            wanted = self.random.choice(usual)
            return next(source for source in self.tables if source.name == wanted)
        refused = (
            "tickets",
            "ticket_list",
            "stays",
            "payroll",
            "vip",
            "emails_by_city",
            "whole_rows",
            "with_function",
        )
        while True:
            source = self.random.choice(self.tables)
            if self.bold or source.name not in refused or self.chance(0.05):
                return source

    # Expressions

    def column(
        self, scope: Scope, family: str | None, *, hidden: bool | None
    ) -> tuple[str, Column] | None:
        """Return a column in sight and how it is written; ``hidden`` None takes either."""
        found = [
            (source, column)
            for source in scope
            for column in source.columns
            if (family is None or column.family == family)
            and (hidden is None or column.hidden == hidden)
        ]
        if not found:
            return None
        source, column = self.random.choice(found)
        return f"{source.name}.{column.name}", column

    def open(self, family: str, scope: Scope, depth: int) -> str:
        """Return an expression for a place where a hidden column would tell something."""
        if self.bold and self.chance(0.45):
            picked = self.column(scope, family, hidden=True)
            if picked is not None:
                return picked[0]
        picked = self.column(scope, family, hidden=False)
        if depth <= 0 or self.chance(0.5):
            if picked is not None and self.chance(0.8):
                return picked[0]
            return self.random.choice(_LITERALS[family])
        return self._made(family, scope, depth - 1)

    def _made(self, family: str, scope: Scope, depth: int) -> str:
        pick = self.random.choice
        match family:
            case "text":
                if self.chance(0.15):
                    return f"({self.scalar('text', scope, depth)})"
                if self.chance(0.2):
                    condition = self.condition(scope, depth)
                    left, right = self.open("text", scope, depth), self.open("text", scope, depth)
                    return f"CASE WHEN {condition} THEN {left} ELSE {right} END"
                shape = pick(_TOTAL + _FAILING)
                return shape.format(self.open("text", scope, depth))
            case "int":
                if self.chance(0.3):
                    return pick(_NUMBERS[:4]).format(self.open("text", scope, depth))
                left, right = self.open("int", scope, depth), self.open("int", scope, depth)
                return f"({left} {pick('+-*')} {right})"
            case "num":
                return f"round({self.open('num', scope, depth)} * 2)"
            case "bool":
                return f"({self.condition(scope, depth)})"
            case "date":
                return f"({self.open('date', scope, depth)} + {self.random.randint(1, 9)})"
            case "time":
                return f"date_trunc('day', {self.open('time', scope, depth)})"
            case "json":
                return f"jsonb_build_object('v', {self.open('text', scope, depth)})"
            case _:
                return f"ARRAY[{self.open('text', scope, depth)}]"

    def condition(self, scope: Scope, depth: int) -> str:
        """Return a boolean expression."""
        pick = self.random.choice
        if self.bold and self.chance(0.08):
            flag = self.column(scope, "bool", hidden=True)
            if flag is not None:
                return flag[0]  # No operator stands in its way, only the clause.
        kind = self.random.randrange(11 if depth > 0 else 6)
        family = pick(("text", "text", "int", "int", "date", "num"))
        left = self.open(family, scope, depth - 1)
        if kind == 0:
            return f"{left} {pick(('=', '<>', '<', '>='))} {self.open(family, scope, depth - 1)}"
        if kind == 1:
            return f"{left} IS {pick(('', 'NOT '))}NULL"
        if kind == 2:
            literal = pick(("k%", "%1%", "_im%"))
            return f"{self.open('text', scope, depth - 1)} {pick(('LIKE', 'ILIKE'))} '{literal}'"
        if kind == 3:
            options = ", ".join(pick(_LITERALS[family]) for _ in range(3))
            return f"{left} {pick(('', 'NOT '))}IN ({options})"
        if kind == 4:
            low, high = pick(_LITERALS[family]), pick(_LITERALS[family])
            return f"{left} BETWEEN {low} AND {high}"
        if kind == 5:
            return f"{left} IS DISTINCT FROM {pick(_LITERALS[family])}"
        if kind == 6:
            return f"NOT ({self.condition(scope, depth - 1)})"
        if kind == 7:
            return f"EXISTS ({self.select(scope, depth - 1, width=1)[0]})"
        if kind == 8:
            inner = self.scalar(family, scope, depth - 1, limit=False)
            return f"{left} IN ({inner})"
        joined = (self.condition(scope, depth - 1), self.condition(scope, depth - 1))
        return f"({joined[0]} {pick(('AND', 'OR'))} {joined[1]})"

    def scalar(self, family: str, scope: Scope, depth: int, *, limit: bool = True) -> str:
        """Return a query of one column, and of one row where ``limit`` says so."""
        source, text = self.entry(depth - 1, scope)
        inside = [*scope, source]
        value = self.open(family, inside, 0)
        where = f" WHERE {self.condition(inside, 0)}" if self.chance(0.4) else ""
        order = self.column([source], "int", hidden=False)
        tail = f" ORDER BY {order[0]} LIMIT 1" if limit and order is not None else ""
        if limit and order is None:
            tail = " LIMIT 1"
        return f"SELECT {value} FROM {text}{where}{tail}"

    def shown(self, scope: Scope, depth: int) -> tuple[str, str, bool]:
        """Return an entry of a select list with its family, and whether it is hidden."""
        roll = self.random.random()
        if roll < 0.6:
            picked = self.column(scope, None, hidden=True if self.chance(0.9) else None)
            picked = picked or self.column(scope, None, hidden=None)
            if picked is not None and (picked[1].family != "other" or self.chance(0.7)):
                return picked[0], picked[1].family, picked[1].hidden
        elif roll < 0.78:
            picked = self.column(scope, "text", hidden=True)
            if picked is not None:
                text = picked[0]
                for _ in range(self.random.randint(1, 2)):
                    text = self.random.choice(_TOTAL).format(text)
                return text, "text", True
        elif roll < 0.86 and self.bold:
            picked = self.column(scope, "text", hidden=True)
            if picked is not None:
                return self.random.choice(_FAILING + _NUMBERS).format(picked[0]), "text", True
        elif roll < 0.9 and self.bold and scope:
            row = self.random.choice(list(scope)).name
            shape = self.random.choice(("{}", "to_jsonb({})", "{}::text", "row_to_json({})"))
            return shape.format(row), "other", True
        family = self.random.choice(("text", "int", "num", "bool", "date"))
        return self.open(family, scope, depth), family, False

    # Queries

    def entry(self, depth: int, scope: Scope, ctes: Scope = ()) -> tuple[Source, str]:
        """Return an entry of FROM and how it is written."""
        alias = self.name("t")
        if ctes and self.chance(0.4):
            chosen = self.random.choice(list(ctes))
            return replace(chosen, name=alias), f"{chosen.name} AS {alias}"
        if depth > 0 and self.chance(0.45):
            query, columns = self.query((), depth - 1)
            return Source(alias, columns), f"({query}) AS {alias}"
        if self.chance(0.05):
            columns = (Column("g", "int", hidden=False),)
            return Source(alias, columns), f"generate_series(1, 3) AS {alias}(g)"
        if self.chance(0.05):
            columns = (Column("v", "text", hidden=False), Column("w", "int", hidden=False))
            return Source(alias, columns), f"(VALUES ('k', 1), ('x', 2)) AS {alias}(v, w)"
        table = self.table()
        spoken = table.name
        if "." not in spoken and self.chance(0.1):
            spoken = f"public.{spoken}"
        if self.chance(0.1):
            renamed = [self.name("c") for _ in table.columns[:3]]
            columns = tuple(
                replace(column, name=renamed[number]) if number < len(renamed) else column
                for number, column in enumerate(table.columns)
            )
            return Source(alias, columns), f"{spoken} AS {alias}({', '.join(renamed)})"
        return replace(table, name=alias), f"{spoken} {alias}"

    def _from(self, depth: int, outer: Scope, ctes: Scope) -> tuple[list[Source], str]:
        source, text = self.entry(depth, outer, ctes)
        sources = [source]
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2))):
            if self.chance(0.15):
                alias = self.name("t")
                value, family, hidden = self.shown(sources, 0)
                column = Column("v", family, hidden)
                text += f" CROSS JOIN LATERAL (SELECT {value} AS v) AS {alias}"
                sources.append(Source(alias, (column,)))
                continue
            other, spoken = self.entry(depth - 1, outer, ctes)
            shared = self._shared(sources, other) if self.bold and self.chance(0.15) else ""
            if shared:
                text += f" JOIN {spoken} USING ({shared})"
                sources.append(other)
                continue
            join = self.random.choice(_JOINS[:4] if self.chance(0.9) else _JOINS)
            left = self.column(sources, "int", hidden=False)
            right = self.column([other], "int", hidden=False)
            if join in ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"):
                if left is None or right is None:
                    text += f" CROSS JOIN {spoken}"
                elif self.bold and self.chance(0.3):
                    condition = self.condition([*sources, other], 1)
                    flag = self.column([*sources, other], "bool", hidden=True)
                    if flag is not None and self.chance(0.5):
                        condition = flag[0]
                    full = "LEFT JOIN" if join == "FULL JOIN" else join
                    text += f" {full} {spoken} ON {left[0]} = {right[0]} AND {condition}"
                else:
                    text += f" {join} {spoken} ON {left[0]} = {right[0]}"
            else:
                text += f" {join} {spoken}"
            sources.append(other)
        return sources, text

    def _shared(self, sources: list[Source], other: Source) -> str:
        """Return the name of a hidden column that exactly one entry shares with another."""
        names = [column.name for source in sources for column in source.columns]
        there = [column.name for column in other.columns]
        hidden = [column.name for column in other.columns if column.hidden]
        found = [name for name in hidden if names.count(name) == there.count(name) == 1]
        return self.random.choice(found) if found else ""

    def select(
        self, outer: Scope, depth: int, *, width: int | None = None, ctes: Scope = ()
    ) -> tuple[str, tuple[Column, ...]]:
        """Return a SELECT and its columns."""
        sources, text = self._from(depth, outer, ctes)
        scope = [*sources, *outer]
        where = f" WHERE {self.condition(scope, min(depth, 2))}" if self.chance(0.3) else ""
        if self.chance(0.1):
            return self._grouped(sources, text + where)
        if width is None and len(sources) == 1 and self.chance(0.18):
            columns = sources[0].columns
            names = [column.name for column in columns]
            if len(set(names)) == len(names):
                return f"SELECT * FROM {text}{where}", columns
        entries, columns_made = [], []
        for _ in range(width or self.random.randint(2, 4)):
            value, family, hidden = self.shown(scope, min(depth, 2))
            name = self.name("c")
            entries.append(f"{value} AS {name}")
            columns_made.append(Column(name, family, hidden))
        if self.chance(0.06):
            order = self.open("int", sources, 0)
            name = self.name("c")
            entries.append(f"row_number() OVER (ORDER BY {order}) AS {name}")
            columns_made.append(Column(name, "int", hidden=False))
        distinct = "DISTINCT " if self.chance(0.1 if self.bold else 0.01) else ""
        if self.bold and not distinct and self.chance(0.06):
            picked = self.column(sources, None, hidden=True)
            distinct = f"DISTINCT ON ({picked[0]}) " if picked is not None else ""
        tail = ""
        if self.chance(0.25) and not distinct:
            family = self.random.choice(("int", "text", "date"))
            tail = f" ORDER BY {self.open(family, sources, 1)}"
        return f"SELECT {distinct}{', '.join(entries)} FROM {text}{where}{tail}", tuple(
            columns_made
        )

    def _grouped(self, sources: list[Source], text: str) -> tuple[str, tuple[Column, ...]]:
        family = self.random.choice(("text", "int", "date"))
        key = self.open(family, sources, 1)
        of = self.random.choice(("text", "int", "num"))
        value = self.random.choice(_AGGREGATES[of]).format(self.open(of, sources, 0))
        first, second = self.name("c"), self.name("c")
        having = f" HAVING count(*) > {self.random.randint(0, 3)}" if self.chance(0.4) else ""
        columns = (Column(first, family, hidden=False), Column(second, "other", hidden=False))
        return (
            f"SELECT {key} AS {first}, {value} AS {second} FROM {text} GROUP BY 1{having}",
            columns,
        )

    def query(self, outer: Scope, depth: int) -> tuple[str, tuple[Column, ...]]:
        """Return a query: with common table expressions, set operations, or a plain SELECT."""
        if depth > 0 and self.chance(0.22):
            ctes: list[Source] = []
            texts = []
            for _ in range(self.random.randint(1, 2)):
                body, columns = self.select((), depth - 1, ctes=tuple(ctes))
                name = self.name("w")
                ctes.append(Source(name, columns))
                texts.append(f"{name} AS ({body})")
            body, columns = self.select(outer, depth - 1, ctes=ctes)
            return f"WITH {', '.join(texts)} {body}", columns
        if depth > 0 and self.chance(0.15):
            return self._set_operation(depth)
        return self.select(outer, depth)

    def _set_operation(self, depth: int) -> tuple[str, tuple[Column, ...]]:
        word = "UNION ALL" if self.chance(0.8) else self.random.choice(("UNION", "EXCEPT"))
        arms, hidden = [], False
        for _ in range(2):
            sources, text = self._from(depth - 1, (), ())
            if self.chance(0.6):
                picked = self.column(sources, "text", hidden=word == "UNION ALL" or self.bold)
            else:
                picked = self.column(sources, "text", hidden=False)
            hidden = hidden or (picked is not None and picked[1].hidden)
            value = picked[0] if picked is not None else "'x'"
            arms.append(f"SELECT {value}::text AS u FROM {text}")
        return f" {word} ".join(arms), (Column("u", "text", hidden),)
