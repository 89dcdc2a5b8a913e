"""Which command of the protocol is let through, handled or refused. Nothing happens by default: a
command that does not stand here is refused by its number."""

from __future__ import annotations

import enum

from querykeep_engines.mysql.wire.flags import Command


class Treatment(enum.Enum):
    """What is done with a command."""

    QUIT = "quit"
    QUERY = "query"
    INIT_DB = "init_db"
    FIELD_LIST = "field_list"
    PREPARE = "prepare"
    EXECUTE = "execute"
    FETCH = "fetch"
    LONG_DATA = "long_data"
    CLOSE = "close"
    RESET = "reset"
    RESET_CONNECTION = "reset_connection"
    CHANGE_USER = "change_user"
    BULK_EXECUTE = "bulk_execute"
    ONE_PACKET = "one_packet"
    REFUSE = "refuse"


TREATMENT: dict[Command, Treatment] = {
    Command.QUIT: Treatment.QUIT,
    Command.QUERY: Treatment.QUERY,
    Command.INIT_DB: Treatment.INIT_DB,
    Command.FIELD_LIST: Treatment.FIELD_LIST,
    Command.STMT_PREPARE: Treatment.PREPARE,
    Command.STMT_EXECUTE: Treatment.EXECUTE,
    Command.STMT_FETCH: Treatment.FETCH,
    Command.STMT_SEND_LONG_DATA: Treatment.LONG_DATA,
    Command.STMT_CLOSE: Treatment.CLOSE,
    Command.STMT_RESET: Treatment.RESET,
    Command.RESET_CONNECTION: Treatment.RESET_CONNECTION,
    Command.PING: Treatment.ONE_PACKET,
    Command.SET_OPTION: Treatment.ONE_PACKET,
    # Counters of the server's own work, which count other people's too, but no value.
    Command.STATISTICS: Treatment.ONE_PACKET,
    # To the same person only: another one signs in anew.
    Command.CHANGE_USER: Treatment.CHANGE_USER,
    # Administration of the server, by no text that could be judged.
    Command.SLEEP: Treatment.REFUSE,
    Command.CREATE_DB: Treatment.REFUSE,
    Command.DROP_DB: Treatment.REFUSE,
    Command.REFRESH: Treatment.REFUSE,
    Command.SHUTDOWN: Treatment.REFUSE,
    Command.PROCESS_INFO: Treatment.REFUSE,
    Command.CONNECT: Treatment.REFUSE,
    Command.PROCESS_KILL: Treatment.REFUSE,
    Command.DEBUG: Treatment.REFUSE,
    Command.TIME: Treatment.REFUSE,
    Command.DELAYED_INSERT: Treatment.REFUSE,
    Command.DAEMON: Treatment.REFUSE,
    # Replication and cloning show every row unmasked.
    Command.BINLOG_DUMP: Treatment.REFUSE,
    Command.BINLOG_DUMP_GTID: Treatment.REFUSE,
    Command.TABLE_DUMP: Treatment.REFUSE,
    Command.CONNECT_OUT: Treatment.REFUSE,
    Command.REGISTER_SLAVE: Treatment.REFUSE,
    Command.CLONE: Treatment.REFUSE,
    Command.SUBSCRIBE_GROUP_REPLICATION: Treatment.REFUSE,
    Command.MDB_STMT_BULK_EXECUTE: Treatment.BULK_EXECUTE,
    Command.MDB_SLAVE_WORKER: Treatment.REFUSE,
    Command.MDB_SLAVE_IO: Treatment.REFUSE,
    Command.MDB_SLAVE_SQL: Treatment.REFUSE,
    Command.MDB_RESERVED: Treatment.REFUSE,
}

SILENT = frozenset({Command.STMT_SEND_LONG_DATA, Command.STMT_CLOSE, Command.QUIT})
"""Commands that the server does not answer."""


def treatment(code: int) -> tuple[str, Treatment]:
    """Return (name, treatment) of a command code; one that is not known is refused."""
    try:
        command = Command(code)
    except ValueError:
        return f"command 0x{code:02x}", Treatment.REFUSE
    return f"COM_{command.name}", TREATMENT.get(command, Treatment.REFUSE)
