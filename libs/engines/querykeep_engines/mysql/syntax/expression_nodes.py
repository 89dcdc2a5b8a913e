"""Nodes of expressions; see ``nodes``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from querykeep_engines.kit.lexing import Token

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.query_nodes import Limit, QueryExpression


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier as it was written, without quotes."""

    value: str
    position: int = -1
    quoted: bool = False


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
    (CURRENT_DATE); ``within`` says that ``order`` is that of WITHIN GROUP."""

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
    within: bool = False


@dataclass(frozen=True, slots=True)
class SequenceValue:
    """``NEXT VALUE FOR s``, ``NEXTVAL(s)`` and the like (MariaDB). ``form`` is all of it in source
    order, ``sequence`` the name's parts, ``args`` what SETVAL sets."""

    form: tuple[object, ...]
    sequence: tuple[Name, ...]
    args: tuple[Expression, ...]
    writes: bool
    position: int


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
    | SequenceValue
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
