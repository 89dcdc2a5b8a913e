"""Messages that servers send, decoded as far as a governing session (or a test) reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.postgresql.wire.codes import Auth, Backend
from querykeep_engines.postgresql.wire.reader import Reader


@dataclass(frozen=True, slots=True)
class Authentication:
    """``code`` of the request with its own content: salt, mechanism list or SASL data."""

    code: int
    data: bytes = b""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms of an AuthenticationSASL, in the server's order."""
        reader = Reader(self.data, "AuthenticationSASL")
        found: list[str] = []
        while name := reader.string():
            found.append(name)
        reader.end()
        return tuple(found)


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """Cancel key: 4 bytes of secret in protocol 3.0, up to 256 in 3.2."""

    pid: int
    secret: bytes

    def __repr__(self) -> str:
        """Never show the key."""
        return f"BackendKeyData(pid={self.pid})"


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The newest minor version that the server speaks and the ``_pq_`` options it does not know."""

    minor: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A setting that the server reports."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """``status``: ``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""

    status: str


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a RowDescription. ``table_oid`` and ``attribute`` are 0 where the column is no
    plain table column."""

    name: str
    table_oid: int
    attribute: int
    type_oid: int
    type_size: int = -1
    type_modifier: int = -1
    format: int = 0


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of a result."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """Parameter types of a prepared statement."""

    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DataRow:
    """A row; only tests build or read single ones."""

    values: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """A statement ended well; ``tag`` such as ``SELECT 3``."""

    tag: str


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """Fields of an ErrorResponse or NoticeResponse by their code letter."""

    fields: tuple[tuple[str, str], ...]

    def get(self, code: str, default: str = "") -> str:
        """Return the field ``code`` or ``default``."""
        for name, value in self.fields:
            if name == code:
                return value
        return default


@dataclass(frozen=True, slots=True)
class ErrorResponse(ErrorFields):
    """An error."""


@dataclass(frozen=True, slots=True)
class NoticeResponse(ErrorFields):
    """A notice or warning."""


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """A NOTIFY that the session listens for."""

    pid: int
    channel: str
    payload: str


@dataclass(frozen=True, slots=True)
class CopyResponse:
    """Begin of a COPY: ``kind`` is the message's type; formats per column."""

    kind: Backend
    format: int
    column_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """A message whose type says all, or whose content nobody reads."""

    kind: Backend
    payload: bytes = b""


BackendMessage = (
    Authentication
    | BackendKeyData
    | NegotiateProtocolVersion
    | ParameterStatus
    | ReadyForQuery
    | RowDescription
    | ParameterDescription
    | DataRow
    | CommandComplete
    | ErrorResponse
    | NoticeResponse
    | NotificationResponse
    | CopyResponse
    | Plain
)

_EMPTY = frozenset(
    {
        Backend.BIND_COMPLETE,
        Backend.CLOSE_COMPLETE,
        Backend.COPY_DONE,
        Backend.EMPTY_QUERY_RESPONSE,
        Backend.NO_DATA,
        Backend.PARSE_COMPLETE,
        Backend.PORTAL_SUSPENDED,
    }
)


def read_backend(kind: int, payload: bytes) -> BackendMessage:
    """Return the message of a frame.

    Raises:
        RemoteProtocolError: Unknown type byte or a payload that does not fit its type.
    """
    match kind:
        case Backend.AUTHENTICATION:
            return read_authentication(payload)
        case Backend.BACKEND_KEY_DATA:
            return read_key_data(payload)
        case Backend.NEGOTIATE_PROTOCOL_VERSION:
            return _read_negotiate(payload)
        case Backend.PARAMETER_STATUS:
            return read_parameter_status(payload)
        case Backend.READY_FOR_QUERY:
            return ReadyForQuery(read_status(payload))
        case Backend.ROW_DESCRIPTION:
            return RowDescription(read_fields(payload))
        case Backend.PARAMETER_DESCRIPTION:
            return _read_parameter_description(payload)
        case Backend.DATA_ROW:
            return _read_data_row(payload)
        case Backend.COMMAND_COMPLETE:
            return CommandComplete(read_tag(payload))
        case Backend.ERROR_RESPONSE:
            return ErrorResponse(read_error_fields(payload))
        case Backend.NOTICE_RESPONSE:
            return NoticeResponse(read_error_fields(payload))
        case Backend.NOTIFICATION_RESPONSE:
            return _read_notification(payload)
        case Backend.COPY_IN_RESPONSE | Backend.COPY_OUT_RESPONSE | Backend.COPY_BOTH_RESPONSE:
            return read_copy_response(kind, payload)
        case Backend.COPY_DATA | Backend.FUNCTION_CALL_RESPONSE:
            return Plain(Backend(kind), payload)
        case _ if kind in _EMPTY:
            Reader(payload, Backend(kind).name).end()
            return Plain(Backend(kind))
        case _:
            raise RemoteProtocolError(f"invalid backend message type {kind}")


