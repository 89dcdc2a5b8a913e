"""Which jobs there are. A job is a function with the decorator ``job``; modules of ``builtin`` and
every app's ``job_definitions`` module register theirs on first use of ``jobs()``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from querykeep_api.config.discovery import modules_of_apps

BUILTIN = "querykeep_api.jobs.builtin"
_REGISTERED: dict[str, Job] = {}


class JobContext(Protocol):
    """What a running job has in hand."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    @property
    def arguments(self) -> Mapping[str, str]:
        """What the starter asked for; empty on schedule."""
        ...

    def check(self) -> None:
        """Raise LeaseLostError when another worker took over; called before each step."""
        ...

    def changed(self, kind: str, subject: str, detail: str = "") -> None:
        """Note something that this run changed or found, for the page."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text for people in both languages."""

    en: str
    ko: str

    def in_language(self, language: str) -> str:
        """Return the text; English for any other language."""
        return self.ko if language == "ko" else self.en


@dataclass(frozen=True, slots=True)
class Every:
    """Run again this many seconds after the last start."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Daily:
    """Run once a day at this time in UTC."""

    hour: int
    minute: int


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work. ``run`` returns a summary for a person; ``is_safe_to_run_now`` is False for
    what must not be started by hand; ``is_enabled`` is how the schedule starts out."""

    name: str
    title: Text
    description: Text
    schedule: Every | Daily
    run: Callable[[JobContext], str]
    is_safe_to_run_now: bool = True
    is_enabled: bool = True


class UnknownJobError(LookupError):
    """No job has this name."""


def job(
    name: str,
    *,
    title: Text,
    description: Text,
    schedule: Every | Daily,
    is_safe_to_run_now: bool = True,
    is_enabled: bool = True,
) -> Callable[[Callable[[JobContext], str]], Callable[[JobContext], str]]:
    """Register a function as a job; raises ValueError for a name that is taken."""

    def register(function: Callable[[JobContext], str]) -> Callable[[JobContext], str]:
        if name in _REGISTERED:
            raise ValueError(f"job {name!r} is registered twice")
        _REGISTERED[name] = Job(
            name, title, description, schedule, function, is_safe_to_run_now, is_enabled
        )
        return function

    return register


@cache
def jobs() -> Mapping[str, Job]:
    """Return all jobs by name, sorted."""
    importlib.import_module(BUILTIN)
    for module in modules_of_apps("job_definitions"):
        importlib.import_module(module)
    return dict(sorted(_REGISTERED.items()))


def job_named(name: str) -> Job:
    """Return a job; raises UnknownJobError, whose text lists those that exist."""
    found = jobs().get(name)
    if found is None:
        raise UnknownJobError(f"there is no job {name!r}; there are: {', '.join(jobs())}")
    return found
