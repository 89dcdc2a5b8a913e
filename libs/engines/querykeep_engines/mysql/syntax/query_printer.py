"""Prints expressions and queries; see ``printer``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.syntax import nodes as n


class QueryPrinter(ABC):
    """Collects pieces of text; each method prints one kind of node."""

    def __init__(self) -> None:
        self.out: list[str] = []

    def pieces(self, tree: object) -> list[str]:
        """Return the pieces of a tree."""
        self.put(tree)
        return self.out

    def put(self, *parts: Any) -> None:
        """Print words, tokens, nodes and tuples of them, leaving out what is empty."""
        for part in parts:
            if part is None or part == "" or part == ():
                continue
            if isinstance(part, str):
                self.out.append(part)
            elif isinstance(part, Token):
                self.out.append(part.text)
            elif isinstance(part, tuple):
                self.put(*part)
            else:
                self.node(part)

    @abstractmethod
    def node(self, part: Any) -> None:
        """Print a node; the table of nodes is with the statements."""

    def listed(self, parts: Iterable[Any]) -> None:
        """Print parts with commas between."""
        for place, part in enumerate(parts):
            if place:
                self.out.append(",")
            self.put(part)

    def bracketed(self, parts: Iterable[Any]) -> None:
        """Print ``( a , b )``."""
        self.out.append("(")
        self.listed(parts)
        self.out.append(")")

    def dotted(self, parts: Iterable[n.Name]) -> None:
        """Print a qualified name as one piece: a point must stand tight."""
        self.out.append(".".join(printed_name(part) for part in parts))

    # --- expressions --------------------------------------------------------------------------

    def name(self, node: n.Name) -> None:
        """Print name."""
        self.put(printed_name(node))

    def literal(self, node: n.Literal) -> None:
        """Print literal."""
        first = node.tokens[0]
        glued = first.kind is TokenKind.WORD and first.value[:1] == "_"
        if glued and len(node.tokens) > 1:
            self.put(first.text + node.tokens[1].text, *node.tokens[2:])
        else:
            self.put(*node.tokens)

    def column(self, node: n.ColumnRef) -> None:
        """Print column."""
        self.dotted(node.parts)

    def star(self, node: n.Star) -> None:
        """Print star."""
        self.put(".".join([*(printed_name(part) for part in node.qualifier), "*"]))

    def user_variable(self, node: n.UserVariable) -> None:
        """Print user variable."""
        self.put(node.text)

    def system_variable(self, node: n.SystemVariable) -> None:
        """Print system variable."""
        self.put("@@" + ".".join(printed_name(part) for part in node.parts))

    def unary(self, node: n.Unary) -> None:
        """Print unary."""
        self.put(node.operator, node.operand)

    def chain(self, node: n.Chain) -> None:
        """Print chain."""
        self.put(node.first, *(part for pair in node.rest for part in pair))

    def assignment(self, node: n.Assignment) -> None:
        """Print assignment."""
        self.put(node.target, ":=", node.value)

    def quantified(self, node: n.Quantified) -> None:
        """Print quantified."""
        self.put(node.left, node.operator, node.quantifier, "(", node.query, ")")

    def between(self, node: n.Between) -> None:
        """Print between."""
        self.put(node.operand, "NOT" if node.negated else "", "BETWEEN", node.low, "AND", node.high)

    def in_list(self, node: n.InList) -> None:
        """Print in list."""
        self.put(node.operand, "NOT" if node.negated else "", "IN")
        self.bracketed(node.items)

    def in_query(self, node: n.InQuery) -> None:
        """Print in query."""
        self.put(node.operand, "NOT" if node.negated else "", "IN", "(", node.query, ")")

    def like(self, node: n.Like) -> None:
        """Print like."""
        self.put(node.operand, "NOT" if node.negated else "", node.words, node.pattern)
        if node.escape is not None:
            self.put("ESCAPE", node.escape)

    def member(self, node: n.MemberOf) -> None:
        """Print member."""
        self.put(node.operand, node.words, "(", node.array, ")")

    def is_test(self, node: n.IsTest) -> None:
        """Print is test."""
        self.put(node.operand, "IS", node.words)

    def case(self, node: n.Case) -> None:
        """Print case."""
        self.put("CASE", node.operand)
        for when, then in node.whens:
            self.put("WHEN", when, "THEN", then)
        if node.default is not None:
            self.put("ELSE", node.default)
        self.put("END")

    def order_item(self, node: n.OrderItem) -> None:
        """Print order item."""
        self.put(node.value, node.direction)

    def window(self, node: n.Window) -> None:
        """Print window."""
        self.put("(", node.base)
        if node.partition:
            self.put("PARTITION", "BY")
            self.listed(node.partition)
        self.order(node.order)
        if node.frame_unit:
            self.put(node.frame_unit, "BETWEEN" if node.between else "")
            for place, bound in enumerate(node.bounds):
                self.put("AND" if place else "", bound.value, bound.words)
            self.put(node.exclude)
        self.put(")")

    def order(self, items: tuple[n.OrderItem, ...], word: str = "ORDER") -> None:
        """Print ORDER BY or GROUP BY when there are keys."""
        if items:
            self.put(word, "BY")
            self.listed(items)

    def call(self, node: n.Call) -> None:
        """Print call."""
        head = ".".join(printed_name(part) for part in node.parts)
        if node.bare:
            self.put(head)
            return
        self.put(head + "(", node.words)
        self.listed(node.args)
        if not node.within:
            self.order(node.order)
        if node.separator is not None:
            self.put("SEPARATOR", node.separator)
        self.put(node.limit, ")", node.nulls)
        if node.within:
            self.put("WITHIN", "GROUP", "(")
            self.order(node.order)
            self.put(")")
        if node.over is not None:
            self.put("OVER", node.over)

    def special(self, node: n.SpecialCall) -> None:
        """Print special."""
        self.put(node.name + "(", *node.form, ")")

    def interval(self, node: n.Interval) -> None:
        """Print interval."""
        self.put("INTERVAL", node.value, node.unit)

    def row(self, node: n.Row) -> None:
        """Print row."""
        self.put("ROW" if node.explicit else "")
        self.bracketed(node.items)

    def paren(self, node: n.Paren) -> None:
        """Print paren."""
        self.put("(", node.value, ")")

    def subquery(self, node: n.SubqueryExpression | n.ParenQuery) -> None:
        """Print subquery."""
        self.put("(", node.query, ")")

    def exists(self, node: n.Exists) -> None:
        """Print exists."""
        self.put("EXISTS", "(", node.query, ")")

    def match(self, node: n.Match) -> None:
        """Print match."""
        self.put("MATCH", "(" if node.parenthesised else "")
        self.listed(node.columns)
        self.put(")" if node.parenthesised else "", "AGAINST", "(", node.against, node.modifiers)
        self.put(")")

    def collated(self, node: n.Collated) -> None:
        """Print collated."""
        self.put(node.operand, "COLLATE", node.collation)

    def default_value(self, node: n.DefaultValue) -> None:
        """Print default value."""
        self.put("DEFAULT")
        if node.column is not None:
            self.put("(", node.column, ")")

    def inserted(self, node: n.InsertedValue) -> None:
        """Print inserted."""
        self.put(node.word, "(", node.column, ")")

    def odbc(self, node: n.OdbcEscape) -> None:
        """Print odbc."""
        self.put("{", node.word, node.value, "}")

    # --- queries ------------------------------------------------------------------------------

    def alias(self, node: n.Alias) -> None:
        """Print alias."""
        self.put("AS" if node.has_as else "", node.token)

    def item(self, node: n.SelectItem) -> None:
        """Print item."""
        self.put(node.value, node.alias)

    def table_name(self, node: n.TableName) -> None:
        """Print table name."""
        self.dotted(node.parts)

    def base_table(self, node: n.BaseTable) -> None:
        """Print base table."""
        self.put(node.table)
        if node.partitions:
            self.put("PARTITION")
            self.bracketed(node.partitions)
        self.put(node.period, node.alias, node.hints)

    def derived(self, node: n.DerivedTable) -> None:
        """Print derived."""
        self.put("LATERAL" if node.lateral else "", "(", node.query, ")", node.alias)
        if node.columns:
            self.bracketed(node.columns)

    def join(self, node: n.Join) -> None:
        """Print join."""
        self.put(node.first)
        for step in node.steps:
            self.put(step.words, step.table)
            if step.on is not None:
                self.put("ON", step.on)
            if step.using:
                self.put("USING")
                self.bracketed(step.using)

    def paren_table(self, node: n.ParenTable) -> None:
        """Print paren table."""
        if node.odbc is not None:
            self.put("{", node.odbc, node.table, "}")
        else:
            self.put("(", node.table, ")")

    def limit(self, node: n.Limit) -> None:
        """Print limit."""
        match node.style:
            case "comma":
                self.put("LIMIT", node.values[0], ",", node.values[1])
            case "offset":
                self.put("LIMIT", node.values[0], "OFFSET", node.values[1])
            case "plain":
                self.put("LIMIT", node.values[0])
            case _:
                values = iter(node.values)
                self.put(*(next(values) if word == "?" else word for word in node.words))

    def into(self, node: n.Into) -> None:
        """Print into."""
        self.put("INTO", node.file_word, node.tokens)
        self.listed(node.variables)

    def locking(self, node: n.Locking) -> None:
        """Print locking."""
        self.put(node.words)
        if node.tables:
            self.put("OF")
            self.listed(node.tables)
        self.put(node.suffix, node.wait)

    def select(self, node: n.Select) -> None:
        """Print select."""
        self.put("SELECT", node.hint, node.options)
        self.listed(node.items)
        self.put(node.into)
        if node.has_from:
            self.put("FROM", "DUAL" if node.table is None else node.table)
        self.where(node.where)
        self.order(node.group, "GROUP")
        self.put(("WITH", "ROLLUP") if node.rollup else ())
        if node.having is not None:
            self.put("HAVING", node.having)
        for place, (name, window) in enumerate(node.windows):
            self.put("," if place else "WINDOW", name, "AS", window)

    def where(self, condition: n.Expression | None) -> None:
        """Print WHERE when there is a condition."""
        if condition is not None:
            self.put("WHERE", condition)

    def values(self, node: n.ValuesQuery) -> None:
        """Print values."""
        self.put("VALUES")
        self.listed(node.rows)

    def table_query(self, node: n.TableQuery) -> None:
        """Print table query."""
        self.put("TABLE", node.table)

    def with_(self, node: n.With) -> None:
        """Print with."""
        self.put("WITH", "RECURSIVE" if node.recursive else "")
        for place, table in enumerate(node.tables):
            self.put("," if place else "", table.name)
            if table.columns:
                self.bracketed(table.columns)
            self.put("AS", "(", table.query, ")")
            if table.cycle:
                self.put("CYCLE")
                self.listed(table.cycle)
                self.put("RESTRICT")

    def query(self, node: n.QueryExpression) -> None:
        """Print query."""
        self.put(node.with_, node.first, *(part for pair in node.rest for part in pair))
        self.order(node.order)
        self.put(node.limit)
        into = (node.into, *node.locking) if not node.into_after_locking else ()
        self.put(into or (*node.locking, node.into))


def printed_name(name: n.Name) -> str:
    """Return a name as it is written."""
    return "`" + name.value.replace("`", "``") + "`" if name.quoted else name.value
