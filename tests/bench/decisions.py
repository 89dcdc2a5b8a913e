"""How long a decision takes: a text never seen, one of a known shape, and one known to the letter.

In this process, without a network: what a statement costs before it is sent on.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import trio
from tests.bench.measures import Figure, Plan
from tests.fix_system import System
from tests.relay.fix_internal_api import make_policy

from querykeep_engines import registry
from querykeep_guard.contracts.catalog import Catalog, Column, Relation
from querykeep_guard.sql.facts import SessionContext
from querykeep_relay.decider import Decider
from querykeep_relay.policy_handle import PolicyHandles

COUNT = 500
MICROSECONDS = 1_000_000
POINT = "SELECT name FROM customers WHERE id = {number}"
JOIN = (
    "SELECT c.name AS n{number}, count(*), sum(o.total) FROM customers c "
    "JOIN orders o ON o.customer_id = c.id WHERE o.status = 'paid' GROUP BY c.name"
)


def decision_times(_system: System, plan: Plan) -> Iterator[list[Figure]]:
    """Microseconds of processor time per decision, cold and cached."""
    cases = {"cold_join": JOIN, "cold_point": POINT.replace("name", "name AS n{number}")}
    cases |= {"cached_shape": POINT, "cached_text": POINT.format(number=7)}
    for case, text in cases.items():
        rounds = tuple(trio.run(_measure, text) for _round in range(plan.rounds))
        yield [
            Figure("decision", "querykeep", "us", rounds, {"case": case, "engine": "postgresql"})
        ]


async def _measure(text: str) -> float:
    """Return the time of one decision; the first, which also makes the index, is not counted."""
    decider = Decider(lambda: datetime.now(UTC))
    engine = registry.engine("postgresql")
    handle = PolicyHandles().of(make_policy())
    catalog, context = _catalog(), _context()
    await decider.decide(engine, text.format(number=0), context, handle, catalog)
    started = time.process_time()
    for number in range(1, COUNT + 1):
        decisions = await decider.decide(
            engine, text.format(number=number), context, handle, catalog
        )
        if decisions[0].verdict.value != "allowed":
            raise ValueError(f"the statement to measure is not allowed: {decisions[0].message}")
    return (time.process_time() - started) / COUNT * MICROSECONDS


def _catalog() -> Catalog:
    def table(title: str, **columns: str) -> Relation:
        types = {"integer": 23, "text": 25, "numeric": 1700}
        return Relation(
            "public",
            title,
            "table",
            tuple(
                Column(column, kind, place, type_oid=types[kind])
                for place, (column, kind) in enumerate(columns.items(), start=1)
            ),
        )

    return Catalog(
        "postgresql",
        "postgresql",
        "15",
        "shop",
        "bench",
        datetime.now(UTC),
        (
            table("customers", id="integer", name="text", email="text"),
            table("orders", id="integer", customer_id="integer", status="text", total="numeric"),
        ),
        schemas=("public",),
        settings=(("search_path", "public"),),
    )


def _context() -> SessionContext:
    return SessionContext(
        "postgresql",
        "postgresql",
        "15",
        "shop",
        ("public",),
        (("standard_conforming_strings", "on"),),
    )