def read_authentication(payload: bytes) -> Authentication:
    """Return an Authentication request; an unknown code is kept for the caller to refuse."""
    reader = Reader(payload, "Authentication")
    code = reader.int32()
    message = Authentication(code, reader.rest())
    if code == Auth.MD5 and len(message.data) != 4:
        raise RemoteProtocolError("AuthenticationMD5Password message has no 4-byte salt")
    return message


def read_key_data(payload: bytes) -> BackendKeyData:
    """Return a cancel key."""
    reader = Reader(payload, "BackendKeyData")
    message = BackendKeyData(reader.int32(), reader.rest())
    if not 4 <= len(message.secret) <= 256:
        raise RemoteProtocolError("BackendKeyData message has a key of invalid length")
    return message


def _read_negotiate(payload: bytes) -> NegotiateProtocolVersion:
    reader = Reader(payload, "NegotiateProtocolVersion")
    minor = reader.int32() & 0xFFFF
    count = reader.int32()
    if not 0 <= count <= len(payload):
        raise RemoteProtocolError("NegotiateProtocolVersion message has an invalid count")
    message = NegotiateProtocolVersion(minor, tuple(reader.string() for _ in range(count)))
    reader.end()
    return message


def read_parameter_status(payload: bytes) -> ParameterStatus:
    """Return a reported setting."""
    reader = Reader(payload, "ParameterStatus")
    message = ParameterStatus(reader.string(), reader.string())
    reader.end()
    return message


def read_status(payload: bytes) -> str:
    """Return the transaction status of a ReadyForQuery."""
    if payload not in (b"I", b"T", b"E"):
        raise RemoteProtocolError("ReadyForQuery message has an unknown status")
    return payload.decode("ascii")


def read_fields(payload: bytes) -> tuple[Field, ...]:
    """Return the columns of a RowDescription. Ordinary ones are remembered: the same statement
    describes itself alike each time."""
    return _known_fields(payload) if len(payload) <= 4096 else _read_fields(payload)


@lru_cache(maxsize=512)
def _known_fields(payload: bytes) -> tuple[Field, ...]:
    return _read_fields(payload)


def _read_fields(payload: bytes) -> tuple[Field, ...]:
    reader = Reader(payload, "RowDescription")
    fields = []
    for _ in range(reader.count16()):
        name = reader.cstring().decode("utf-8", "replace")
        oid = reader.int32() & 0xFFFFFFFF
        attribute = reader.int16()
        type_oid = reader.int32() & 0xFFFFFFFF
        size, modifier = reader.int16(), reader.int32()
        fields.append(Field(name, oid, attribute, type_oid, size, modifier, reader.int16()))
    reader.end()
    return tuple(fields)


def _read_parameter_description(payload: bytes) -> ParameterDescription:
    reader = Reader(payload, "ParameterDescription")
    types = tuple(reader.int32() & 0xFFFFFFFF for _ in range(reader.count16()))
    reader.end()
    return ParameterDescription(types)


def _read_data_row(payload: bytes) -> DataRow:
    reader = Reader(payload, "DataRow")
    values = tuple(reader.value() for _ in range(reader.count16()))
    reader.end()
    return DataRow(values)


def read_tag(payload: bytes) -> str:
    """Return the tag of a CommandComplete."""
    reader = Reader(payload, "CommandComplete")
    tag = reader.string()
    reader.end()
    return tag


def read_error_fields(payload: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of an error or notice. Text before start-up is complete may be in any
    encoding, so bytes that are not UTF-8 are replaced rather than refused."""
    reader = Reader(payload, "ErrorResponse")
    fields: list[tuple[str, str]] = []
    while code := reader.byte():
        fields.append((chr(code), reader.cstring().decode("utf-8", "replace")))
    reader.end()
    return tuple(fields)


def _read_notification(payload: bytes) -> NotificationResponse:
    reader = Reader(payload, "NotificationResponse")
    message = NotificationResponse(reader.int32(), reader.string(), reader.string())
    reader.end()
    return message


def read_copy_response(kind: int, payload: bytes) -> CopyResponse:
    """Return the begin of a COPY."""
    reader = Reader(payload, "CopyResponse")
    overall = reader.byte()
    formats = tuple(reader.int16() for _ in range(reader.count16()))
    reader.end()
    return CopyResponse(Backend(kind), overall, formats)
