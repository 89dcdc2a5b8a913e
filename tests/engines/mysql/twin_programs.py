"""Random programs for the twin databases: statements of one session, the same for a seed.

Biased to hidden columns (in select lists more than elsewhere, so that much is allowed), to nesting,
and to spellings that look harmless. Names exist and aliases are unique; a statement may still fail.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

_TABLES = {
    "customers": ("id name city tier note birth_date", "email phone rrn card_number"),
    "people": ("id status", "email nick email_lower email_size"),
    "products": ("id sku name category price in_stock", ""),
    "orders": ("id customer_id status total", ""),
    "solo": ("id", "secret"),
    "papers": ("id title", "body"),
    "vault": ("id label", "tiny small whole big exact dbl made born seen code mood texts bytes"),
    "customer_contact": ("id name", "email phone"),
    "contact_twice": ("id", "mail"),
}
_TOTAL = (
    "UPPER({})",
    "CONCAT('<', {}, '>')",
    "LEFT({}, 2)",
    "LENGTH({})",
    "COALESCE({}, 'n')",
    "HEX({})",
    "SUBSTRING({}, 2)",
    "MD5({})",
    "TRIM({})",
    "REVERSE({})",
    "IF(id < 5, {}, 'x')",
    "REPLACE({}, 'a', 'b')",
    "CASE WHEN id > 3 THEN {} ELSE 'n' END",
    "SUBSTRING_INDEX({}, '@', 1)",
    "CAST({} AS CHAR)",
    "({})",
)
_TELLING = (
    "{} + 0",
    "{} > 'm'",
    "{} LIKE '%i%'",
    "IF({} > 'k', 1, 0)",
    "NULLIF({}, '1')",
    "-{}",
    "{} = '1'",
    "GREATEST({}, 'm')",
    "CASE {} WHEN '1' THEN 1 END",
    "STRCMP({}, 'k')",
    "CAST({} AS UNSIGNED)",
    "JSON_QUOTE({})",
    "ROUND({})",
    "FIELD({}, '1', '2')",
    "LPAD({}, 9, '-')",
    "POW(2, LENGTH({}))",
    "{} REGEXP '^.i'",
    "{} IN ('1', '2')",
    "INTERVAL({}, 2)",
    "{} <=> '1'",
    "REPEAT('a', LENGTH({}))",
)
_AGGREGATES = (
    "MIN({})",
    "MAX({})",
    "COUNT(DISTINCT {})",
    "GROUP_CONCAT({0} ORDER BY {0})",
    "SUM({})",
    "COUNT({})",
)
_TESTS = ("IS NOT NULL", "> 2", "<> 3", "< 'n'")
_PLACES = ("(1)", "+1", "1", "{d 1}", "TRUE", "2", "((2)) DESC")
_WRITES = (
    "UPDATE customers SET note = 'n' WHERE {pred}",
    "UPDATE customers SET {hidden} = 'x1' WHERE id = 3",
    "INSERT INTO products (id, sku, name, category, price, in_stock) "
    "SELECT id + 50, LEFT({value}, 18), 'n', 'c', 1, 1 FROM customers WHERE id < 4",
    "DELETE FROM order_items WHERE order_id IN (SELECT id FROM customers WHERE {pred})",
    "REPLACE INTO solo VALUES (2, 'abc')",
    "INSERT INTO people (id, nick) VALUES (40, 'nick3')",
    "INSERT INTO customers (id, name, email) VALUES (41, 'x', 'q@example.com')",
    "INSERT INTO customers (id, name) VALUES (2, 'y') ON DUPLICATE KEY UPDATE note = {value}",
    "UPDATE customers SET city = 'Ulsan' WHERE id = 4",
    "DELETE FROM people WHERE {pred_people}",
    "SET @v = (SELECT {value} FROM customers WHERE id = 2)",
    "SELECT @v",
    "SELECT {value} INTO @v FROM customers WHERE id = 5",
    "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()",
)


class Maker:
    """Makes statements from one stream of random numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._aliases = 0
        self._ordered = False

    def program(self, length: int) -> list[str]:
        """Return the statements of one session. In some all rows are put in order; in the others no
        order is asked for, so that rows may come in any."""
        self._ordered = self._chance(0.2)
        return [self.statement() for _ in range(length)]

    def statement(self) -> str:
        """Return one statement."""
        roll = self.random.random()
        if roll < 0.14:
            return self._write()
        return self._query(0)

    def _pick(self, items: tuple[str, ...] | list[str]) -> str:
        return self.random.choice(items)

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}"

    def _write(self) -> str:
        plain = [f"customers.{c}" for c in _TABLES["customers"][0].split()]
        hidden = [f"customers.{c}" for c in _TABLES["customers"][1].split()]
        return self._pick(_WRITES).format(
            pred=self._predicate(plain, hidden, 2),
            pred_people=self._predicate(["people.id"], ["people.nick"], 3),
            hidden=self._pick(hidden),
            value=self._value(plain, hidden, 2),
        )

    def _query(self, depth: int, width: int = 0) -> str:
        """Return a query; its outputs are o1, o2 …"""
        width = width or self.random.randint(1, 4)
        head = ""
        plain: list[str] = []
        hidden: list[str] = []
        if not self._ordered and depth < 3 and self._chance(0.18):
            name, inner = self._alias(), self.random.randint(1, 3)
            head = f"WITH {name} AS ({self._query(depth + 2, inner)}) "
            text = name
            hidden = [f"{name}.o{i + 1}" for i in range(inner)]
        elif not self._ordered and depth < 4 and self._chance(0.25):
            name, inner = self._alias(), self.random.randint(1, 3)
            text = f"({self._query(depth + 1, inner)}) {name}"
            hidden = [f"{name}.o{i + 1}" for i in range(inner)]
        else:
            table, name = self._pick(list(_TABLES)), self._alias()
            text = f"{table} {name}"
            plain = [f"{name}.{c}" for c in _TABLES[table][0].split()]
            hidden = [f"{name}.{c}" for c in _TABLES[table][1].split()]
        if plain and self._chance(0.25):
            table, name = self._pick(list(_TABLES)), self._alias()
            on = f"{name}.id = {plain[0]}"
            if self._chance(0.1) and hidden:
                on = f"{name}.id = {plain[0]} AND {self._telling(hidden)}"
            text += f" {self._pick(['JOIN', 'LEFT JOIN', 'STRAIGHT_JOIN'])} {table} {name} ON {on}"
            plain += [f"{name}.{c}" for c in _TABLES[table][0].split()]
            hidden += [f"{name}.{c}" for c in _TABLES[table][1].split()]
        return head + self._select(text, plain, hidden, width, depth)

    def _select(
        self, source: str, plain: list[str], hidden: list[str], width: int, depth: int
    ) -> str:
        items = [f"{self._value(plain, hidden, depth)} o{i + 1}" for i in range(width)]
        if self._ordered and self._chance(0.15):
            items[-1] = f"{self._window(plain, hidden)} o{width}"
        if self._chance(0.04) and hidden and not self._ordered:
            # No bare column stands beside it: which row that shows is left to the plan.
            items = [f"COUNT(*) o{i + 1}" for i in range(width)]
            items[-1] = f"{self._pick(_AGGREGATES).format(self._pick(hidden))} o{width}"
        distinct = "DISTINCT " if self._chance(0.04) else ""
        text = f"SELECT {distinct}{', '.join(items)} FROM {source}"
        if self._chance(0.5):
            text += f" WHERE {self._predicate(plain, hidden, depth)}"
        if self._ordered:
            if depth == 0:
                first = self._pick([*hidden, *_PLACES, "o1"]) + ", " if self._chance(0.3) else ""
                text += f" ORDER BY {first}{plain[0]}"
            return text
        if self._chance(0.04) and hidden:
            text += f" GROUP BY {self._pick(hidden)}"
        if depth == 0 and self._chance(0.12):
            text += f" UNION ALL {self._query(3, width)}"
        return text

    def _value(self, plain: list[str], hidden: list[str], depth: int) -> str:
        column = self._pick(hidden if (hidden and self._chance(0.6)) or not plain else plain)
        roll = self.random.random()
        if roll < 0.66:
            return column
        if roll < 0.9:
            form = self._pick(_TOTAL)
            if "id <" in form or "id >" in form:
                form = form.replace("id", plain[0]) if plain else "({})"
            return form.format(column)
        if roll < 0.94 and depth < 3:
            if not plain or self._chance(0.5):
                return f"(SELECT {column})"
            return f"(SELECT {column} FROM DUAL WHERE {plain[0]} = 3)"
        if roll < 0.97 and hidden:
            return self._telling(hidden)
        return str(self.random.randint(0, 9))

    def _telling(self, hidden: list[str]) -> str:
        return self._pick(_TELLING).format(self._pick(hidden))

    def _window(self, plain: list[str], hidden: list[str]) -> str:
        key = self._pick([*plain, *hidden, "o1"])
        call = self._pick(["ROW_NUMBER()", "COUNT(*)", f"LAG({self._pick(plain + hidden)})"])
        return f"{call} OVER (ORDER BY {key}, {plain[0]})"

    def _predicate(self, plain: list[str], hidden: list[str], depth: int) -> str:
        if hidden and (not plain or self._chance(0.12)):
            return self._telling(hidden) if self._chance(0.5) or not plain else "1 = 1"
        if not plain:
            return "1 = 1"
        column = self._pick(plain)
        if depth < 3 and self._chance(0.15):
            return (
                f"{column} IN ({self._query(depth + 2, 1)})"
                if self._chance(0.3)
                else (f"EXISTS ({self._query(depth + 2, 1)})")
            )
        return f"{column} {self._pick(_TESTS)}"


def programs(seed: int, statements: int, length: int = 8) -> Iterator[list[str]]:
    """Yield programs of ``length`` statements, ``statements`` in all."""
    for number in range(0, statements, length):
        yield Maker(seed * 1_000_003 + number).program(min(length, statements - number))
