"""Tables of database access."""

from querykeep_api.dbam.models.connections import CatalogVersion, Connection
from querykeep_api.dbam.models.grants import EVERYTHING, Grant, Privilege
from querykeep_api.dbam.models.rules import (
    AccessRule,
    MaskingRule,
    Rule,
    RuleNumber,
    StatementRule,
)
from querykeep_api.dbam.models.sessions import EnforcementPoint, LiveSession, ProxyToken, Ticket

__all__ = [
    "EVERYTHING",
    "AccessRule",
    "CatalogVersion",
    "Connection",
    "EnforcementPoint",
    "Grant",
    "LiveSession",
    "MaskingRule",
    "Privilege",
    "ProxyToken",
    "Rule",
    "RuleNumber",
    "StatementRule",
    "Ticket",
]
