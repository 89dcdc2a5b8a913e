"""What the parts of a live session share: the command under way and the question that is open."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.kit.session import Decide, SessionConfig
from querykeep_engines.mysql.session.query import QueryExchange
from querykeep_engines.mysql.session.results import Exchange, Wire
from querykeep_engines.mysql.wire.messages import ColumnDefinition, ErrorPacket
from querykeep_engines.mysql.wire.packets import encode_packet
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext


@dataclass(slots=True)
class Question:
    """A decision that is asked for. ``then`` gets the decisions when all may run; ``runs`` is False
    where that runs nothing yet. ``interrupted``: somebody cancelled it meanwhile."""

    text: str
    context: SessionContext
    protocol: str
    then: Callable[[tuple[Decision, ...]], None]
    parameters: int = 0
    asked_again: bool = False
    interrupted: Outcome | None = None
    runs: bool = True


class Line:
    """One live session's shared state: at most one command of the client's is under way.

    Attributes:
        exchange: The command that was sent on and is not yet answered whole.
        question: The decision that the command at hand waits for.
        judged: The question that the command at hand was let go on by.
        request_id: Number of the last decision that was asked for.
        recheck_id: Number of the decision on what runs already, after the policy changed.
        interrupted: What the command that is being taken was asked to end as, before it began.
    """

    def __init__(self, config: SessionConfig, wire: Wire) -> None:
        self.config = config
        self.wire = wire
        self.pipe = wire.pipe
        self.recorder = wire.recorder
        self.state = wire.state
        self.exchange: Exchange | None = None
        self.question: Question | None = None
        self.judged: Question | None = None
        self.request_id = 0
        self.recheck_id: int | None = None
        self.interrupted: Outcome | None = None
        self._policy_now: SessionPolicy | None = None

    @property
    def policy(self) -> SessionPolicy:
        """The policy as it is by now."""
        return self._policy_now or self.recorder.grant.policy

    @policy.setter
    def policy(self, policy: SessionPolicy) -> None:
        self._policy_now = policy

    @property
    def running(self) -> RecordedStatement | None:
        """The recorded statement that runs now."""
        return self.exchange.current if self.exchange else None

    @property
    def is_busy(self) -> bool:
        """True while a command of the client, or a question of our own, waits for its answer."""
        return self.exchange is not None or self.question is not None

    def send(self, payload: bytes, exchange: Exchange) -> None:
        """Send a command on; ``exchange`` reads its answer."""
        self.exchange = exchange
        self.pipe.to_server(encode_packet(payload, 0))

    def ask(self, question: Question) -> None:
        """Ask for a decision; the command at hand waits for it."""
        self.question = question
        question.interrupted = question.interrupted or self.interrupted
        self.request_id += 1
        self.pipe.emit(Decide(self.request_id, question.text, question.context, question.protocol))

    def refuse(self, text: str, told: ErrorPacket, protocol: str) -> None:
        """Record that ``text`` was refused without a decision, and tell the client."""
        self.recorder.refused_text(text, str(told.code), told.message, protocol)
        self.wire.own(told.encode())

    def query_exchange(
        self,
        runs: deque[RecordedStatement],
        *,
        binary: bool,
        on_cursor: Callable[[RecordedStatement, list[ColumnDefinition]], None] | None = None,
    ) -> QueryExchange:
        """Return what reads the results of ``runs``, within the policy's limits."""
        return QueryExchange(
            self.wire,
            runs,
            binary=binary,
            max_rows=self.policy.limits.max_rows,
            on_cursor=on_cursor,
        )
