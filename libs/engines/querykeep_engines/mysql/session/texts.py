"""Statements' texts as the client sent them: read in the session's character set, or refused."""

from __future__ import annotations

from querykeep_engines.kit.recorder import is_recordable, too_long
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.line import Line
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import Effect, StatementFacts

_ROW_KINDS = frozenset(
    {
        StatementKind.SELECT,
        StatementKind.INSERT,
        StatementKind.UPDATE,
        StatementKind.DELETE,
    }
)


def read_text(line: Line, data: bytes) -> str | None:
    """Return a statement's text, or None after refusing what cannot be read."""
    try:
        text = data.decode(line.state.encoding)
    except UnicodeDecodeError:
        refuse_bytes(line, data)
        return None
    return text if _fits(line, text) else None


def read_query_text(line: Line, data: bytes) -> str | None:
    """Return a query's text, or None after refusing it; bytes that are no text stand there as
    ``\\xff``.

    Drivers put binary values into literals as they are (``_binary'…'``). In UTF-8 no such byte
    can swallow a quote, neither here nor at the server, so that both read the same statement.
    Only statements on rows may have them (``may_hold_bytes``).
    """
    if line.state.encoding != "utf-8":
        return read_text(line, data)
    text = data.decode("utf-8", "backslashreplace")
    return text if _fits(line, text) else None


def refuse_bytes(line: Line, data: bytes) -> None:
    """Refuse a statement that is not valid in its character set."""
    encoding = line.state.encoding
    try:
        data.decode(encoding)
        at = -1
    except UnicodeDecodeError as error:
        at = error.start
    told = errors.error(
        errors.ER_INVALID_CHARACTER,
        f"the statement is not valid {encoding} at byte {at}: use SET NAMES utf8mb4",
    )
    line.refuse(data.decode(encoding, "backslashreplace"), told, "simple")


def may_hold_bytes(facts: StatementFacts) -> bool:
    """Return whether a literal of this statement may hold bytes that are no text: where it is a
    value, not where the server reads it as a statement or a setting."""
    return facts.kind in _ROW_KINDS and Effect.SESSION not in facts.effects


def _fits(line: Line, text: str) -> bool:
    """Return whether a text can be recorded whole; else it was refused."""
    if is_recordable(text):
        return True
    line.refuse(text, errors.error(errors.ER_PACKET_TOO_LARGE, too_long(text)), "simple")
    return False
