"""What the agent knows of client programs: how one is started, and how one is told a refusal.

One module per kind of program (``cli`` of a connection's engine): the aliases of ``qk``.
"""

from __future__ import annotations

from querykeep_agent.clients.kind import ClientKind
from querykeep_agent.clients.mysql import MysqlKind
from querykeep_agent.clients.other import OtherKind
from querykeep_agent.clients.psql import PsqlKind

_KINDS: dict[str, ClientKind] = {"psql": PsqlKind(), "mysql": MysqlKind()}


def client_kind(cli: str) -> ClientKind:
    """Return the kind of program that an engine is used with; one of no known program still has a
    port and an address."""
    return _KINDS.get(cli) or OtherKind(cli)
