"""Audit events of a session: opened, each statement started and completed, closed, turned away."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.session import Audit, SessionConfig
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
from querykeep_guard.contracts.session import ClientInfo, EndReason, SessionGrant, client_text
from querykeep_guard.policy.decision import Decision

WHOLE_TEXT_BYTES = 40 * 1024 * 1024
"""Longest text, as JSON writes it, that one audit record takes; a longer one may not run, because
what runs is recorded whole. The API takes bodies of 64 MiB."""
_CUT_CHARS = 1024 * 1024
_SURELY_FITS_CHARS = WHOLE_TEXT_BYTES // 6
"""JSON makes at most six bytes of a character."""


def is_recordable(text: str) -> bool:
    """Return whether a statement of this text can be recorded whole."""
    if len(text) <= _SURELY_FITS_CHARS:
        return True
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= (
        WHOLE_TEXT_BYTES
    )


def too_long(text: str) -> str:
    """Return why a statement that ``is_recordable`` does not accept is refused."""
    return (
        f"the statement of {len(text)} characters is too long to be recorded whole (limit "
        f"{WHOLE_TEXT_BYTES // 1024 // 1024} MiB), and what is not recorded does not run: send it "
        "in several statements"
    )


@dataclass(slots=True)
class RecordedStatement:
    """A statement that was recorded and may be sent on. ``since`` is monotonic seconds; ``outcome``
    set before the end wins over what the target says (killed, cancelled)."""

    started: StatementStarted
    decision: Decision
    since: float
    rows: int = 0
    bytes: int = 0
    outcome: Outcome | None = None


class Recorder:
    """Writes one session's audit events; a statement is recorded before it is sent on."""

    def __init__(self, config: SessionConfig, pipe: Pipe) -> None:
        self._config = config
        self._pipe = pipe
        self._grant: SessionGrant | None = None
        self._client = ClientInfo(address=config.client_address)
        self._statements = 0
        self._rows = 0
        self.policy_version = 0
        self.database = config.connection.database

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
        self.policy_version = grant.policy.version
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
                    username=client_text(username),
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

    def started(self, decision: Decision, protocol: str, parameters: int = 0) -> RecordedStatement:
        """Record a statement that may run."""
        event = self._statement(
            self._text_of(decision), decision, decision.verdict, protocol, parameters, "", ""
        )
        self._pipe.record(event)
        return RecordedStatement(event, decision, self._config.now()[1])

    def refused(
        self, decision: Decision, code: str, message: str, protocol: str, parameters: int = 0
    ) -> None:
        """Record a statement that is not sent on. A statement that the policy allows but the
        session cannot let run counts as denied."""
        verdict = Verdict.DENIED if decision.may_run else decision.verdict
        text = self._text_of(decision)
        self._pipe.record(
            self._statement(text, decision, verdict, protocol, parameters, code, message)
        )

    def refused_text(self, text: str, code: str, message: str, protocol: str) -> None:
        """Record a command that is refused without a decision."""
        self._pipe.record(self._statement(text, None, Verdict.DENIED, protocol, 0, code, message))

    def completed(
        self, run: RecordedStatement, outcome: Outcome, error: str = "", code: str = ""
    ) -> None:
        """Record how a statement that was sent on ended."""
        at, monotonic = self._config.now()
        self._rows += run.rows
        self._pipe.record(
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

    @staticmethod
    def _text_of(decision: Decision) -> str:
        facts = decision.facts
        return facts.text if facts.redacted_text is None else facts.redacted_text

    @staticmethod
    def _recorded(text: str) -> str:
        if is_recordable(text):
            return text
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{text[:_CUT_CHARS]}… (not run; {len(text)} characters in all, SHA-256 {digest})"

    def _statement(
        self,
        text: str,
        decision: Decision | None,
        verdict: Verdict,
        protocol: str,
        parameters: int,
        code: str,
        message: str,
    ) -> StatementStarted:
        grant = self.grant
        facts = decision.facts if decision else None
        self._statements += 1
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
            database=self.database,
            statement=self._recorded(text),
            kind=facts.kind.value if facts else StatementKind.UNKNOWN.value,
            objects=facts.objects if facts else (),
            verdict=verdict,
            rules=decision.rules if decision else (),
            digest=facts.digest if facts else "",
            policy_version=self.policy_version,
            catalog_version=grant.catalog_version,
            error=message,
            error_code=code,
            protocol=protocol,
            parameters=parameters,
            reason=decision.reason if decision else None,
        )
