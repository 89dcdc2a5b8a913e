"""The web editor: time to the first rows, and until 300,000 rows stand in the result store."""

import time
from collections.abc import Iterator

from tests.bench.measures import Figure, Plan
from tests.fix_system import DemoConnection, System
from tests.middleware.browser import Person

from querykeep_middleware.editor import messages as wire

ROWS = 300_000
# Six times order_items, whose 50,000 rows both shops hold.
MANY_ROWS = (
    "SELECT a.* FROM order_items a, (SELECT 1 UNION SELECT 2 UNION SELECT 3 "
    "UNION SELECT 4 UNION SELECT 5 UNION SELECT 6) b"
)


def editor_times(system: System, plan: Plan) -> Iterator[list[Figure]]:
    """Seconds from the click to the first rows and to the last, per engine."""
    person = Person(system.web, system.accounts["analyst"])
    try:
        for connection in (system.postgresql, system.mariadb):
            measured = [_once(person, connection) for _round in range(plan.rounds)]
            detail: dict[str, object] = {"engine": connection.engine, "rows": ROWS}
            for place, name in enumerate(("editor_first_rows", "editor_all_rows")):
                rounds = tuple(times[place] for times in measured)
                yield [Figure(name, "querykeep", "s", rounds, detail)]
    finally:
        person.close()


def _once(person: Person, connection: DemoConnection) -> tuple[float, float]:
    with person.editor() as editor:
        editor.connect(connection.id)
        started = time.monotonic()
        editor.start(MANY_ROWS)
        first, rows = 0.0, 0
        while True:
            message = editor.next()
            if isinstance(message, wire.RowsAvailable):
                first = first or time.monotonic() - started
                rows = message.rows
            if isinstance(message, wire.RunFinished):
                break
        if rows != ROWS:
            raise ValueError(f"{rows} rows arrived, not {ROWS}")
        return first, time.monotonic() - started
