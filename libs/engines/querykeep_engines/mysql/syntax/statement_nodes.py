"""Nodes of statements; see ``nodes``."""

from __future__ import annotations

from dataclasses import dataclass, field

from querykeep_engines.kit.lexing import Token
from querykeep_engines.mysql.syntax.expression_nodes import (
    ColumnRef,
    Expression,
    Literal,
    Name,
    OrderItem,
    SystemVariable,
    UserVariable,
)
from querykeep_engines.mysql.syntax.query_nodes import (
    Limit,
    QueryExpression,
    SelectItem,
    TableName,
    TableRef,
    With,
)


@dataclass(frozen=True, slots=True)
class SetItem:
    """``column = value`` of INSERT … SET, UPDATE and ON DUPLICATE KEY UPDATE."""

    column: ColumnRef
    operator: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT or REPLACE. ``values_word`` is VALUES or VALUE; ``query_paren`` unused by analysis."""

    verb: str
    hint: Token | None
    words: tuple[str, ...]
    has_into: bool
    table: TableName
    partitions: tuple[Name, ...]
    has_columns: bool
    columns: tuple[ColumnRef, ...]
    values_word: str
    rows: tuple[tuple[Expression, ...], ...]
    assignments: tuple[SetItem, ...]
    query: QueryExpression | None
    row_alias: tuple[Name, tuple[Name, ...]] | None
    on_duplicate: tuple[SetItem, ...]
    returning: tuple[SelectItem, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE, single- or multi-table."""

    with_: With | None
    hint: Token | None
    words: tuple[str, ...]
    table: TableRef
    assignments: tuple[SetItem, ...]
    where: Expression | None
    order: tuple[OrderItem, ...]
    limit: Limit | None
    position: int


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE. ``style``: "single" (FROM t …), "from" (t FROM refs), "using" (FROM t USING refs).
    ``targets`` carry whether ``.*`` was written."""

    with_: With | None
    hint: Token | None
    words: tuple[str, ...]
    style: str
    targets: tuple[tuple[TableName, bool], ...]
    table: TableRef | None
    where: Expression | None
    order: tuple[OrderItem, ...]
    limit: Limit | None
    returning: tuple[SelectItem, ...]
    position: int


@dataclass(frozen=True, slots=True)
class VariableAssignment:
    """One item of SET: a user variable, a system variable, NAMES, CHARACTER SET. ``form`` is
    "user", "system", "names", "charset", "transaction", "other". ``scope``: session, global,
    persist, persist_only, local, "". ``prefix`` are the words or @@ in front, as written."""

    form: str
    scope: str
    name: str
    prefix: tuple[str, ...]
    target: UserVariable | SystemVariable | tuple[Name, ...] | None
    operator: str
    value: Expression | None
    collation: Literal | Name | None = None


@dataclass(frozen=True, slots=True)
class SetStatement:
    """SET with a list of assignments; ``statement`` is MariaDB's SET STATEMENT … FOR."""

    items: tuple[VariableAssignment, ...]
    statement: Statement | None
    position: int


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN/DESCRIBE/ANALYZE of a statement (``statement``) or a connection (None)."""

    words: tuple[Token, ...]
    executes: bool
    statement: Statement | None
    position: int


@dataclass(frozen=True, slots=True)
class CreateTableAs:
    """CREATE [TEMPORARY] TABLE … AS query, parsed whole; ``head`` are the tokens before the
    query."""

    head: tuple[Token, ...]
    table: TableName
    query: QueryExpression
    tail: tuple[Token, ...]
    position: int


@dataclass(frozen=True, slots=True)
class CreateView:
    """CREATE or ALTER VIEW; ``head`` up to AS, ``tail`` WITH CHECK OPTION."""

    head: tuple[Token, ...]
    verb: str
    table: TableName
    columns: tuple[Name, ...]
    query: QueryExpression
    tail: tuple[Token, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Show:
    """SHOW. ``topic`` names the form; ``table`` what it is about; ``where`` its filter."""

    topic: str
    head: tuple[Token, ...]
    table: TableName | None
    where_word: str
    where: Expression | None
    tail: tuple[Token, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE name FROM text, or MariaDB's EXECUTE IMMEDIATE text."""

    name: Name | None
    source: Expression
    using: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE name USING values."""

    name: Name
    using: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Do:
    """DO or CALL: expressions that are evaluated. ``procedure`` is set for CALL."""

    procedure: tuple[Name, ...]
    has_parens: bool
    args: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Utility:
    """A statement that is classified by its words, with the tables that it names. ``action`` is a
    word such as "begin", "truncate", "lock_tables", "alter_table"; ``tables`` pairs a role
    ("read", "write", "lock_read", "lock_write", "drop", "create", "rename_to") with a name."""

    action: str
    tokens: tuple[Token, ...]
    tables: tuple[tuple[str, TableName], ...] = ()
    names: tuple[str, ...] = ()
    value: Expression | None = field(default=None)
    position: int = 0


Statement = (
    QueryExpression
    | Insert
    | Update
    | Delete
    | SetStatement
    | Explain
    | CreateTableAs
    | CreateView
    | Show
    | Prepare
    | Execute
    | Do
    | Utility
)
