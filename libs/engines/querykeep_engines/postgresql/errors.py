"""Deny, limit, timeout and sign-in refusals in PostgreSQL's own words: SQLSTATE and fields.

Source of the codes: PostgreSQL documentation, appendix "PostgreSQL Error Codes"; which case takes
which code is DESIGN §6.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import read_error_fields
from querykeep_guard.contracts.session import EndReason, SignInRefusal
from querykeep_guard.policy.decision import Decision, MaskPlan

PROTOCOL_VIOLATION = "08P01"
CONNECTION_FAILURE = "08006"
CANNOT_CONNECT = "08001"
TARGET_REJECTED = "08004"
INSUFFICIENT_PRIVILEGE = "42501"
SYNTAX_ERROR = "42601"
UNDEFINED_STATEMENT = "26000"
UNDEFINED_CURSOR = "34000"
FEATURE_NOT_SUPPORTED = "0A000"
INVALID_AUTHORIZATION = "28000"
INVALID_PASSWORD = "28P01"  # noqa: S105 - an SQLSTATE
UNDEFINED_DATABASE = "3D000"
QUERY_CANCELED = "57014"
ADMIN_SHUTDOWN = "57P01"
CANNOT_CONNECT_NOW = "57P03"
DISK_FULL = "53100"
PROGRAM_LIMIT = "54000"
CHARACTER_NOT_IN_REPERTOIRE = "22021"
INTERNAL_ERROR = "XX000"

_SIGN_IN_CODES = {
    "bad_credentials": INVALID_PASSWORD,
    "locked": INVALID_AUTHORIZATION,
    "outside_zone": INVALID_AUTHORIZATION,
    "outside_hours": INVALID_AUTHORIZATION,
    "no_grant": INVALID_AUTHORIZATION,
    "tls_required": INVALID_AUTHORIZATION,
    "connection_disabled": INVALID_AUTHORIZATION,
    "ticket_invalid": INVALID_AUTHORIZATION,
    "unknown_database": UNDEFINED_DATABASE,
    "policy_unreachable": CANNOT_CONNECT_NOW,
}

_END_CODES = {
    EndReason.SPOOL_FULL: DISK_FULL,
    EndReason.PROTOCOL_ERROR: PROTOCOL_VIOLATION,
    EndReason.TARGET_CLOSED: CONNECTION_FAILURE,
    EndReason.TARGET_UNREACHABLE: CANNOT_CONNECT,
    EndReason.RESULT_MISMATCH: INSUFFICIENT_PRIVILEGE,
    EndReason.INTERNAL_ERROR: INTERNAL_ERROR,
}


@dataclass(frozen=True, slots=True)
class PgError:
    """An error of our own. ``position`` is a 0-based character offset into the statement, or -1."""

    code: str
    message: str
    hint: str = ""
    position: int = -1
    severity: str = "ERROR"

    def encode(self) -> bytes:
        """Return the ErrorResponse."""
        fields = [
            ("S", self.severity),
            ("V", self.severity),
            ("C", self.code),
            ("M", self.message),
        ]
        if self.hint:
            fields.append(("H", self.hint))
        if self.position >= 0:
            fields.append(("P", str(self.position + 1)))
        return encode.error_response(fields)


def fatal(code: str, message: str) -> PgError:
    """Return an error after which the connection is closed."""
    return PgError(code, message, severity="FATAL")


def sign_in_error(refusal: SignInRefusal, username: str) -> PgError:
    """Return how a refused sign-in reads. Unknown user and wrong password read alike."""
    if refusal.code == "bad_credentials":
        return fatal(INVALID_PASSWORD, f'password authentication failed for user "{username}"')
    return fatal(_SIGN_IN_CODES.get(refusal.code, INVALID_AUTHORIZATION), refusal.message)


def end_error(reason: EndReason, message: str) -> PgError:
    """Return how the end of a session reads."""
    return fatal(_END_CODES.get(reason, ADMIN_SHUTDOWN), message)


def decision_error(decision: Decision) -> PgError:
    """Return how a refused statement reads."""
    if decision.denied_by == "syntax":
        code = SYNTAX_ERROR
    elif decision.denied_by == "limit":
        code = PROGRAM_LIMIT
    else:
        code = INSUFFICIENT_PRIVILEGE
    message = decision.message or "this statement was refused by the policy of the connection"
    hint = decision.next_step if decision.next_step not in message else ""
    return PgError(code, message, hint, decision.position)


_LAST_SEVERITIES = ("FATAL", "PANIC")
_LAST_CODES = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})
"""Shutdown, crash, dropped database, idle and transaction limits: their texts are the server's own
words and quote nothing."""


def ends_session(fields: Mapping[str, str]) -> bool:
    """Return whether an error is the last that its sender says. The severity in ``V`` is never
    translated; servers before 9.6 send only ``S``."""
    return fields.get("V", fields.get("S", "")) in _LAST_SEVERITIES


class Texts(enum.Enum):
    """How much of an error or a notice of the target the client is told."""

    WHOLE = "whole"
    WITHOUT_PLACES = "without_places"
    CODES_AND_NAMES = "codes_and_names"

    __hash__ = object.__hash__


_ORDER = (Texts.WHOLE, Texts.WITHOUT_PLACES, Texts.CODES_AND_NAMES)


def texts_under(plans: Iterable[MaskPlan]) -> Texts:
    """Return how much may be told of what runs under these plans together."""
    found = Texts.WHOLE
    for plan in plans:
        own = Texts.CODES_AND_NAMES if plan.redact_errors else Texts.WHOLE
        if plan.redact_places and not plan.redact_errors:
            own = Texts.WITHOUT_PLACES
        found = max(found, own, key=_ORDER.index)
    return found


_PLACELESS_CLASSES = frozenset({"22", "23", "42"})
"""Data exceptions, integrity constraint violations, access rules: their own texts name no place of
a row. Those of locks and conflicts may (``while locking tuple (0,1) in relation …``)."""

_KEPT_WHEN_REDACTED = "SVC"
_NAMES_WHEN_REDACTED = "scn"
"""Schema, column and constraint names are names, not values; table (t) and type (d) as well."""


def told(payload: bytes, texts: Texts) -> tuple[tuple[str, str], ...]:
    """Return the fields of an error or notice that the client is told."""
    match texts:
        case Texts.WHOLE:
            return read_error_fields(payload)
        case Texts.CODES_AND_NAMES:
            return redact(payload)
        case Texts.WITHOUT_PLACES:
            fields = read_error_fields(payload)
            code = next((value for key, value in fields if key == "C"), "")
            if code[:2] not in _PLACELESS_CLASSES:
                return redact(payload)
            return tuple((key, value) for key, value in fields if key != "W")
        case _:
            assert_never(texts)


def last_words(payload: bytes, texts: Texts) -> tuple[tuple[str, str], ...]:
    """Return the fields of a session's end that the client is told: for what the server ends
    sessions with by itself its own text, without what it was doing then."""
    fields = read_error_fields(payload)
    if texts is Texts.WHOLE or dict(fields).get("C") not in _LAST_CODES:
        return told(payload, texts)
    return tuple((key, value) for key, value in fields if key in _KEPT_WHEN_REDACTED + "M")


def redact(payload: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of an error or notice cut down to severity, code and object names.

    A message text may quote a stored value (``Failing row contains …``, ``invalid input syntax for
    type integer: "…"``), so where a masked column is in reach nothing of M, D, H, W, q, p, P stays.
    """
    fields = read_error_fields(payload)
    kept = [(code, value) for code, value in fields if code in _KEPT_WHEN_REDACTED]
    code = next((value for key, value in fields if key == "C"), "")
    kept.append(
        (
            "M",
            f"the target reported {code or 'a condition'}; its text is hidden because the "
            "statement can reach masked columns",
        )
    )
    kept.extend((key, value) for key, value in fields if key in _NAMES_WHEN_REDACTED + "td")
    return tuple(kept)
