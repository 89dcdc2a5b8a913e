"""Messages that clients send, decoded. Start-up packets are in ``startup``."""

from __future__ import annotations

from dataclasses import dataclass

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.postgresql.wire.codes import Frontend
from querykeep_engines.postgresql.wire.reader import Reader


@dataclass(frozen=True, slots=True)
class Query:
    """Simple protocol: a text of any number of statements."""

    text: str


@dataclass(frozen=True, slots=True)
class Parse:
    """Make a prepared statement. ``parameter_types`` are OIDs, 0 = server decides."""

    statement: str
    text: str
    parameter_types: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal from a prepared statement."""

    portal: str
    statement: str
    parameter_formats: tuple[int, ...] = ()
    parameters: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BindHead:
    """What the session needs of a Bind, read without copying a value."""

    portal: str
    statement: str
    parameters: int


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask for the description of a statement (``S``) or portal (``P``)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """Drop a statement (``S``) or portal (``P``)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; ``limit`` 0 = all rows."""

    portal: str
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Flush:
    """Send what is buffered."""


@dataclass(frozen=True, slots=True)
class Sync:
    """End of an extended-protocol series."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client leaves."""


@dataclass(frozen=True, slots=True)
class CopyData:
    """A piece of COPY data."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CopyDone:
    """All COPY data was sent."""


@dataclass(frozen=True, slots=True)
class CopyFail:
    """The client gives a COPY up."""

    message: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The fast path; refused, so its content is not read."""

    function_oid: int


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """Any answer to an authentication request; its meaning depends on the request."""

    data: bytes

    def __repr__(self) -> str:
        """Never show a password or proof."""
        return "PasswordMessage(…)"


@dataclass(frozen=True, slots=True)
class SaslInitialResponse:
    """First answer to AuthenticationSASL. ``data`` None: no initial response."""

    mechanism: str
    data: bytes | None


FrontendMessage = (
    Query
    | Parse
    | Bind
    | Describe
    | Close
    | Execute
    | Flush
    | Sync
    | Terminate
    | CopyData
    | CopyDone
    | CopyFail
    | FunctionCall
    | PasswordMessage
)


def read_frontend(kind: int, payload: bytes) -> FrontendMessage:
    """Return the message of a frame.

    Raises:
        RemoteProtocolError: Unknown type byte or a payload that does not fit its type.
    """
    match kind:
        case Frontend.QUERY:
            return read_query(payload)
        case Frontend.PARSE:
            return read_parse(payload)
        case Frontend.BIND:
            return read_bind(payload)
        case Frontend.DESCRIBE:
            return Describe(*read_target(payload, "Describe"))
        case Frontend.CLOSE:
            return Close(*read_target(payload, "Close"))
        case Frontend.EXECUTE:
            return read_execute(payload)
        case Frontend.COPY_DATA:
            return CopyData(payload)
        case Frontend.COPY_FAIL:
            reader = Reader(payload, "CopyFail")
            message = CopyFail(reader.string())
            reader.end()
            return message
        case Frontend.FUNCTION_CALL:
            return FunctionCall(Reader(payload, "FunctionCall").int32())
        case Frontend.PASSWORD:
            return PasswordMessage(payload)
        case Frontend.FLUSH | Frontend.SYNC | Frontend.TERMINATE | Frontend.COPY_DONE:
            return _read_empty(kind, payload)
        case _:
            raise RemoteProtocolError(f"invalid frontend message type {kind}")


def _read_empty(kind: int, payload: bytes) -> FrontendMessage:
    if payload:
        raise RemoteProtocolError(f"{Frontend(kind).name} message has content")
    if kind == Frontend.FLUSH:
        return Flush()
    if kind == Frontend.SYNC:
        return Sync()
    return Terminate() if kind == Frontend.TERMINATE else CopyDone()


def read_query(payload: bytes) -> Query:
    """Return a Query."""
    reader = Reader(payload, "Query")
    message = Query(reader.string())
    reader.end()
    return message


def read_parse(payload: bytes) -> Parse:
    """Return a Parse."""
    reader = Reader(payload, "Parse")
    name = reader.string()
    text = reader.string()
    count = reader.count16()
    if reader.left != 4 * count:
        raise RemoteProtocolError("Parse message has a wrong number of parameter types")
    types = tuple(reader.int32() & 0xFFFFFFFF for _ in range(count))
    return Parse(name, text, types)


def read_bind(payload: bytes) -> Bind:
    """Return a Bind with all its values."""
    reader = Reader(payload, "Bind")
    portal, statement = reader.string(), reader.string()
    formats = _formats(reader)
    values = tuple(reader.value() for _ in range(reader.count16()))
    results = _formats(reader)
    reader.end()
    return Bind(portal, statement, formats, values, results)


def read_bind_head(payload: bytes) -> BindHead:
    """Return names and number of parameters of a Bind; the values stay unread."""
    reader = Reader(payload, "Bind")
    portal, statement = reader.string(), reader.string()
    reader.take(2 * reader.count16())
    return BindHead(portal, statement, reader.count16())


def read_target(payload: bytes, what: str) -> tuple[str, str]:
    """Return (``S`` or ``P``, name) of a Describe or Close."""
    reader = Reader(payload, what)
    kind = chr(reader.byte())
    if kind not in "SP":
        raise RemoteProtocolError(f"invalid {what} message subtype")
    name = reader.string()
    reader.end()
    return kind, name


def read_execute(payload: bytes) -> Execute:
    """Return an Execute."""
    reader = Reader(payload, "Execute")
    message = Execute(reader.string(), reader.int32())
    reader.end()
    return message


def read_sasl_initial(payload: bytes) -> SaslInitialResponse:
    """Return the first SASL answer."""
    reader = Reader(payload, "SASLInitialResponse")
    mechanism = reader.string()
    data = reader.value()
    reader.end()
    return SaslInitialResponse(mechanism, data)


def _formats(reader: Reader) -> tuple[int, ...]:
    return tuple(reader.int16() for _ in range(reader.count16()))
