"""Capability and status flags, command codes, and what is offered to clients."""

from __future__ import annotations

import enum


class Capability(enum.IntFlag):
    """Capabilities of the 4.1 handshake."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    RESERVED = 1 << 14
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24


class MariadbCapability(enum.IntFlag):
    """MariaDB's own capabilities: four bytes of the handshake that MySQL leaves zero. A side that
    speaks them leaves ``Capability.LONG_PASSWORD`` (there CLIENT_MYSQL) out.

    Source: MariaDB Knowledge Base, "Connection", "Capabilities".
    """

    PROGRESS = 1
    BULK_OPERATIONS = 1 << 2
    EXTENDED_METADATA = 1 << 3
    CACHE_METADATA = 1 << 4
    BULK_UNIT_RESULTS = 1 << 5


OFFERED = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.COMPRESS
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC
)
"""What a client may use. Left out on purpose: LOCAL_FILES (a rogue target could ask the client for
any file), SESSION_TRACK and DEPRECATE_EOF (other packet formats), NO_SCHEMA and IGNORE_SPACE (they
change how a text is read). COMPRESS is between the client and us alone."""

OFFERED_MARIADB = MariadbCapability.BULK_OPERATIONS | MariadbCapability.EXTENDED_METADATA
"""What clients of MariaDB may use beside it; left out are progress reports, which stand between the
packets of a result, and results without column definitions, which could not be cross-checked."""
MARIADB_SINCE = (10, 5, 2)
"""The first version that speaks all of ``OFFERED_MARIADB``."""

SHARED = (
    Capability.FOUND_ROWS
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
)
"""What the target is told exactly as the client chose it, since results depend on it."""


class Status(enum.IntFlag):
    """Status flags of OK and EOF packets."""

    IN_TRANSACTION = 0x0001
    AUTOCOMMIT = 0x0002
    MORE_RESULTS = 0x0008
    NO_GOOD_INDEX_USED = 0x0010
    NO_INDEX_USED = 0x0020
    CURSOR_EXISTS = 0x0040
    LAST_ROW_SENT = 0x0080
    DB_DROPPED = 0x0100
    NO_BACKSLASH_ESCAPES = 0x0200
    METADATA_CHANGED = 0x0400
    QUERY_WAS_SLOW = 0x0800


class Command(enum.IntEnum):
    """Command codes. Every one that is known is named; what is done with it stands in
    ``mysql.session.commands``."""

    SLEEP = 0x00
    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    CREATE_DB = 0x05
    DROP_DB = 0x06
    REFRESH = 0x07
    SHUTDOWN = 0x08
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    CONNECT = 0x0B
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    TIME = 0x0F
    DELAYED_INSERT = 0x10
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    TABLE_DUMP = 0x13
    CONNECT_OUT = 0x14
    REGISTER_SLAVE = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    DAEMON = 0x1D
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F
    CLONE = 0x20
    SUBSCRIBE_GROUP_REPLICATION = 0x21
    MDB_STMT_BULK_EXECUTE = 0xFA
    MDB_SLAVE_WORKER = 0xFB
    MDB_SLAVE_IO = 0xFC
    MDB_SLAVE_SQL = 0xFD
    MDB_RESERVED = 0xFE


class FieldType(enum.IntEnum):
    """Column types on the wire that row decoding must know."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


BINARY_CHARSET = 63
UTF8MB4_GENERAL_CI = 45
