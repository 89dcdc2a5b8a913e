"""Type bytes of every message, as the protocol numbers them.

Source: PostgreSQL documentation, "Message Formats"; src/include/libpq/protocol.h.
"""

from __future__ import annotations

import enum

PROTOCOL_MAJOR = 3
LATEST_MINOR = 2
SSL_REQUEST = (1234 << 16) | 5679
GSSENC_REQUEST = (1234 << 16) | 5680
CANCEL_REQUEST = (1234 << 16) | 5678


class Frontend(enum.IntEnum):
    """Messages that a client sends after start-up. ``PASSWORD`` stands for every answer to an
    authentication request (password, SASL, GSS)."""

    BIND = ord("B")
    CLOSE = ord("C")
    COPY_DATA = ord("d")
    COPY_DONE = ord("c")
    COPY_FAIL = ord("f")
    DESCRIBE = ord("D")
    EXECUTE = ord("E")
    FLUSH = ord("H")
    FUNCTION_CALL = ord("F")
    PARSE = ord("P")
    PASSWORD = ord("p")
    QUERY = ord("Q")
    SYNC = ord("S")
    TERMINATE = ord("X")


class Backend(enum.IntEnum):
    """Messages that a server sends."""

    AUTHENTICATION = ord("R")
    BACKEND_KEY_DATA = ord("K")
    BIND_COMPLETE = ord("2")
    CLOSE_COMPLETE = ord("3")
    COMMAND_COMPLETE = ord("C")
    COPY_DATA = ord("d")
    COPY_DONE = ord("c")
    COPY_IN_RESPONSE = ord("G")
    COPY_OUT_RESPONSE = ord("H")
    COPY_BOTH_RESPONSE = ord("W")
    DATA_ROW = ord("D")
    EMPTY_QUERY_RESPONSE = ord("I")
    ERROR_RESPONSE = ord("E")
    FUNCTION_CALL_RESPONSE = ord("V")
    NEGOTIATE_PROTOCOL_VERSION = ord("v")
    NO_DATA = ord("n")
    NOTICE_RESPONSE = ord("N")
    NOTIFICATION_RESPONSE = ord("A")
    PARAMETER_DESCRIPTION = ord("t")
    PARAMETER_STATUS = ord("S")
    PARSE_COMPLETE = ord("1")
    PORTAL_SUSPENDED = ord("s")
    READY_FOR_QUERY = ord("Z")
    ROW_DESCRIPTION = ord("T")


class Auth(enum.IntEnum):
    """The int32 that opens an Authentication message."""

    OK = 0
    KERBEROS_V5 = 2
    CLEARTEXT = 3
    MD5 = 5
    GSS = 7
    GSS_CONTINUE = 8
    SSPI = 9
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12
