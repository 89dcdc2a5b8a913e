"""Random programs in twin databases: nothing that a person can see depends on what is hidden.

``QUERYKEEP_FUZZ_SEED`` and ``QUERYKEEP_FUZZ_COUNT`` choose the programs of the long run
(``make test-fuzz N=100000``).
"""

from __future__ import annotations

import os
import sys
from itertools import cycle

import pytest
from tests.engines.mysql.twin_databases import MysqlTwins
from tests.engines.mysql.twin_programs import programs
from tests.guard.twin_runner import Report, run

STATEMENTS = 1_000
SEED = 20_261_124


def check(twins: MysqlTwins, seed: int, statements: int) -> Report:
    """Run, print the figures, and fail at differences or when the run proves nothing."""
    report = run(twins, programs(seed, statements), cycle(twins.roads))
    figures = f"seed {seed}: {report}"
    # All of them: an assertion's text is cut, and a run of hours is not made twice for it.
    deaths = [f"the server died after: {text}" for text in twins.deaths]
    sys.stdout.write("\n".join([figures, *deaths, *map(str, report.differences), ""]))
    assert not report.differences, "\n".join([figures, *map(str, report.differences[:5])])
    assert report.allowed >= 0.4 * report.statements, figures
    assert report.would_leak >= 0.3 * report.statements, figures
    return report


@pytest.mark.timeout(300)
def test_no_program_tells_the_twins_apart(mariadb_twins: MysqlTwins) -> None:
    seed = int(os.environ.get("QUERYKEEP_FUZZ_SEED", SEED))
    report = check(mariadb_twins, seed, STATEMENTS)
    assert report.statements >= STATEMENTS


@pytest.mark.slow
@pytest.mark.timeout(36_000)
def test_fuzz_of_twins(mariadb_twins: MysqlTwins) -> None:
    seed = int(os.environ.get("QUERYKEEP_FUZZ_SEED", SEED + 1))
    check(mariadb_twins, seed, int(os.environ.get("QUERYKEEP_FUZZ_COUNT", "20000")))
