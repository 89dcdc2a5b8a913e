"""Random queries over the demo database, biased to masked columns and nesting; a seed gives the
same queries for ever. They are meant to be valid: names exist, aliases are unique."""

import random

from tests.engines.mysql.shop_catalog import TABLES

_TABLES = {name: names.split() for name, names in TABLES.items() if name != "payroll"}
_FUNCTIONS = ["LOWER({})", "CONCAT({}, 'x')", "LENGTH({})", "COALESCE({}, 'n')", "LEFT({}, 2)"]
_JOINS = ["JOIN", "LEFT JOIN", "CROSS JOIN", "INNER JOIN", "RIGHT OUTER JOIN", "STRAIGHT_JOIN"]


class Generator:
    """Makes queries; ``width`` fixes the number of outputs where set operations need it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.aliases = 0
        self.columns: list[str] = []
        self.ctes: list[tuple[str, list[str]]] = []

    def alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}"

    def query(
        self, depth: int = 0, width: int | None = None, outer: list[str] | None = None
    ) -> str:
        width = width or self.random.randint(1, 3)
        text = self.select(depth, width, outer or [])
        arms = 0
        while depth < 3 and self.random.random() < 0.12:
            word = self.random.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
            text += f" {word} {self.select(depth + 1, width, outer or [])}"
            arms += 1
        if depth == 0 and self.random.random() < 0.25:
            keys = ["1", "o0_0", *([] if arms else self.columns)]
            text += " ORDER BY " + self.random.choice(keys)
        return text

    def statement(self) -> str:
        self.ctes = []
        head = ""
        if self.random.random() < 0.15:
            name, width = self.alias(), self.random.randint(1, 3)
            names = [f"c{i}" for i in range(width)]
            body = self.query(2, width)
            head = f"WITH {name} ({', '.join(names)}) AS ({body}) "
            self.ctes = [(name, names)]
        return head + self.query()

    def select(self, depth: int, width: int, outer: list[str]) -> str:
        sources, columns = self.tables(depth)
        items = [self.item(columns, outer, depth, i) for i in range(width)]
        text = "SELECT " + ("DISTINCT " if self.random.random() < 0.1 else "")
        text += ", ".join(items) + " FROM " + sources
        if self.random.random() < 0.4:
            text += " WHERE " + self.condition(columns, outer, depth)
        if self.random.random() < 0.12:
            text += " GROUP BY " + self.random.choice([*columns, "1"])
        if depth == 0:
            self.columns = columns
        return text

    def tables(self, depth: int) -> tuple[str, list[str]]:
        text, columns = self.table(depth)
        for _ in range(self.random.choice([0, 0, 0, 1, 1, 2])):
            more, names = self.table(depth)
            word = self.random.choice([",", *_JOINS])
            if word in (",", "CROSS JOIN"):
                text += f" CROSS JOIN {more}"
            else:
                on = f"{self.random.choice(columns)} = {self.random.choice(names)}"
                text += f" {word} {more} ON {on}"
            columns = columns + names
        return text, columns

    def table(self, depth: int) -> tuple[str, list[str]]:
        alias = self.alias()
        roll = self.random.random()
        if self.ctes and roll < 0.4:
            name, names = self.random.choice(self.ctes)
            return f"{name} {alias}", [f"{alias}.{c}" for c in names]
        if depth < 3 and roll > 0.75:
            inner = self.query(depth + 1, width := self.random.randint(1, 3))
            names = [f"o{depth + 1}_{i}" for i in range(width)]
            return f"({inner}) AS {alias}", [f"{alias}.{c}" for c in names]
        name = self.random.choice(["customers", "customers", *_TABLES])
        return f"{name} AS {alias}", [f"{alias}.{c}" for c in _TABLES[name]]

    def item(self, columns: list[str], outer: list[str], depth: int, place: int) -> str:
        return f"{self.value(columns, outer, depth)} AS o{depth}_{place}"

    def value(self, columns: list[str], outer: list[str], depth: int) -> str:
        roll = self.random.random()
        column = self.random.choice(columns + outer)
        if roll < 0.55:
            return column
        if roll < 0.75:
            return self.random.choice(_FUNCTIONS).format(self.value(columns, outer, depth + 1))
        if roll < 0.8:
            return f"CASE WHEN {column} = 'a' THEN {self.random.choice(columns)} ELSE 1 END"
        if roll < 0.85 and depth < 3:
            return f"({self.query(depth + 1, 1, columns)} LIMIT 1)"
        if roll < 0.9:
            return f"({column} + {self.random.randint(0, 9)})"
        if roll < 0.95:
            return f"IF({column} IS NULL, {self.random.choice(columns)}, 'x')"
        return str(self.random.randint(0, 99))

    def condition(self, columns: list[str], outer: list[str], depth: int) -> str:
        roll = self.random.random()
        column = self.random.choice(columns + outer)
        if roll < 0.4:
            return f"{column} = {self.random.choice([*columns, '1'])}"
        if roll < 0.5:
            return f"{column} LIKE 'a%'"
        if roll < 0.6:
            return f"{column} BETWEEN 1 AND 2"
        if roll < 0.75:
            left, right = (self.condition(columns, outer, depth + 1) for _ in range(2))
            return f"({left} {self.random.choice(['AND', 'OR', 'XOR'])} NOT {right})"
        if roll < 0.85 and depth < 3:
            return f"{column} IN ({self.query(depth + 1, 1)})"
        if roll < 0.95 and depth < 3:
            return f"EXISTS ({self.query(depth + 1, 1, columns)})"
        return f"{column} IS NOT NULL"


def statements(seed: int, count: int) -> list[str]:
    """Return ``count`` queries of a seed."""
    return [Generator(seed * 1_000_003 + number).statement() for number in range(count)]
