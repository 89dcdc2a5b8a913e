"""How long a decision takes: a text never seen, one of a known shape, and one known to the letter.

In this process, without a network: what a statement costs before it is sent on. Beside it, what the
bare parsers take for the same text: postgast, which is PostgreSQL's own, and sqlglot for MySQL's.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import postgast
import sqlglot
import trio
from tests.bench.measures import Figure, Plan
from tests.fix_system import System
from tests.relay.fix_internal_api import make_policy

from querykeep_engines import registry
from querykeep_guard.contracts.catalog import Catalog, Column, Relation
from querykeep_guard.contracts.policy import (
    AccessRule,
    GrantScope,
    ObjectPattern,
    SessionPolicy,
    StatementKind,
)
from querykeep_guard.sql.facts import SessionContext
from querykeep_relay.decider import Decider
from querykeep_relay.policy_handle import PolicyHandles

COUNT = 300
FEW = 3
MICROSECONDS = 1_000_000
POINT = "SELECT name FROM customers WHERE id = {number}"
COLD_POINT = "SELECT name AS n{number} FROM customers WHERE id = 7"
COLD_JOIN = (
    "SELECT c.name AS n{number}, o.status, count(*), sum(o.total) FROM customers c "
    "JOIN orders o ON o.customer_id = c.id JOIN customers d ON d.id = o.id "
    "JOIN orders p ON p.customer_id = d.id WHERE o.status = 'paid' AND p.total > 10 "
    "GROUP BY c.name, o.status ORDER BY 3 DESC LIMIT 10"
)
INSERT_1MB = "INSERT INTO orders (id, customer_id, status, total) VALUES " + ",".join(
    f"({number}, {number}, 'paid by card', 123.45)" for number in range(27_000)
)
LARGE = 100_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """An engine to decide for, and the bare parser beside it."""

    engine: str
    flavour: str
    version: str
    schema: str
    settings: tuple[tuple[str, str], ...]
    parser: str
    parse: Callable[[str], object]

    def context(self) -> SessionContext:
        """Return a session's context."""
        return SessionContext(
            self.flavour, self.flavour, self.version, "shop", (self.schema,), self.settings
        )

    def catalog(self, tables: int) -> Catalog:
        """Return a catalog of the two tables of the statements and ``tables`` others."""
        others = (self._table(f"t{number}", id="integer") for number in range(tables))
        return Catalog(
            self.flavour,
            self.flavour,
            self.version,
            "shop",
            f"bench {tables}",
            datetime.now(UTC),
            (
                self._table("customers", id="integer", name="text", email="text"),
                self._table(
                    "orders", id="integer", customer_id="integer", status="text", total="numeric"
                ),
                *others,
            ),
            schemas=(self.schema,),
            settings=(("search_path", "public"),) if self.engine == "postgresql" else (),
        )

    def _table(self, title: str, **columns: str) -> Relation:
        types = {"integer": 23, "text": 25, "numeric": 1700}
        return Relation(
            self.schema,
            title,
            "table",
            tuple(
                Column(column, kind, place, type_oid=types[kind])
                for place, (column, kind) in enumerate(columns.items(), start=1)
            ),
        )


DIALECTS = (
    Dialect(
        "postgresql",
        "postgresql",
        "15",
        "public",
        (("standard_conforming_strings", "on"),),
        "postgast",
        postgast.parse,
    ),
    Dialect(
        "mysql",
        "mariadb",
        "10.11.6-MariaDB",
        "shop",
        (("sql_mode", "STRICT_TRANS_TABLES"), ("character_set_client", "utf8mb4")),
        "sqlglot",
        lambda text: sqlglot.parse_one(text, dialect="mysql"),
    ),
)
# case, text, decisions per round, whether its own parser is measured beside it
CASES = (
    ("cached_text", POINT.format(number=7), COUNT, False),
    ("cached_shape", POINT, COUNT, False),
    ("cold_point", COLD_POINT, COUNT, True),
    ("cold_join", COLD_JOIN, COUNT, True),
    ("insert_1mb", INSERT_1MB, FEW, True),
)


def decision_times(_system: System, plan: Plan) -> Iterator[list[Figure]]:
    """Microseconds of processor time per decision, cold and cached, for either engine."""
    for dialect in DIALECTS:
        for case, text, count, is_compared in CASES:
            detail: dict[str, object] = {"case": case, "engine": dialect.engine}
            rounds = tuple(
                trio.run(_decide, dialect, text, count, 0) for _round in range(plan.rounds)
            )
            figures = [Figure("decision", "querykeep", "us", rounds, detail)]
            if is_compared:
                parsed = tuple(_parse(dialect, text, count) for _round in range(plan.rounds))
                figures.append(Figure("decision", dialect.parser, "us", parsed, detail))
            yield figures
        for case, text in (("cached_shape", POINT), ("cold_point", COLD_POINT)):
            rounds = tuple(trio.run(_decide, dialect, text, COUNT, LARGE) for _ in range(FEW))
            detail = {"case": f"{case}_100k_rules_and_tables", "engine": dialect.engine}
            yield [Figure("decision", "querykeep", "us", rounds, detail)]


async def _decide(dialect: Dialect, text: str, count: int, size: int) -> float:
    """Return the time of one decision; the first, which also makes the indexes, is not counted.

    Args:
        dialect: The engine.
        text: The statement, with ``{number}`` where each decision has another text.
        count: How many decisions are measured.
        size: How many rules and tables there are beside those that matter.
    """
    decider = Decider(lambda: datetime.now(UTC))
    engine = registry.engine(dialect.flavour)
    handle = PolicyHandles().of(_policy(dialect, size))
    catalog, context = dialect.catalog(size), dialect.context()
    texts = [_numbered(text, number) for number in range(count + 2)]
    for first in texts[:2]:
        await decider.decide(engine, first, context, handle, catalog)
    spent = 0.0
    for one in texts[2:]:
        if text is INSERT_1MB:
            decider = Decider(lambda: datetime.now(UTC))
        started = time.process_time()
        decisions = await decider.decide(engine, one, context, handle, catalog)
        spent += time.process_time() - started
        if decisions[0].verdict.value != "allowed":
            raise ValueError(f"the statement to measure is not allowed: {decisions[0].message}")
    return spent / count * MICROSECONDS


def _parse(dialect: Dialect, text: str, count: int) -> float:
    texts = [_numbered(text, number) for number in range(count)]
    started = time.process_time()
    for one in texts:
        dialect.parse(one)
    return (time.process_time() - started) / count * MICROSECONDS


def _numbered(text: str, number: int) -> str:
    return text.replace("{number}", str(number))


def _policy(dialect: Dialect, size: int) -> SessionPolicy:
    kinds = frozenset({StatementKind.SELECT, StatementKind.INSERT})
    rules = tuple(
        AccessRule(
            f"r{number}",
            f"Rule {number}",
            (ObjectPattern(table=f"other{number}"),),
            columns_only=False,
        )
        for number in range(size)
    )
    return make_policy(
        engine=dialect.flavour,
        database="shop",
        grants=(GrantScope("g1", "read and add", kinds),),
        access_rules=rules,
    )
