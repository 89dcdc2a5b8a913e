"""Random programs in twin databases: nothing that a person can see depends on what is hidden.

``QUERYKEEP_FUZZ_SEED`` and ``QUERYKEEP_FUZZ_COUNT`` choose the programs of the long run
(``make test-fuzz N=100000``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import cycle

import pytest
from tests.engines.postgresql.generated_programs import Programs
from tests.engines.postgresql.twin_databases import PostgresqlTwins
from tests.guard.twin_runner import Report, run

STATEMENTS = 2_000
SEED = 20_261_124


def programs_of(twins: PostgresqlTwins, seed: int, statements: int) -> Iterator[tuple[str, ...]]:
    """Give programs until they hold that many statements."""
    for program in Programs(seed, twins.catalog, twins.rules):
        yield program
        statements -= len(program)
        if statements <= 0:
            return


def check(twins: PostgresqlTwins, seed: int, statements: int) -> Report:
    """Run, print the figures, and fail at differences or when the run proves nothing."""
    report = run(twins, programs_of(twins, seed, statements), cycle(twins.roads), bare_every=2)
    figures = f"seed {seed}: {report}"
    # All of them: an assertion's text is cut, and a run of hours is not made twice for it.
    sys.stdout.write("\n".join([figures, *map(str, report.differences), ""]))
    assert not report.differences, "\n".join([figures, *map(str, report.differences[:5])])
    assert report.allowed >= 0.4 * report.statements, figures
    assert report.leaking >= 0.3, figures
    return report


@pytest.mark.timeout(1200)
def test_no_program_tells_the_twins_apart(postgresql_twins: PostgresqlTwins) -> None:
    seed = int(os.environ.get("QUERYKEEP_FUZZ_SEED", SEED))
    report = check(postgresql_twins, seed, STATEMENTS)
    assert report.statements >= STATEMENTS


@pytest.mark.slow
@pytest.mark.timeout(36_000)
def test_fuzz_of_twins(postgresql_twins: PostgresqlTwins) -> None:
    seed = int(os.environ.get("QUERYKEEP_FUZZ_SEED", SEED + 1))
    count = int(os.environ.get("QUERYKEEP_FUZZ_COUNT", "20000"))
    check(postgresql_twins, seed, count)
