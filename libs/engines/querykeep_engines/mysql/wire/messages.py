"""OK, ERR, EOF, column definitions and the answer to a prepare."""

from __future__ import annotations

from dataclasses import dataclass

from querykeep_engines.mysql.wire.values import Reader, lenenc_bytes, lenenc_int

OK, EOF, ERR, LOCAL_INFILE = 0x00, 0xFE, 0xFF, 0xFB
_EOF_BELOW_BYTES = 9


def is_eof(payload: bytes) -> bool:
    """True for an EOF packet (without CLIENT_DEPRECATE_EOF)."""
    return len(payload) < _EOF_BELOW_BYTES and payload[:1] == b"\xfe"


def is_error(payload: bytes) -> bool:
    """True for an ERR packet."""
    return payload[:1] == b"\xff"


@dataclass(frozen=True, slots=True)
class OkPacket:
    """What an OK packet says. ``info`` is the human text behind it."""

    affected_rows: int
    last_insert_id: int
    status: int
    warnings: int
    info: bytes = b""

    def encode(self) -> bytes:
        """Return the payload."""
        return (
            b"\x00"
            + lenenc_int(self.affected_rows)
            + lenenc_int(self.last_insert_id)
            + self.status.to_bytes(2, "little")
            + self.warnings.to_bytes(2, "little")
            + self.info
        )


def decode_ok(payload: bytes) -> OkPacket:
    """Read an OK packet."""
    reader = Reader(payload, "an OK packet", 1)
    return OkPacket(
        reader.lenenc_int(), reader.lenenc_int(), reader.uint(2), reader.uint(2), reader.rest()
    )


def decode_eof(payload: bytes) -> tuple[int, int]:
    """Return (warnings, status) of an EOF packet."""
    reader = Reader(payload, "an EOF packet", 1)
    warnings = reader.uint(2)
    return warnings, reader.uint(2)


def encode_eof(warnings: int, status: int) -> bytes:
    """Return an EOF packet's payload."""
    return b"\xfe" + warnings.to_bytes(2, "little") + status.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class ErrorPacket:
    """What an ERR packet says."""

    code: int
    sqlstate: str
    message: str

    def encode(self) -> bytes:
        """Return the payload."""
        return (
            b"\xff"
            + self.code.to_bytes(2, "little")
            + b"#"
            + self.sqlstate.encode("ascii")
            + self.message.encode("utf-8")
        )


def decode_error(payload: bytes) -> ErrorPacket:
    """Read an ERR packet."""
    reader = Reader(payload, "an error packet", 1)
    code = reader.uint(2)
    text = reader.rest()
    state = "HY000"
    if text[:1] == b"#" and len(text) >= 6:
        state, text = text[1:6].decode("ascii", "replace"), text[6:]
    return ErrorPacket(code, state, text.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """Protocol::ColumnDefinition41, as far as masking and cross-checks need it."""

    schema: str
    table: str
    org_table: str
    name: str
    org_name: str
    charset: int
    type: int
    flags: int


def decode_column(payload: bytes, *, extended: bool = False) -> ColumnDefinition:
    """Read a column definition; ``extended``: MariaDB's type information stands in it, too."""
    reader = Reader(payload, "a column definition")
    reader.lenenc_bytes()
    texts = [reader.lenenc_bytes().decode("utf-8", "replace") for _ in range(5)]
    schema, table, org_table, name, org_name = texts
    if extended:
        reader.lenenc_bytes()
    reader.lenenc_int()
    charset = reader.uint(2)
    reader.uint(4)
    type_code = reader.uint(1)
    flags = reader.uint(2)
    return ColumnDefinition(schema, table, org_table, name, org_name, charset, type_code, flags)


def encode_column(column: ColumnDefinition, length: int) -> bytes:
    """Return a column definition's payload; ``length`` is the display length."""
    texts = (column.schema, column.table, column.org_table, column.name, column.org_name)
    return (
        lenenc_bytes(b"def")
        + b"".join(lenenc_bytes(text.encode("utf-8")) for text in texts)
        + b"\x0c"
        + column.charset.to_bytes(2, "little")
        + length.to_bytes(4, "little")
        + bytes([column.type])
        + column.flags.to_bytes(2, "little")
        + b"\x00\x00\x00"
    )


@dataclass(frozen=True, slots=True)
class PrepareOk:
    """COM_STMT_PREPARE_OK."""

    statement_id: int
    columns: int
    parameters: int


def decode_prepare_ok(payload: bytes) -> PrepareOk:
    """Read the first packet of the answer to a prepare."""
    reader = Reader(payload, "the answer to a prepare", 1)
    return PrepareOk(reader.uint(4), reader.uint(2), reader.uint(2))
