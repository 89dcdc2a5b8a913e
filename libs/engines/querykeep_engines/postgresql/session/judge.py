"""Asks for decisions and adds the refusals that only a session can know.

A decision holds for what was known when it was made: policy, names, catalog, time. It is used again
only while the first two are the same and the last is at most a second old.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from querykeep_engines.kit.session import CatalogChanged, Decide
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import Judged
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.session.settings import is_utf8
from querykeep_engines.postgresql.session.state import (
    alters_names,
    changes_schema,
    is_bare,
    touches_relations,
)
from querykeep_engines.postgresql.wire.decode import Frame
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

_FRESH_S = 1.0
"""Expiry and hours are looked at again, and a catalog that moved is noticed, within this time."""
_MISSING = frozenset({"unknown_relation", "unknown_column", "stale_catalog"})
_ROLE_SETTINGS = frozenset({"role", "session_authorization"})

Then = Callable[[tuple[Judged, ...]], None]


@dataclass(slots=True)
class _Question:
    request_id: int
    frame: Frame
    text: str
    protocol: str
    context: SessionContext
    generation: int
    then: Then
    pinned: bool
    asked_again: bool = False
    void: bool = False


class Judge:
    """One open question at a time."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._last_id = 0
        self._question: _Question | None = None

    @property
    def asking(self) -> bool:
        """True while a decision is awaited."""
        return self._question is not None

    def context(self, text: str, parameter_types: tuple[int, ...] = ()) -> SessionContext:
        """Return the context of this moment."""
        line = self._line
        return line.state.context(
            text,
            line.book.statements,
            in_transaction=line.status != "I",
            parameter_types=parameter_types,
        )

    def ask(
        self,
        frame: Frame,
        text: str,
        protocol: str,
        context: SessionContext,
        then: Then,
        *,
        pinned: bool = False,
    ) -> None:
        """Ask for the decisions on ``text``; ``then`` gets them. ``pinned``: about names as they
        were when a portal was made, so that it does not matter what they mean by now."""
        self._last_id += 1
        self._question = _Question(
            self._last_id, frame, text, protocol, context, self._line.state.generation, then, pinned
        )
        self._line.pipe.emit(Decide(self._last_id, text, context, protocol))

    def policy_changed(self) -> None:
        """What is being asked is asked of an old policy."""
        if self._question is not None:
            self._question.void = True

    def decided(self, request_id: int, decisions: tuple[Decision, ...]) -> Frame | None:
        """Take an answer. Returns the message to handle again from the start when the answer does
        not hold any more, else None.

        A name that the catalog lacks makes it be read again, once, before that is final.
        """
        question = self._question
        if question is None or question.request_id != request_id:
            return None
        self._question = None
        moved = question.generation != self._line.state.generation and not question.pinned
        if question.void or moved:
            return question.frame
        missing = next((text for text in map(_missing, decisions) if text), "")
        if missing and not question.asked_again:
            self._line.pipe.emit(CatalogChanged(missing))
            self._last_id += 1
            self._question = replace(question, request_id=self._last_id, asked_again=True)
            self._line.pipe.emit(
                Decide(self._last_id, question.text, question.context, question.protocol)
            )
            return None
        at = self._line.config.now()[1]
        question.then(
            tuple(
                Judged(decision, self._line.policy, question.context, question.generation, at)
                for decision in decisions
            )
        )
        return None

    def is_fresh(self, judged: Judged) -> bool:
        """Return whether a decision may still be used for names as they are now."""
        return judged.generation == self._line.state.generation and self.is_current(judged)

    def is_current(self, judged: Judged) -> bool:
        """Return whether policy and time of a decision still hold."""
        age = self._line.config.now()[1] - judged.at
        return judged.policy is self._line.policy and age <= _FRESH_S

    def refusals(self, judged: tuple[Judged, ...]) -> tuple[PgError | None, ...]:
        """Return, per statement, why it may not run, or None. When one is refused none may run."""
        found: list[PgError | None] = []
        for index, item in enumerate(judged):
            decision = item.decision
            if not decision.may_run:
                found.append(errors.decision_error(decision))
            else:
                earlier = tuple(other.decision for other in judged[:index])
                found.append(self._session_refusal(decision, earlier))
        return tuple(found)

    def _session_refusal(self, decision: Decision, earlier: tuple[Decision, ...]) -> PgError | None:
        facts = decision.facts
        for change in facts.settings:
            name = change.name.lower()
            if name in ("client_encoding", "names") and change.value is not None:
                if not is_utf8(change.value):
                    return PgError(
                        errors.INSUFFICIENT_PRIVILEGE,
                        f'client_encoding "{change.value}" is not accepted: statements are judged '
                        "as UTF-8 text",
                    )
            elif name in _ROLE_SETTINGS and change.value is not None:
                return PgError(
                    errors.INSUFFICIENT_PRIVILEGE,
                    f'setting "{name}" may not be changed through Querykeep: grants and masks are '
                    "those of the signed-in person",
                )
        is_copy = facts.kind in (StatementKind.COPY_IN, StatementKind.COPY_OUT)
        if is_copy and decision.plan.masks:
            return PgError(
                errors.INSUFFICIENT_PRIVILEGE,
                "COPY of masked columns is refused",
                "Read the rows with SELECT, which masks them.",
            )
        makes_name = any(action in ("prepare", "declare") for action, _ in facts.names)
        if makes_name and not self._line.state.has_room(facts.text):
            return PgError(
                errors.PROGRAM_LIMIT,
                "this session holds too many prepared statements and cursors: close some",
            )
        if self._line.status == "E" and earlier and self._line.state.dirty:
            return PgError(
                errors.INSUFFICIENT_PRIVILEGE,
                "after a failed transaction that changed session settings, send ROLLBACK alone "
                "before other statements",
            )
        return self._order_refusal(decision, earlier)

    def _order_refusal(self, decision: Decision, earlier: tuple[Decision, ...]) -> PgError | None:
        """Names were resolved as they are now; refuse where they will mean something else by the
        time that the statement runs. Of no matter where nothing is hidden."""
        if not touches_relations(decision.facts) or is_bare(self._line.policy):
            return None
        if self._line.ddl_open:
            return PgError(
                errors.INSUFFICIENT_PRIVILEGE,
                "a transaction that changed the schema must be committed before tables are read or "
                "written in this session",
                "Commit, then run this statement.",
            )
        touched = self._line.state.touched
        for other in earlier:
            facts = other.facts
            touched = touched or alters_names(facts)
            changes = alters_names(facts) or (facts.kind is StatementKind.TRANSACTION and touched)
            if changes or changes_schema(facts):
                return PgError(
                    errors.INSUFFICIENT_PRIVILEGE,
                    "a statement that changes the schema or the search path must be sent on its "
                    "own, before statements whose tables it could change",
                    "Send the statements one by one.",
                )
        return None


def _missing(decision: Decision) -> str:
    if decision.may_run:
        return ""
    for problem in decision.facts.problems:
        if problem.code in _MISSING:
            return problem.message
    return ""
