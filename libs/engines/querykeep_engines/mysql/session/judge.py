"""What becomes of decisions: a command goes on, is asked again, is refused, or is stopped."""

from __future__ import annotations

from querykeep_engines.kit.session import CatalogChanged, Decide
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.exchanges import OwnQuestion
from querykeep_engines.mysql.session.line import Line, Question
from querykeep_engines.mysql.session.query import QueryExchange
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.decision import Decision

_MISSING = frozenset({"unknown_relation", "unknown_column"})

_NOT_SENT = "not run: another statement of the same text was refused"


class Judge:
    """Takes the answers to a line's questions, and what makes an answer void."""

    def __init__(self, line: Line, *, is_mariadb: bool) -> None:
        self._line = line
        self._is_mariadb = is_mariadb

    def decided(self, request_id: int, decisions: tuple[Decision, ...]) -> bool:
        """Take an answer; True when the command that waited for it was dealt with.

        A name that the catalog lacks makes it be read again, once, before that is final.
        """
        line = self._line
        if request_id == line.recheck_id:
            line.recheck_id = None
            self._rechecked(decisions)
            return False
        question = line.question
        if question is None or request_id != line.request_id:
            return False
        if not question.asked_again and any(map(_lacks_names, decisions)):
            question.asked_again = True
            line.pipe.emit(CatalogChanged("a statement names what the catalog lacks"))
            line.ask(question)
            return False
        line.question = None
        refused = [decision for decision in decisions if not decision.may_run]
        if refused:
            for decision in decisions:
                told = errors.decision_error(decision)
                if decision.may_run:
                    told = errors.error(errors.ER_TABLEACCESS_DENIED, _NOT_SENT)
                line.recorder.refused(
                    decision,
                    str(told.code),
                    told.message,
                    question.protocol,
                    question.parameters,
                )
            line.wire.own(errors.decision_error(refused[0]).encode())
        elif question.interrupted is not None and decisions:
            self._stop_unsent(question, decisions, question.interrupted)
        else:
            line.judged = question
            question.then(decisions)
        return True

    def _stop_unsent(
        self, question: Question, decisions: tuple[Decision, ...], outcome: Outcome
    ) -> None:
        """What was cancelled before it could be sent on does not run; that too is recorded."""
        recorder = self._line.recorder
        told = errors.error(
            errors.ER_QUERY_INTERRUPTED, "Query execution was interrupted before it began"
        )
        if question.runs:
            for decision in decisions:
                run = recorder.started(decision, question.protocol, question.parameters)
                recorder.completed(run, outcome, told.message, str(told.code))
        self._line.wire.own(told.encode())

    def policy_changed(self, policy: SessionPolicy) -> None:
        """Judge anew what runs or waits to be judged."""
        line = self._line
        line.policy = policy
        line.recorder.policy_version = policy.version
        line.state.names.doubt_contents()
        judged = line.judged
        if line.running is not None and judged is not None:
            # Rows of statements that were judged under the old policy are on their way.
            line.request_id += 1
            line.recheck_id = line.request_id
            context = line.state.with_tables_of_now(judged.context)
            line.pipe.emit(Decide(line.recheck_id, judged.text, context, "recheck"))
        elif line.question is not None:
            line.ask(line.question)

    def _rechecked(self, decisions: tuple[Decision, ...]) -> None:
        run, exchange = self._line.running, self._line.exchange
        if run is None or exchange is None:
            return
        left = exchange.unended if isinstance(exchange, QueryExchange) else (run,)
        same = len(decisions) >= len(left) and all(
            decision.may_run and decision.plan.masks == one.decision.plan.masks
            for decision, one in zip(decisions[-len(left) :], left, strict=True)
        )
        if not same:
            text = "the policy changed while the statement ran: its result was stopped"
            exchange.void(errors.error(errors.ER_TABLEACCESS_DENIED, text), Outcome.KILLED)

    def cancel(self, *, by_admin: bool, time_limit: bool, more_waits: bool) -> None:
        """Cancel what runs, or what has not begun. ``more_waits``: a command of the client's lies
        unread, because what judging it needs is being asked."""
        line = self._line
        outcome = Outcome.KILLED if by_admin else Outcome.CANCELLED
        exchange = line.exchange
        if exchange is None or isinstance(exchange, OwnQuestion):
            # Not begun: it is being judged, or waits for what judging it needs.
            if line.question is not None:
                line.question.interrupted = outcome
            elif more_waits:
                line.interrupted = outcome
            return
        line.wire.interrupted = outcome
        if time_limit and isinstance(exchange, QueryExchange):
            exchange.override = errors.time_limit_error(is_mariadb=self._is_mariadb)
        line.wire.cancel()


def _lacks_names(decision: Decision) -> bool:
    return not decision.may_run and any(
        problem.code in _MISSING for problem in decision.facts.problems
    )
