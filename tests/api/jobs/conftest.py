"""A job of the tests' own, whose work each test decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from querykeep_api.jobs import registry
from querykeep_api.jobs.registry import Every, Job, JobContext, Text, jobs

NAME = "test_job"


class Work:
    """What the test job does when it runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.body: Callable[[JobContext], str] = lambda context: "done"

    def __call__(self, context: JobContext) -> str:
        self.runs += 1
        return self.body(context)


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    job = Job(NAME, Text("Test", "시험"), Text("For tests", "시험용"), Every(60), made)
    jobs()
    registry._REGISTERED[NAME] = job
    jobs.cache_clear()
    yield made
    del registry._REGISTERED[NAME]
    jobs.cache_clear()
