"""The syntax tree: frozen dataclasses, complete enough to print the same tokens again.

Words that change nothing (INNER, OUTER, AS, a redundant ALL) are kept in ``words`` or flags, so
that no token of a statement goes unaccounted for. Positions are character offsets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from querykeep_engines.kit.lexing import Token


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier as it was written, without quotes."""

    value: str
    position: int = -1
    quoted: bool = False


# --- expressions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal. ``kind``: string, number, hex, bit, null, bool, temporal. ``tokens`` are its own
    tokens (introducer, joined strings, keyword of a temporal literal). ``value`` for strings is
    the joined text."""

    kind: str
    value: str
    tokens: tuple[Token, ...]

    @property
    def position(self) -> int:
        """Where it starts."""
        return self.tokens[0].start


@dataclass(frozen=True, slots=True)
class Parameter:
    """A ``?``."""

    position: int


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column by one to three name parts. ``leading_dot``: the old ``.t.c`` form."""

    parts: tuple[Name, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Star:
    """``*`` or ``t.*`` or ``db.t.*`` in a select list, or the star of COUNT(*)."""

    qualifier: tuple[Name, ...]
    position: int


@dataclass(frozen=True, slots=True)
class UserVariable:
    """``@x``; ``text`` is its source text."""

    name: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class SystemVariable:
    """``@@x``, ``@@session.x``, ``@@`x```."""

    parts: tuple[Name, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Unary:
    """A prefix operator: ``-``, ``+``, ``~``, ``!``, ``NOT``, ``BINARY``."""

    operator: str
    operand: Expression
    position: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by infix operators of one precedence level, left to right."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    position: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """``@x := expression`` inside an expression."""

    target: UserVariable
    value: Expression
    position: int


@dataclass(frozen=True, slots=True)
class Quantified:
    """``left op ANY|SOME|ALL (query)``."""

    left: Expression
    operator: str
    quantifier: str
    query: QueryExpression
    position: int


@dataclass(frozen=True, slots=True)
class Between:
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expression
    negated: bool
    low: Expression
    high: Expression
    position: int


@dataclass(frozen=True, slots=True)
class InList:
    """``operand [NOT] IN (items)``."""

    operand: Expression
    negated: bool
    items: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class InQuery:
    """``operand [NOT] IN (query)``."""

    operand: Expression
    negated: bool
    query: QueryExpression
    position: int


@dataclass(frozen=True, slots=True)
class Like:
    """``operand [NOT] LIKE|REGEXP|RLIKE|SOUNDS LIKE pattern [ESCAPE escape]``."""

    operand: Expression
    negated: bool
    words: tuple[str, ...]
    pattern: Expression
    escape: Expression | None
    position: int


@dataclass(frozen=True, slots=True)
class MemberOf:
    """``operand MEMBER [OF] (array)``."""

    operand: Expression
    words: tuple[str, ...]
    array: Expression
    position: int


@dataclass(frozen=True, slots=True)
class IsTest:
    """``operand IS [NOT] NULL|TRUE|FALSE|UNKNOWN``."""

    operand: Expression
    words: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Case:
    """CASE in both forms."""

    operand: Expression | None
    whens: tuple[tuple[Expression, Expression], ...]
    default: Expression | None
    position: int


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One key of ORDER BY or GROUP BY; ``direction`` is "", ASC or DESC."""

    value: Expression
    direction: str = ""


@dataclass(frozen=True, slots=True)
class FrameBound:
    """A bound of a window frame: words with at most one expression in front."""

    value: Expression | None
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A window specification in parentheses."""

    base: Name | None
    partition: tuple[Expression, ...]
    order: tuple[OrderItem, ...]
    frame_unit: str
    between: bool
    bounds: tuple[FrameBound, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. ``parts`` is its name, with a schema in front where one was written.
    ``order``, ``separator`` and ``limit`` belong to GROUP_CONCAT; ``nulls`` holds RESPECT NULLS,
    FROM FIRST and the like; ``over`` makes it a window function; ``bare`` has no parentheses
    (CURRENT_DATE)."""

    parts: tuple[Name, ...]
    args: tuple[Expression, ...]
    position: int
    words: tuple[str, ...] = ()
    order: tuple[OrderItem, ...] = ()
    separator: Literal | None = None
    limit: Limit | None = None
    nulls: tuple[str, ...] = ()
    over: Name | Window | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class SpecialCall:
    """A function with its own syntax. ``form`` is what stands between the parentheses, keywords and
    arguments in source order; ``name`` the function that it amounts to."""

    name: str
    form: tuple[str | Expression | Name | Token, ...]
    position: int

    @property
    def args(self) -> tuple[Expression, ...]:
        """The arguments alone."""
        return tuple(part for part in self.form if not isinstance(part, (str, Name, Token)))


@dataclass(frozen=True, slots=True)
class Interval:
    """``INTERVAL value unit``."""

    value: Expression
    unit: str
    position: int


@dataclass(frozen=True, slots=True)
class Row:
    """``(a, b)`` or ``ROW(a, b)``."""

    items: tuple[Expression, ...]
    explicit: bool
    position: int


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses."""

    value: Expression
    position: int


@dataclass(frozen=True, slots=True)
class SubqueryExpression:
    """``(query)`` as a value."""

    query: QueryExpression
    position: int


@dataclass(frozen=True, slots=True)
class Exists:
    """``EXISTS (query)``."""

    query: QueryExpression
    position: int


@dataclass(frozen=True, slots=True)
class Match:
    """``MATCH (columns) AGAINST (expression modifiers)``; parentheses around columns kept."""

    columns: tuple[Expression, ...]
    parenthesised: bool
    against: Expression
    modifiers: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Collated:
    """``operand COLLATE name``."""

    operand: Expression
    collation: Name | Literal
    position: int


@dataclass(frozen=True, slots=True)
class DefaultValue:
    """``DEFAULT`` as a value, or ``DEFAULT(column)``."""

    column: ColumnRef | None
    position: int


@dataclass(frozen=True, slots=True)
class InsertedValue:
    """``VALUES(column)`` or ``VALUE(column)`` in ON DUPLICATE KEY UPDATE."""

    word: str
    column: ColumnRef
    position: int


@dataclass(frozen=True, slots=True)
class OdbcEscape:
    """``{identifier expression}``."""

    word: Name
    value: Expression
    position: int


Expression = (
    Literal
    | Parameter
    | ColumnRef
    | Star
    | UserVariable
    | SystemVariable
    | Unary
    | Chain
    | Assignment
    | Quantified
    | Between
    | InList
    | InQuery
    | Like
    | MemberOf
    | IsTest
    | Case
    | Call
    | SpecialCall
    | Interval
    | Row
    | Paren
    | SubqueryExpression
    | Exists
    | Match
    | Collated
    | DefaultValue
    | InsertedValue
    | OdbcEscape
)


# --- queries --------------------------------------------------------------------------------------


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
    """A named table in FROM. ``hints`` are USE/FORCE/IGNORE INDEX lists, as tokens."""

    table: TableName
    partitions: tuple[Name, ...]
    alias: Alias | None
    hints: tuple[Token, ...]
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


TableRef = BaseTable | DerivedTable | Join | ParenTable


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


# --- statements -----------------------------------------------------------------------------------


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
