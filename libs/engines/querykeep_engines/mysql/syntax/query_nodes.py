"""Nodes of query expressions; see ``nodes``."""

from __future__ import annotations

from dataclasses import dataclass

from querykeep_engines.kit.lexing import Token
from querykeep_engines.mysql.syntax.expression_nodes import (
    Expression,
    Name,
    OrderItem,
    Row,
    UserVariable,
    Window,
)


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias; ``token`` may be a string in a select list."""

    name: str
    token: Token
    has_as: bool


@dataclass(frozen=True, slots=True)
class SelectItem:
    """One item of a select list; ``text`` is its source text, from which the server names it."""

    value: Expression
    alias: Alias | None
    text: str


@dataclass(frozen=True, slots=True)
class TableName:
    """A table by one or two name parts."""

    parts: tuple[Name, ...]
    position: int


@dataclass(frozen=True, slots=True)
class BaseTable:
    """A named table in FROM. ``hints`` are USE/FORCE/IGNORE INDEX lists, as tokens; ``period`` is
    MariaDB's FOR SYSTEM_TIME, words and expressions in source order."""

    table: TableName
    partitions: tuple[Name, ...]
    alias: Alias | None
    hints: tuple[Token, ...]
    position: int
    period: tuple[str | Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonTable:
    """``JSON_TABLE(document, path COLUMNS (…)) alias``. ``form`` is all of it in source order;
    ``columns`` are the names of its columns, nested ones included."""

    form: tuple[str | Token | Expression, ...]
    document: Expression
    columns: tuple[str, ...]
    alias: Alias | None
    position: int


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """``[LATERAL] (query) [AS] alias [(columns)]``."""

    query: QueryExpression
    lateral: bool
    alias: Alias | None
    columns: tuple[Name, ...]
    position: int


@dataclass(frozen=True, slots=True)
class JoinedTable:
    """One step of a join chain. ``words`` are the join's own (LEFT OUTER JOIN, NATURAL JOIN,
    STRAIGHT_JOIN, a comma)."""

    words: tuple[str, ...]
    table: TableRef
    on: Expression | None
    using: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A chain of joins, left to right; ``nested_on`` joins that wait for their ON are nested in
    ``JoinedTable.table``."""

    first: TableRef
    steps: tuple[JoinedTable, ...]
    position: int


@dataclass(frozen=True, slots=True)
class ParenTable:
    """A table reference (or list) in parentheses; ``odbc`` for ``{OJ …}``."""

    table: TableRef
    odbc: Name | None
    position: int


TableRef = BaseTable | DerivedTable | JsonTable | Join | ParenTable


@dataclass(frozen=True, slots=True)
class Limit:
    """A row limit. ``style``: "plain" (LIMIT a), "comma" (LIMIT offset, a), "offset" (LIMIT a
    OFFSET offset), "fetch" (words as written, in ``words``)."""

    style: str
    values: tuple[Expression, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Into:
    """``INTO @a, @b`` or ``INTO OUTFILE|DUMPFILE 'file' options``."""

    variables: tuple[UserVariable, ...]
    file_word: str
    tokens: tuple[Token, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Locking:
    """FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE, with OF tables, NOWAIT, SKIP LOCKED, WAIT n."""

    words: tuple[str, ...]
    tables: tuple[TableName, ...]
    suffix: tuple[str, ...]
    wait: Token | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT. ``into`` may stand before FROM or at the end (``QueryExpression.into``)."""

    hint: Token | None
    options: tuple[str, ...]
    items: tuple[SelectItem, ...]
    into: Into | None
    has_from: bool
    table: TableRef | None
    where: Expression | None
    group: tuple[OrderItem, ...]
    rollup: bool
    having: Expression | None
    windows: tuple[tuple[Name, Window], ...]
    position: int


@dataclass(frozen=True, slots=True)
class ValuesQuery:
    """``VALUES ROW(…), …`` (MySQL) or ``VALUES (…), …`` (MariaDB)."""

    rows: tuple[Row, ...]
    position: int


@dataclass(frozen=True, slots=True)
class TableQuery:
    """``TABLE t``."""

    table: TableName
    position: int


@dataclass(frozen=True, slots=True)
class ParenQuery:
    """A query expression in parentheses as an arm or a whole."""

    query: QueryExpression
    position: int


QueryArm = Select | ValuesQuery | TableQuery | ParenQuery


@dataclass(frozen=True, slots=True)
class CommonTable:
    """One element of WITH. ``tail`` are MariaDB's CYCLE words."""

    name: Name
    columns: tuple[Name, ...]
    query: QueryExpression
    cycle: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class With:
    """A WITH clause."""

    recursive: bool
    tables: tuple[CommonTable, ...]
    position: int


@dataclass(frozen=True, slots=True)
class QueryExpression:
    """Arms joined by set operators, with what stands around them."""

    with_: With | None
    first: QueryArm
    rest: tuple[tuple[tuple[str, ...], QueryArm], ...]
    order: tuple[OrderItem, ...]
    limit: Limit | None
    into: Into | None
    locking: tuple[Locking, ...]
    into_after_locking: bool
    position: int
