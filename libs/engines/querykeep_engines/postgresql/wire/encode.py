"""Bytes of every message. The session builds few; fake peers in tests build the rest."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from querykeep_engines.postgresql.wire.backend import Field
from querykeep_engines.postgresql.wire.codes import Auth, Backend, Frontend

_HEAD = struct.Struct("!Bi")
_INT16 = struct.Struct("!h")
_UINT16 = struct.Struct("!H")
_INT32 = struct.Struct("!i")
_UINT32 = struct.Struct("!I")

SYNC = b"S\x00\x00\x00\x04"
FLUSH = b"H\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"
PARSE_COMPLETE = b"1\x00\x00\x00\x04"
BIND_COMPLETE = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
NO_DATA = b"n\x00\x00\x00\x04"
PORTAL_SUSPENDED = b"s\x00\x00\x00\x04"
EMPTY_QUERY_RESPONSE = b"I\x00\x00\x00\x04"
COPY_DONE = b"c\x00\x00\x00\x04"


def frame(kind: int, payload: bytes) -> bytes:
    """Return type byte, length and payload."""
    return _HEAD.pack(kind, len(payload) + 4) + payload


def _text(value: str) -> bytes:
    return value.encode("utf-8") + b"\0"


def _values(values: Sequence[bytes | None]) -> bytes:
    parts = [_UINT16.pack(len(values))]
    for value in values:
        parts.append(_INT32.pack(-1) if value is None else _INT32.pack(len(value)) + value)
    return b"".join(parts)


def _int16s(values: Sequence[int]) -> bytes:
    return _UINT16.pack(len(values)) + b"".join(_INT16.pack(value) for value in values)


# --- frontend -------------------------------------------------------------------------------------


def query(text: str) -> bytes:
    """Return a Query."""
    return frame(Frontend.QUERY, _text(text))


def parse(statement: str, text: str, types: Sequence[int] = ()) -> bytes:
    """Return a Parse."""
    oids = _UINT16.pack(len(types)) + b"".join(_UINT32.pack(oid) for oid in types)
    return frame(Frontend.PARSE, _text(statement) + _text(text) + oids)


def bind(
    portal: str,
    statement: str,
    parameters: Sequence[bytes | None] = (),
    parameter_formats: Sequence[int] = (),
    result_formats: Sequence[int] = (),
) -> bytes:
    """Return a Bind."""
    return frame(
        Frontend.BIND,
        _text(portal)
        + _text(statement)
        + _int16s(parameter_formats)
        + _values(parameters)
        + _int16s(result_formats),
    )


def describe(kind: str, name: str) -> bytes:
    """Return a Describe; ``kind`` is ``S`` or ``P``."""
    return frame(Frontend.DESCRIBE, kind.encode("ascii") + _text(name))


def close(kind: str, name: str) -> bytes:
    """Return a Close; ``kind`` is ``S`` or ``P``."""
    return frame(Frontend.CLOSE, kind.encode("ascii") + _text(name))


def execute(portal: str, limit: int = 0) -> bytes:
    """Return an Execute."""
    return frame(Frontend.EXECUTE, _text(portal) + _INT32.pack(limit))


def password(data: bytes) -> bytes:
    """Return a PasswordMessage: a zero-terminated password or hash, or a SASLResponse."""
    return frame(Frontend.PASSWORD, data)


def sasl_initial(mechanism: str, data: bytes) -> bytes:
    """Return a SASLInitialResponse."""
    return frame(Frontend.PASSWORD, _text(mechanism) + _INT32.pack(len(data)) + data)


def copy_fail(message: str) -> bytes:
    """Return a CopyFail."""
    return frame(Frontend.COPY_FAIL, _text(message))


def copy_data(data: bytes) -> bytes:
    """Return a CopyData (the same in both directions)."""
    return frame(Frontend.COPY_DATA, data)


# --- backend --------------------------------------------------------------------------------------


def authentication(code: Auth, data: bytes = b"") -> bytes:
    """Return an Authentication request."""
    return frame(Backend.AUTHENTICATION, _INT32.pack(code) + data)


def authentication_sasl(mechanisms: Iterable[str]) -> bytes:
    """Return an AuthenticationSASL with its mechanisms, best first."""
    return authentication(Auth.SASL, b"".join(_text(name) for name in mechanisms) + b"\0")


def backend_key_data(pid: int, secret: bytes) -> bytes:
    """Return a BackendKeyData."""
    return frame(Backend.BACKEND_KEY_DATA, _INT32.pack(pid) + secret)


def negotiate_protocol_version(minor: int, unknown: Sequence[str]) -> bytes:
    """Return a NegotiateProtocolVersion for major version 3."""
    body = struct.pack("!HHi", 3, minor, len(unknown)) + b"".join(_text(name) for name in unknown)
    return frame(Backend.NEGOTIATE_PROTOCOL_VERSION, body)


def parameter_status(name: str, value: str) -> bytes:
    """Return a ParameterStatus."""
    return frame(Backend.PARAMETER_STATUS, _text(name) + _text(value))


def ready_for_query(status: str) -> bytes:
    """Return a ReadyForQuery."""
    return frame(Backend.READY_FOR_QUERY, status.encode("ascii"))


def row_description(fields: Sequence[Field]) -> bytes:
    """Return a RowDescription."""
    parts = [_UINT16.pack(len(fields))]
    for field in fields:
        parts.append(_text(field.name))
        parts.append(
            struct.pack(
                "!IhIhih",
                field.table_oid,
                field.attribute,
                field.type_oid,
                field.type_size,
                field.type_modifier,
                field.format,
            )
        )
    return frame(Backend.ROW_DESCRIPTION, b"".join(parts))


def parameter_description(types: Sequence[int]) -> bytes:
    """Return a ParameterDescription."""
    body = _UINT16.pack(len(types)) + b"".join(_UINT32.pack(oid) for oid in types)
    return frame(Backend.PARAMETER_DESCRIPTION, body)


def data_row(values: Sequence[bytes | None]) -> bytes:
    """Return a DataRow."""
    return frame(Backend.DATA_ROW, _values(values))


def command_complete(tag: str) -> bytes:
    """Return a CommandComplete."""
    return frame(Backend.COMMAND_COMPLETE, _text(tag))


def error_response(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return an ErrorResponse; NUL bytes are taken out of texts."""
    return frame(Backend.ERROR_RESPONSE, _error_body(fields))


def notice_response(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a NoticeResponse."""
    return frame(Backend.NOTICE_RESPONSE, _error_body(fields))


def _error_body(fields: Iterable[tuple[str, str]]) -> bytes:
    parts = [code.encode("ascii") + _text(value.replace("\0", "")) for code, value in fields]
    return b"".join(parts) + b"\0"


def copy_response(kind: Backend, formats: Sequence[int], overall: int = 0) -> bytes:
    """Return a CopyInResponse, CopyOutResponse or CopyBothResponse."""
    return frame(kind, bytes((overall,)) + _int16s(formats))


def notification(pid: int, channel: str, payload: str) -> bytes:
    """Return a NotificationResponse."""
    return frame(Backend.NOTIFICATION_RESPONSE, _INT32.pack(pid) + _text(channel) + _text(payload))
