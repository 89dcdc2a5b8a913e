"""What both directions of a live session share: what was sent, what is due, who may talk."""

from __future__ import annotations

from collections import deque

from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.recorder import Recorder
from querykeep_engines.kit.session import CancelAtTarget, SessionConfig
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import (
    Due,
    NameBook,
    Pending,
    RunningStatement,
)
from querykeep_engines.postgresql.session.state import SessionState, changes_schema
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.states import Phase
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import SessionGrant
from querykeep_guard.policy.decision import Decision

FAILING_TEXT = "REFUSED BY QUERYKEEP"
"""No SQL statement begins with this word, so it is a syntax error in any state of the session."""

NOT_RUN = "not run: an earlier statement of the same series failed"


class Line:
    """One live session's shared state.

    Attributes:
        pending: Messages that the target has yet to answer, oldest first.
        segment: Number of the series being sent; rises with each Sync and Query.
        open_series: True when messages were sent since the last Sync or Query.
        status: Transaction status: ``I``, ``T``, ``E``.
        phase: What the client may send now.
        altering: How many pending messages may change what names mean.
        ddl_open: DDL ran in the transaction that is open, so that the catalog cannot know it.
        ddl_done: DDL ran; the catalog is to be read again once the transaction is over.
        reading: The session's own question to the target is under way.
        swallow: The client was told an error in place of a result; what the target still says of
            this series is kept from it.
        lost: Part of a message went to the client that cannot be completed; nothing may follow.
    """

    def __init__(
        self,
        config: SessionConfig,
        grant: SessionGrant,
        pipe: Pipe,
        recorder: Recorder,
        native_id: bytes,
    ) -> None:
        self.config = config
        self.policy: SessionPolicy = grant.policy
        self.pipe = pipe
        self.recorder = recorder
        self.native_id = native_id
        self.book = NameBook()
        self.state = SessionState(config)
        self.token = "_qk_" + config.random_bytes(8).hex()
        self.pending: deque[Pending] = deque()
        self.segment = 0
        self.open_series = False
        self.status = "I"
        self.phase = Phase.READY
        self.altering = 0
        self.ddl_open = False
        self.ddl_done = False
        self.reading = False
        self.swallow = False
        self.lost = False

    # --- sending ----------------------------------------------------------------------------------

    def send(self, data: bytes, pending: Pending) -> None:
        """Send a message and note that its answer is due."""
        self.pipe.to_server(data)
        self.pending.append(pending)
        if pending.alters:
            self.altering += 1
        if pending.due in (Due.SYNC, Due.QUERY):
            self.segment += 1
            self.open_series = False
        else:
            self.open_series = True

    def start(self, decision: Decision, protocol: str, parameters: int = 0) -> RunningStatement:
        """Record a statement that is about to be sent on."""
        recorded = self.recorder.started(decision, protocol, parameters)
        return RunningStatement(recorded.started, recorded.decision, recorded.since)

    def note_sent(self, runs: list[RunningStatement]) -> bool:
        """Keep the books for statements about to be sent; return whether names become uncertain."""
        alters = False
        for run in runs:
            alters |= self.state.sent(run.decision)
            if changes_schema(run.decision.facts):
                self.ddl_open = self.ddl_done = True
        return alters

    def fail_series(self, error: PgError) -> None:
        """Stand a message that surely fails in for a refused one of the extended protocol; the
        client gets ``error`` in its place, and both ends skip to Sync."""
        self.send(
            encode.parse(self.token, FAILING_TEXT),
            Pending(Due.PARSE, self.segment, own_error=error),
        )
        self.phase = Phase.SKIPPING

    def fail_query(self, error: PgError) -> None:
        """The same for a simple query. With no transaction and nothing under way, or in a
        transaction that has failed already, the target need not be asked."""
        if not self.pending and not self.open_series and self.status in "IE":
            self.pipe.to_client(error.encode() + encode.ready_for_query(self.status))
            return
        self.send(encode.query(FAILING_TEXT), Pending(Due.QUERY, self.segment, own_error=error))

    # --- answered ---------------------------------------------------------------------------------

    def answered(self) -> Pending:
        """Take the oldest pending message off."""
        pending = self.pending.popleft()
        if pending.alters:
            self.altering -= 1
        return pending

    @property
    def head_run(self) -> RunningStatement | None:
        """The statement that the target works on now."""
        for pending in self.pending:
            if pending.runs:
                return pending.runs[0]
        return None

    def complete(
        self, run: RunningStatement, outcome: Outcome, error: str = "", code: str = ""
    ) -> None:
        """A statement ended."""
        self.recorder.completed(run, outcome, error, code)
        self.state.ended(run.decision, ok=outcome is Outcome.OK)
        if outcome is Outcome.OK:
            for verb, name in run.decision.facts.names:
                if verb in ("prepare", "deallocate"):
                    self.book.drop("S", name)
                elif verb in ("declare", "close"):
                    self.book.drop("P", name)

    def complete_all(self, outcome: Outcome, error: str) -> None:
        """Nothing more will be heard of what runs: the first one ran, the others perhaps did."""
        for pending in self.pending:
            while pending.runs:
                self.recorder.completed(pending.runs.popleft(), outcome, error)

    def cancel_head(self) -> None:
        """Ask the target to cancel what runs; once per statement."""
        run = self.head_run
        if run is None or run.cancel_sent:
            return
        run.cancel_sent = True
        self.pipe.emit(CancelAtTarget(self.native_id))
