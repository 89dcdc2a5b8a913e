"""The twin-database check: what a person sees must not depend on what is hidden from him.

Two databases, *here* and *there*, differ only in what the rules hide. A program (statements of one
session, in order) is run in both, once through governed sessions and, where asked, once without the
guard. Governed answers must be the same byte for byte; bare answers show whether the guard was
needed at all. An engine brings a ``Twins``: how to open a session in either database.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol


class World(enum.Enum):
    """One of the two databases."""

    HERE = "here"
    THERE = "there"


_ORDERED = re.compile(r"order\s+by", re.IGNORECASE)
_BY_KEY = re.compile(r"^(?!.*\bjoin\b).*order\s+by\s+id\b", re.IGNORECASE | re.DOTALL)
"""One table ordered by its key."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a client can see of one statement, as bytes.

    Attributes:
        data: Descriptions, rows, tags, errors, notices, state of the transaction.
        verdict: ``refused`` when the guard refused it, ``failed`` when the engine did, else ``ok``.
        loose: The same with rows sorted, for statements that leave their order open.
        plain: ``data`` and ``loose`` without what the guard may keep from a person though nothing
            of the statement's own answer is hidden; None where they are the same.
    """

    data: bytes
    verdict: str
    loose: bytes
    plain: tuple[bytes, bytes] | None = None

    def as_let_through(self) -> Observation:
        """Return what can be compared with an answer that no guard has seen."""
        if self.plain is None:
            return self
        return replace(self, data=self.plain[0], loose=self.plain[1])

    def same_as(
        self, other: Observation, program: Sequence[str], *, ties_open: bool = False
    ) -> bool:
        """Return whether two answers to one statement of a program tell nothing apart. Rows may
        come in another order where no ORDER BY is written in it; with ``ties_open`` also where
        one is written that does not decide between all rows, as random ones seldom do: SQL leaves
        the order of ties open, and a plan chosen by sizes of tables settles it."""
        if self.data == other.data:
            return True
        decides = _BY_KEY if ties_open else _ORDERED
        ordered = any(decides.search(text) for text in program)
        return not ordered and self.loose == other.loose


class Session(Protocol):
    """One connection."""

    def observe(self, statement: str) -> Observation:
        """Run a statement and return what was seen."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Twins(Protocol):
    """Two databases and the ways into them. Each session starts with the databases as they were
    made; what a program wrote must be undone when its sessions close."""

    roads: tuple[str, ...]

    def session(self, world: World, road: str, *, governed: bool) -> Session:
        """Open a session."""
        ...


Program = Sequence[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A statement whose governed answer told the databases apart."""

    road: str
    program: tuple[str, ...]
    number: int
    here: bytes
    there: bytes

    def __str__(self) -> str:
        """Show the statement, those before it, and where the answers part."""
        at = next(
            (i for i, (a, b) in enumerate(zip(self.here, self.there, strict=False)) if a != b),
            min(len(self.here), len(self.there)),
        )
        start = max(0, at - 80)
        before = "".join(f"    {text}\n" for text in self.program[: self.number])
        return (
            f"{self.road}:\n{before}  > {self.program[self.number]}\n"
            f"  here  {self.here[start : at + 120]!r}\n  there {self.there[start : at + 120]!r}"
        )


@dataclass(slots=True)
class Report:
    """What a run over programs found. Counts are of statements, on every road together."""

    statements: int = 0
    allowed: int = 0
    refused: int = 0
    failed: int = 0
    would_leak: int = 0
    ran_bare: int = 0
    restless: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ran(self) -> int:
        """Statements that the guard let through, whether or not the engine then ran them."""
        return self.allowed + self.failed

    @property
    def leaking(self) -> float:
        """Share of statements that would have leaked without the guard."""
        return self.would_leak / max(1, self.ran_bare)

    def __str__(self) -> str:
        """One line of figures."""
        total = max(1, self.statements)
        return (
            f"{self.statements} statements: {len(self.differences)} differences, "
            f"{100 * self.allowed / total:.1f} % allowed, "
            f"{100 * self.refused / total:.1f} % refused, "
            f"{100 * self.failed / total:.1f} % failed at the server, "
            f"{100 * self.leaking:.1f} % would have leaked ungoverned, "
            f"{self.restless} differ from run to run"
        )


def observe(
    twins: Twins, world: World, road: str, program: Program, *, governed: bool
) -> list[Observation]:
    """Run a program in one database."""
    with closing(twins.session(world, road, governed=governed)) as session:
        return [session.observe(statement) for statement in program]


def governed_differences(twins: Twins, program: Program, road: str) -> list[Difference]:
    """Return the statements of a program that tell the databases apart through the guard.

    What differs from run to run by itself (clocks, random numbers) is told by a second run *here*.
    """
    return governed_answers(twins, program, road)[0]


def governed_answers(
    twins: Twins, program: Program, road: str
) -> tuple[list[Difference], list[Observation]]:
    """Return the differences and, of each statement, what was seen *here*."""
    here = observe(twins, World.HERE, road, program, governed=True)
    there = observe(twins, World.THERE, road, program, governed=True)
    return _told(twins, program, road, here, there)[0], here


def _told(
    twins: Twins,
    program: Program,
    road: str,
    here: list[Observation],
    there: list[Observation],
) -> tuple[list[Difference], int]:
    suspects = [
        number
        for number in range(len(program))
        if not here[number].same_as(there[number], program, ties_open=True)
    ]
    if not suspects:
        return [], 0
    again = observe(twins, World.HERE, road, program, governed=True)
    told = [
        Difference(road, tuple(program), number, here[number].data, there[number].data)
        for number in suspects
        if again[number].same_as(here[number], program, ties_open=True)
    ]
    return told, len(suspects) - len(told)


def bare_difference(twins: Twins, program: Program, road: str) -> bool:
    """Return whether a program tells the databases apart when nothing guards them."""
    here = observe(twins, World.HERE, road, program, governed=False)
    there = observe(twins, World.THERE, road, program, governed=False)
    return any(not one.same_as(other, program) for one, other in zip(here, there, strict=True))


def run(
    twins: Twins, programs: Iterable[Program], roads: Iterator[str], *, bare_every: int = 1
) -> Report:
    """Run programs, each on the next road, and report. One of ``bare_every`` is run without the
    guard too, to know how many would have leaked."""
    report = Report()
    for count, program in enumerate(programs):
        road = next(roads)
        here = observe(twins, World.HERE, road, program, governed=True)
        there = observe(twins, World.THERE, road, program, governed=True)
        told, restless = _told(twins, program, road, here, there)
        report.differences += told
        report.restless += restless
        for observation in here:
            report.statements += 1
            match observation.verdict:
                case "refused":
                    report.refused += 1
                case "failed":
                    report.failed += 1
                case _:
                    report.allowed += 1
        if count % bare_every == 0:
            bare_here = observe(twins, World.HERE, road, program, governed=False)
            bare_there = observe(twins, World.THERE, road, program, governed=False)
            report.ran_bare += len(program)
            report.would_leak += sum(
                not one.same_as(other, program)
                for one, other in zip(bare_here, bare_there, strict=True)
            )
    return report
