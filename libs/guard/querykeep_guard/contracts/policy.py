"""SessionPolicy: everything that decides a statement of one person on one connection.

The API compiles it from grants and rules (his own and his groups'); an enforcement point holds it
for the life of a session and replaces it when its version moves. Hours and expiry stay in it as
data, since they are checked on each statement against the time passed in.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime


class StatementKind(enum.Enum):
    """What a statement does, by its strongest effect. ``UNKNOWN`` is never allowed."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"
    TRUNCATE = "truncate"
    RENAME = "rename"
    COMMENT = "comment"
    GRANT = "grant"
    TRANSACTION = "transaction"
    SET = "set"
    SHOW = "show"
    EXPLAIN = "explain"
    PREPARE = "prepare"
    EXECUTE = "execute"
    DEALLOCATE = "deallocate"
    DECLARE_CURSOR = "declare_cursor"
    FETCH = "fetch"
    CLOSE_CURSOR = "close_cursor"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    LOAD = "load"
    CALL = "call"
    LOCK = "lock"
    MAINTENANCE = "maintenance"
    NOTIFY = "notify"
    USE = "use"
    KILL = "kill"
    EMPTY = "empty"
    UNKNOWN = "unknown"

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class ObjectPattern:
    """Names an object set. Each part is a glob (``*``, ``?``) compared with the name as the catalog
    spells it, without regard to case. ``schema`` is the schema on PostgreSQL and the database on
    MySQL and MariaDB; ``column`` counts only where the rule is about columns."""

    schema: str = "*"
    table: str = "*"
    column: str = "*"


@dataclass(frozen=True, slots=True)
class AllowedHours:
    """Weekdays (Monday = 0) and a span of local time in which a grant holds.

    ``start`` and ``end`` are minutes since midnight, 0..1440, ``end`` exclusive; a span that wraps
    past midnight has end < start. ``zone`` is an IANA name.
    """

    weekdays: tuple[int, ...]
    start_minute: int
    end_minute: int
    zone: str


@dataclass(frozen=True, slots=True)
class GrantScope:
    """One grant: a privilege (a set of statement kinds and editor functions) over some objects."""

    id: str
    privilege: str
    kinds: frozenset[StatementKind]
    functions: frozenset[str] = frozenset()
    objects: tuple[ObjectPattern, ...] = (ObjectPattern(),)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    hours: AllowedHours | None = None
    via_group: str | None = None


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Refuses tables (``column`` is ``*``) or columns. ``exempt`` keeps a rule that this person is
    exempt from visible in the trace; ``code`` is the short name that people quote (A-3)."""

    id: str
    name: str
    objects: tuple[ObjectPattern, ...]
    columns_only: bool
    exempt: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class MaskerSpec:
    """A masker by name with its parameters, for example ``keep_last`` with ``count=4``.

    Parameters are sorted (key, value) pairs of text so that the value is hashable.
    """

    kind: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class MaskingRule:
    """Masks columns. ``relaxations`` names the clauses in which the masked column may stand all the
    same (``where``, ``join``, ``group``, ``order``, ``distinct``, ``aggregate``, ``function``,
    ``write``), knowingly; empty is the strict default."""

    id: str
    name: str
    objects: tuple[ObjectPattern, ...]
    masker: MaskerSpec
    exempt: bool = False
    relaxations: frozenset[str] = frozenset()
    code: str = ""


class StatementCheck(enum.Enum):
    """What a statement rule looks at."""

    WRITE_WITHOUT_WHERE = "write_without_where"
    KIND = "kind"
    PATTERN = "pattern"
    DIGEST = "digest"


class RuleEffect(enum.Enum):
    """What happens when a statement rule matches. Rules are looked at by priority, the lowest
    number first and at a tie a deny first. A deny refuses whatever else matches; an allow is the
    answer to the approval or the reason that later rules would ask for."""

    DENY = "deny"
    ALLOW = "allow"
    NEED_APPROVAL = "need_approval"
    NEED_REASON = "need_reason"


@dataclass(frozen=True, slots=True)
class StatementRule:
    """Refuses or allows statements by shape. ``values``: kinds, digests or regular expressions,
    as ``check`` says. Lower ``priority`` is looked at first; ties go to deny."""

    id: str
    name: str
    check: StatementCheck
    effect: RuleEffect = RuleEffect.DENY
    values: tuple[str, ...] = ()
    objects: tuple[ObjectPattern, ...] = (ObjectPattern(),)
    priority: int = 100
    exempt: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one session; None means no limit."""

    max_rows: int | None = None
    statement_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    session_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The person (or service account) that a session acts for."""

    user_id: str
    username: str
    display_name: str
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """All that decides, for one person on one connection. ``version`` is the policy version (a
    counter of the API) that it was compiled at. ``base_url`` is where refusal texts point to.
    ``masking_key`` is set only where a masker needs it."""

    version: int
    subject: Subject
    connection_id: str
    connection_name: str
    engine: str
    database: str
    grants: tuple[GrantScope, ...]
    access_rules: tuple[AccessRule, ...] = ()
    masking_rules: tuple[MaskingRule, ...] = ()
    statement_rules: tuple[StatementRule, ...] = ()
    limits: Limits = Limits()
    lease_s: float = 300.0
    audit_durability: str = "process"
    base_url: str = ""
    masking_key: bytes = field(default=b"", repr=False)
    contract: int = 1
