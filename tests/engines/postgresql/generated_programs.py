"""Random programs, each what one session sends: queries, writes, state across statements."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.engines.postgresql.generated_queries import Column, Queries, Source

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy

DEPTH = 4
_WRITABLE = {
    "customers": ("city", "note", "tier"),
    "orders": ("status", "ship_address"),
    "products": ("name", "category"),
}
_PATHS = ("public", "other, public", "public, other", "other")


class Programs:
    """Makes programs. The same seed gives the same programs."""

    def __init__(self, seed: int, catalog: Catalog, rules: SessionPolicy) -> None:
        self.random = Random(seed)
        self.queries = Queries(self.random, catalog, rules)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Give programs without end."""
        makers = (
            (self._read, 85),
            (self._write, 10),
            (self._cursor, 5),
            (self._prepared, 5),
            (self._path, 3),
            (self._temporary, 3),
            (self._savepoint, 3),
        )
        while True:
            self.queries.bold = self.random.random() < 0.35
            (make,) = self.random.choices(
                [maker for maker, _ in makers], [weight for _, weight in makers]
            )
            yield tuple(make())

    def _query(self, depth: int = DEPTH) -> str:
        return self.queries.query((), self.random.randint(0, depth))[0]

    def _read(self) -> list[str]:
        query = self._query()
        roll = self.random.random()
        if roll < 0.04:
            return [f"COPY ({query}) TO STDOUT"]
        if roll < 0.06:
            return [f"EXPLAIN (COSTS OFF) {query}"]
        if roll < 0.09:
            return [f"{self._query(1)}; {query}"]
        return [query]

    def _target(self) -> tuple[Source, str]:
        name = self.random.choice(list(_WRITABLE))
        source = next(one for one in self.queries.tables if one.name == name)
        return source, self.random.choice(_WRITABLE[name])

    def _returning(self, source: Source) -> str:
        if self.random.random() < 0.4:
            return ""
        value, _, _ = self.queries.shown([source], 1)
        return f" RETURNING {source.name}.id, {value} AS r"

    def _write(self) -> list[str]:
        make, source, column = self.queries, *self._target()
        where = make.condition([source], 1)
        returning = self._returning(source)
        match self.random.randrange(6):
            case 0 | 1:
                value = make.open("text", [source], 1)
                if self.random.random() < 0.3:
                    value = make.shown([source], 1)[0]
                cut = f"left(({value})::text, 9)" if make.bold else "'w'"
                statement = f"UPDATE {source.name} SET {column} = {cut} WHERE {where}{returning}"
            case 2:
                statement = f"DELETE FROM order_items i USING {self._joined(where, source)}"
            case 3:
                key = self.random.randint(5000, 9000)
                value, _, _ = make.shown([self._named("customers")], 1)
                statement = (
                    f"INSERT INTO customers (id, name, email) VALUES ({key}, 'N', 'n@x.example') "
                    f"RETURNING id, email, {value} AS r"
                )
            case 4:
                inner, columns = make.select((), 2, width=1)
                kept = columns[0].name
                statement = (
                    "INSERT INTO other.customers (id, name) "
                    f"SELECT 1, left(q.{kept}::text, 9) FROM ({inner}) q RETURNING name"
                )
            case _:
                key = self.random.randint(1, 12)
                nick = self.random.choice(("nick1", "n7", "free"))
                statement = self.random.choice(
                    (
                        f"INSERT INTO people (id, nick) VALUES ({key + 90}, '{nick}')",
                        f"UPDATE people SET status = 'paid' WHERE id = {key} RETURNING id, nick",
                        f"UPDATE people SET nick = '{nick}' WHERE id = {key}",
                        f"DELETE FROM nick_notes WHERE id = {key} RETURNING *",
                        f"UPDATE checked SET wish = {key * 3} WHERE id = 1",
                    )
                )
        return [statement, f"SELECT id, {column} FROM {source.name} ORDER BY id"]

    def _named(self, name: str) -> Source:
        return next(one for one in self.queries.tables if one.name == name)

    def _joined(self, where: str, source: Source) -> str:
        return f"{source.name} WHERE i.order_id = {source.name}.id AND {where} RETURNING i.*"

    def _cursor(self) -> list[str]:
        """Read in steps where a key decides the order; else whole, since which rows come first is
        then the plan's choice: like LIMIT without an order."""
        scroll = self.random.choice(("", "SCROLL ", "NO SCROLL "))
        if self.random.random() < 0.5:
            query = self._by_key()
            steps = ["FETCH 3 FROM cur", "FETCH ALL FROM cur"]
            back = ["MOVE ABSOLUTE 1 IN cur", "FETCH PRIOR FROM cur"]
        else:
            query = self._query(2)
            steps = ["FETCH ALL FROM cur"]
            back = ["MOVE ABSOLUTE 0 IN cur", "FETCH ALL FROM cur"]
        steps += back if scroll == "SCROLL " else []
        return [f"DECLARE cur {scroll}CURSOR FOR {query}", *steps, "CLOSE cur"]

    def _by_key(self) -> str:
        source = self._named(self.random.choice(("customers", "people", "vault")))
        shown = [self.queries.shown([source], 1)[0] for _ in range(2)]
        where = (
            f" WHERE {self.queries.condition([source], 1)}" if self.random.random() < 0.4 else ""
        )
        return f"SELECT {', '.join(shown)} FROM {source.name}{where} ORDER BY {source.name}.id"

    def _prepared(self) -> list[str]:
        query = self._query(2)
        return [f"PREPARE pre AS {query}", "EXECUTE pre", "EXECUTE pre", "DEALLOCATE pre"]

    def _path(self) -> list[str]:
        path = self.random.choice(_PATHS)
        return [
            f"SET search_path = {path}",
            "SELECT id, email FROM customers",
            self._query(2),
            "RESET search_path",
            "SELECT id, email FROM customers",
        ]

    def _temporary(self) -> list[str]:
        inner, columns = self.queries.select((), 2)
        kept = [column for column in columns if column.family != "other"] or [
            Column("1", "int", False)
        ]
        return [f"CREATE TEMP TABLE mine AS {inner}", f"SELECT {kept[0].name} FROM mine"]

    def _savepoint(self) -> list[str]:
        write = self._write()
        return ["SAVEPOINT one", *write, "ROLLBACK TO SAVEPOINT one", write[-1], self._query(1)]
