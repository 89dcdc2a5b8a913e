"""Audit events of a session: opened, each statement started and completed, closed, turned away."""

from __future__ import annotations

from querykeep_engines.kit.session import Audit, SessionConfig
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import RunningStatement
from querykeep_engines.postgresql.session.pipe import Pipe
from querykeep_guard.contracts.audit import (
    Outcome,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import ClientInfo, EndReason, SessionGrant
from querykeep_guard.policy.decision import Decision


class Recorder:
    """Writes this session's audit events; a statement is recorded before it is sent on."""

    def __init__(self, config: SessionConfig, pipe: Pipe) -> None:
        self._config = config
        self._pipe = pipe
        self._grant: SessionGrant | None = None
        self._client = ClientInfo(address=config.client_address)
        self._statements = 0
        self._rows = 0

    @property
    def grant(self) -> SessionGrant:
        """The grant of an opened session."""
        if self._grant is None:
            raise AssertionError("no session is open")
        return self._grant

    @property
    def is_open(self) -> bool:
        """True between opened and closed."""
        return self._grant is not None

    def opened(self, grant: SessionGrant, client: ClientInfo, *, tls: bool) -> None:
        """Record that the session opened."""
        self._grant, self._client = grant, client
        subject = grant.policy.subject
        self._pipe.emit(
            Audit(
                SessionOpened(
                    session_id=grant.session_id,
                    opened_at=self._config.now()[0],
                    user_id=subject.user_id,
                    username=subject.username,
                    route=grant.route,
                    client=client,
                    connection_id=self._config.connection.id,
                    connection_name=self._config.connection.name,
                    tls=tls,
                )
            )
        )

    def turned_away(self, username: str, client: ClientInfo, code: str, detail: str) -> None:
        """Record that a client was turned away before a session opened."""
        self._pipe.emit(
            Audit(
                SignInRefused(
                    at=self._config.now()[0],
                    connection_id=self._config.connection.id,
                    username=username,
                    route=self._config.route,
                    client=client,
                    code=code,
                    detail=detail,
                )
            )
        )

    def closed(self, reason: EndReason, detail: str) -> None:
        """Record that the session ended; at most once."""
        if self._grant is None:
            return
        self._pipe.emit(
            Audit(
                SessionClosed(
                    session_id=self._grant.session_id,
                    closed_at=self._config.now()[0],
                    reason=reason,
                    statements=self._statements,
                    rows=self._rows,
                    bytes_to_client=self._pipe.bytes_to_client,
                    detail=detail,
                )
            )
        )
        self._grant = None

    def started(self, decision: Decision, protocol: str, parameters: int) -> RunningStatement:
        """Record a statement that may run."""
        event = self._event(decision, decision.verdict, protocol, parameters, None)
        self._pipe.emit(Audit(event))
        return RunningStatement(event, decision, self._config.now()[1])

    def refused(self, decision: Decision, error: PgError, protocol: str, parameters: int) -> None:
        """Record a statement that is not sent on. A statement that the policy allows but the
        session cannot let run counts as denied."""
        verdict = Verdict.DENIED if decision.may_run else decision.verdict
        self._pipe.emit(Audit(self._event(decision, verdict, protocol, parameters, error)))

    def _event(
        self,
        decision: Decision,
        verdict: Verdict,
        protocol: str,
        parameters: int,
        error: PgError | None,
    ) -> StatementStarted:
        grant, facts = self.grant, decision.facts
        self._statements += 1
        text = facts.text if facts.redacted_text is None else facts.redacted_text
        return StatementStarted(
            statement_id=self._config.new_id(),
            session_id=grant.session_id,
            started_at=self._config.now()[0],
            user_id=grant.policy.subject.user_id,
            username=grant.policy.subject.username,
            route=grant.route,
            client=self._client,
            connection_id=self._config.connection.id,
            connection_name=self._config.connection.name,
            database=self._config.connection.database,
            statement=text,
            kind=facts.kind.value,
            objects=facts.objects,
            verdict=verdict,
            rules=decision.rules,
            digest=facts.digest,
            policy_version=self._policy_version,
            catalog_version=grant.catalog_version,
            error=error.message if error else "",
            error_code=error.code if error else "",
            protocol=protocol,
            parameters=parameters,
        )

    _policy_version = 0

    def policy(self, version: int) -> None:
        """Statements are judged under this version from now on."""
        self._policy_version = version

    def refused_message(self, text: str, error: PgError) -> None:
        """Record a message that is refused without a decision (function call …)."""
        grant = self.grant
        self._statements += 1
        self._pipe.emit(
            Audit(
                StatementStarted(
                    statement_id=self._config.new_id(),
                    session_id=grant.session_id,
                    started_at=self._config.now()[0],
                    user_id=grant.policy.subject.user_id,
                    username=grant.policy.subject.username,
                    route=grant.route,
                    client=self._client,
                    connection_id=self._config.connection.id,
                    connection_name=self._config.connection.name,
                    database=self._config.connection.database,
                    statement=text,
                    kind=StatementKind.UNKNOWN.value,
                    objects=(),
                    verdict=Verdict.DENIED,
                    rules=(),
                    digest="",
                    policy_version=self._policy_version,
                    catalog_version=grant.catalog_version,
                    error=error.message,
                    error_code=error.code,
                    protocol="extended",
                )
            )
        )

    def completed(
        self, run: RunningStatement, outcome: Outcome, error: str = "", code: str = ""
    ) -> None:
        """Record how a statement that was sent on ended."""
        at, monotonic = self._config.now()
        self._rows += run.rows
        self._pipe.emit(
            Audit(
                StatementCompleted(
                    statement_id=run.started.statement_id,
                    session_id=run.started.session_id,
                    completed_at=at,
                    outcome=run.outcome or outcome,
                    rows=run.rows,
                    bytes=run.bytes,
                    duration_ms=max(0.0, (monotonic - run.since) * 1000.0),
                    error=error,
                    error_code=code,
                )
            )
        )
