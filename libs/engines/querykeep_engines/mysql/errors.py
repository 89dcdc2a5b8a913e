"""Deny, limit, timeout and sign-in refusals in MySQL's and MariaDB's own numbers.

Source of the numbers: MySQL Error Message Reference, MariaDB Error Codes; which case takes which
number is DESIGN §6.
"""

from __future__ import annotations

from querykeep_engines.mysql.wire.messages import ErrorPacket
from querykeep_guard.contracts.session import EndReason, SignInRefusal
from querykeep_guard.policy.decision import Decision

ER_DBACCESS_DENIED = 1044
ER_ACCESS_DENIED = 1045
ER_UNKNOWN_COM = 1047
ER_BAD_DB = 1049
ER_SERVER_SHUTDOWN = 1053
ER_HANDSHAKE = 1043
ER_PARSE = 1064
ER_NO_SUCH_THREAD = 1094
ER_UNKNOWN_CHARSET = 1115
ER_TABLEACCESS_DENIED = 1142
ER_COLUMNACCESS_DENIED = 1143
ER_PACKET_TOO_LARGE = 1153
ER_OUT_OF_ORDER = 1156
ER_DISK_FULL = 1021
ER_UNKNOWN_STMT = 1243
ER_INVALID_CHARACTER = 1300
ER_QUERY_INTERRUPTED = 1317
ER_TOO_BIG_SELECT = 1104
ER_TIMEOUT_MARIADB = 1969
ER_TIMEOUT_MYSQL = 3024
ER_KILLED_MARIADB = 1927
ER_KILLED_MYSQL = 4031
ER_TOO_MANY_PREPARED = 1461
ER_NEED_REPREPARE = 1615
# Servers' own numbers and not 2003 or 2013, which are the client's: MariaDB's C library takes an
# error packet with a number of that range for a damaged one.
ER_UNREACHABLE = 1429
ER_LOST = 1158
ER_INTERNAL = 1105

LAST_WORDS = frozenset({ER_SERVER_SHUTDOWN, 1159, 1160, 1161, ER_KILLED_MARIADB, 3169, 4031})
"""With these a server ends a session by itself: shutdown, a limit of waiting, KILL. 1152 is not
among them: its text names the stored account."""

INTERRUPTIONS = frozenset({ER_QUERY_INTERRUPTED, ER_TIMEOUT_MARIADB, ER_TIMEOUT_MYSQL})
"""What a target answers when a statement was stopped and not finished."""

_STATES = {
    ER_DBACCESS_DENIED: "42000",
    ER_ACCESS_DENIED: "28000",
    ER_UNKNOWN_COM: "08S01",
    ER_HANDSHAKE: "08S01",
    ER_BAD_DB: "42000",
    ER_UNREACHABLE: "08S01",
    ER_LOST: "08S01",
    ER_SERVER_SHUTDOWN: "08S01",
    ER_PARSE: "42000",
    ER_TABLEACCESS_DENIED: "42000",
    ER_COLUMNACCESS_DENIED: "42000",
    ER_PACKET_TOO_LARGE: "08S01",
    ER_OUT_OF_ORDER: "08S01",
    ER_QUERY_INTERRUPTED: "70100",
    ER_TIMEOUT_MARIADB: "70100",
    ER_KILLED_MARIADB: "70100",
    ER_UNKNOWN_CHARSET: "42000",
    ER_TOO_BIG_SELECT: "42000",
    ER_TOO_MANY_PREPARED: "42000",
}

_SIGN_IN_CODES = {
    "bad_credentials": ER_ACCESS_DENIED,
    "locked": ER_ACCESS_DENIED,
    "outside_zone": ER_ACCESS_DENIED,
    "outside_hours": ER_ACCESS_DENIED,
    "no_grant": ER_ACCESS_DENIED,
    "tls_required": ER_ACCESS_DENIED,
    "connection_disabled": ER_ACCESS_DENIED,
    "ticket_invalid": ER_ACCESS_DENIED,
    "unknown_database": ER_BAD_DB,
    "policy_unreachable": ER_SERVER_SHUTDOWN,
}

_END_CODES = {
    EndReason.SPOOL_FULL: ER_DISK_FULL,
    EndReason.PROTOCOL_ERROR: ER_OUT_OF_ORDER,
    EndReason.TARGET_CLOSED: ER_LOST,
    EndReason.TARGET_UNREACHABLE: ER_UNREACHABLE,
    EndReason.RESULT_MISMATCH: ER_TABLEACCESS_DENIED,
    EndReason.INTERNAL_ERROR: ER_INTERNAL,
}

_DENIED_CODES = {
    "table": ER_TABLEACCESS_DENIED,
    "column": ER_COLUMNACCESS_DENIED,
    "database": ER_DBACCESS_DENIED,
    "statement": ER_TABLEACCESS_DENIED,
    "syntax": ER_PARSE,
    "limit": ER_TOO_BIG_SELECT,
}

REDACTED_TEXT = (
    "the target refused the statement; its text is withheld, since a masked column is in reach"
)


def error(code: int, message: str) -> ErrorPacket:
    """Return an error of our own with the state that belongs to its number."""
    return ErrorPacket(code, _STATES.get(code, "HY000"), message)


def sign_in_error(refusal: SignInRefusal, username: str, address: str) -> ErrorPacket:
    """Return how a refused sign-in reads. Unknown user and wrong password read alike."""
    if refusal.code == "bad_credentials":
        text = f"Access denied for user '{username}'@'{address}' (using password: YES)"
        return error(ER_ACCESS_DENIED, text)
    return error(_SIGN_IN_CODES.get(refusal.code, ER_ACCESS_DENIED), refusal.message)


def end_error(reason: EndReason, message: str, *, is_mariadb: bool) -> ErrorPacket:
    """Return how the end of a session reads."""
    killed = ER_KILLED_MARIADB if is_mariadb else ER_KILLED_MYSQL
    return error(_END_CODES.get(reason, killed), message)


def decision_error(decision: Decision) -> ErrorPacket:
    """Return how a refused statement reads."""
    code = _DENIED_CODES.get(decision.denied_by, ER_TABLEACCESS_DENIED)
    text = decision.message or "this statement was refused by the policy of the connection"
    if decision.next_step and decision.next_step not in text:
        text = f"{text}. {decision.next_step}"
    return error(code, text)


def time_limit_error(*, is_mariadb: bool) -> ErrorPacket:
    """Return what a statement gets that ran longer than it may."""
    code = ER_TIMEOUT_MARIADB if is_mariadb else ER_TIMEOUT_MYSQL
    return error(code, "Query execution was interrupted: it ran longer than its time limit")
