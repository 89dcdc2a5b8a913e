"""Prints a syntax tree as text that lexes to the tokens that it was parsed from.

So it is proven that the parser drops nothing: a token that no field holds would be missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.syntax import nodes as n


def print_tree(tree: n.Statement) -> str:
    """Return a text of the tree."""
    return " ".join(_Printer().pieces(tree))


class _Printer:
    """Collects pieces of text; each ``_on_*`` prints one kind of node."""

    def __init__(self) -> None:
        self.out: list[str] = []

    def pieces(self, tree: object) -> list[str]:
        self.put(tree)
        return self.out

    def put(self, *parts: Any) -> None:
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
                _PRINT[type(part)](self, part)

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
        self.out.append(".".join(_name(part) for part in parts))

    # --- expressions --------------------------------------------------------------------------

    def name(self, node: n.Name) -> None:
        self.put(_name(node))

    def literal(self, node: n.Literal) -> None:
        first = node.tokens[0]
        glued = first.kind is TokenKind.WORD and first.value[:1] == "_"
        if glued and len(node.tokens) > 1:
            self.put(first.text + node.tokens[1].text, *node.tokens[2:])
        else:
            self.put(*node.tokens)

    def column(self, node: n.ColumnRef) -> None:
        self.dotted(node.parts)

    def star(self, node: n.Star) -> None:
        self.put(".".join([*(_name(part) for part in node.qualifier), "*"]))

    def user_variable(self, node: n.UserVariable) -> None:
        self.put(node.text)

    def system_variable(self, node: n.SystemVariable) -> None:
        self.put("@@" + ".".join(_name(part) for part in node.parts))

    def unary(self, node: n.Unary) -> None:
        self.put(node.operator, node.operand)

    def chain(self, node: n.Chain) -> None:
        self.put(node.first, *(part for pair in node.rest for part in pair))

    def assignment(self, node: n.Assignment) -> None:
        self.put(node.target, ":=", node.value)

    def quantified(self, node: n.Quantified) -> None:
        self.put(node.left, node.operator, node.quantifier, "(", node.query, ")")

    def between(self, node: n.Between) -> None:
        self.put(node.operand, "NOT" if node.negated else "", "BETWEEN", node.low, "AND", node.high)

    def in_list(self, node: n.InList) -> None:
        self.put(node.operand, "NOT" if node.negated else "", "IN")
        self.bracketed(node.items)

    def in_query(self, node: n.InQuery) -> None:
        self.put(node.operand, "NOT" if node.negated else "", "IN", "(", node.query, ")")

    def like(self, node: n.Like) -> None:
        self.put(node.operand, "NOT" if node.negated else "", node.words, node.pattern)
        if node.escape is not None:
            self.put("ESCAPE", node.escape)

    def member(self, node: n.MemberOf) -> None:
        self.put(node.operand, node.words, "(", node.array, ")")

    def is_test(self, node: n.IsTest) -> None:
        self.put(node.operand, "IS", node.words)

    def case(self, node: n.Case) -> None:
        self.put("CASE", node.operand)
        for when, then in node.whens:
            self.put("WHEN", when, "THEN", then)
        if node.default is not None:
            self.put("ELSE", node.default)
        self.put("END")

    def order_item(self, node: n.OrderItem) -> None:
        self.put(node.value, node.direction)

    def window(self, node: n.Window) -> None:
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
        head = ".".join(_name(part) for part in node.parts)
        if node.bare:
            self.put(head)
            return
        self.put(head + "(", node.words)
        self.listed(node.args)
        self.order(node.order)
        if node.separator is not None:
            self.put("SEPARATOR", node.separator)
        self.put(node.limit, ")", node.nulls)
        if node.over is not None:
            self.put("OVER", node.over)

    def special(self, node: n.SpecialCall) -> None:
        self.put(node.name + "(", *node.form, ")")

    def interval(self, node: n.Interval) -> None:
        self.put("INTERVAL", node.value, node.unit)

    def row(self, node: n.Row) -> None:
        self.put("ROW" if node.explicit else "")
        self.bracketed(node.items)

    def paren(self, node: n.Paren) -> None:
        self.put("(", node.value, ")")

    def subquery(self, node: n.SubqueryExpression | n.ParenQuery) -> None:
        self.put("(", node.query, ")")

    def exists(self, node: n.Exists) -> None:
        self.put("EXISTS", "(", node.query, ")")

    def match(self, node: n.Match) -> None:
        self.put("MATCH", "(" if node.parenthesised else "")
        self.listed(node.columns)
        self.put(")" if node.parenthesised else "", "AGAINST", "(", node.against, node.modifiers)
        self.put(")")

    def collated(self, node: n.Collated) -> None:
        self.put(node.operand, "COLLATE", node.collation)

    def default_value(self, node: n.DefaultValue) -> None:
        self.put("DEFAULT")
        if node.column is not None:
            self.put("(", node.column, ")")

    def inserted(self, node: n.InsertedValue) -> None:
        self.put(node.word, "(", node.column, ")")

    def odbc(self, node: n.OdbcEscape) -> None:
        self.put("{", node.word, node.value, "}")

    # --- queries ------------------------------------------------------------------------------

    def alias(self, node: n.Alias) -> None:
        self.put("AS" if node.has_as else "", node.token)

    def item(self, node: n.SelectItem) -> None:
        self.put(node.value, node.alias)

    def table_name(self, node: n.TableName) -> None:
        self.dotted(node.parts)

    def base_table(self, node: n.BaseTable) -> None:
        self.put(node.table)
        if node.partitions:
            self.put("PARTITION")
            self.bracketed(node.partitions)
        self.put(node.alias, node.hints)

    def derived(self, node: n.DerivedTable) -> None:
        self.put("LATERAL" if node.lateral else "", "(", node.query, ")", node.alias)
        if node.columns:
            self.bracketed(node.columns)

    def join(self, node: n.Join) -> None:
        self.put(node.first)
        for step in node.steps:
            self.put(step.words, step.table)
            if step.on is not None:
                self.put("ON", step.on)
            if step.using:
                self.put("USING")
                self.bracketed(step.using)

    def paren_table(self, node: n.ParenTable) -> None:
        if node.odbc is not None:
            self.put("{", node.odbc, node.table, "}")
        else:
            self.put("(", node.table, ")")

    def limit(self, node: n.Limit) -> None:
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
        self.put("INTO", node.file_word, node.tokens)
        self.listed(node.variables)

    def locking(self, node: n.Locking) -> None:
        self.put(node.words)
        if node.tables:
            self.put("OF")
            self.listed(node.tables)
        self.put(node.suffix, node.wait)

    def select(self, node: n.Select) -> None:
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
        self.put("VALUES")
        self.listed(node.rows)

    def table_query(self, node: n.TableQuery) -> None:
        self.put("TABLE", node.table)

    def with_(self, node: n.With) -> None:
        self.put("WITH", "RECURSIVE" if node.recursive else "")
        for place, table in enumerate(node.tables):
            self.put("," if place else "", table.name)
            if table.columns:
                self.bracketed(table.columns)
            self.put("AS", "(", table.query, ")")

    def query(self, node: n.QueryExpression) -> None:
        self.put(node.with_, node.first, *(part for pair in node.rest for part in pair))
        self.order(node.order)
        self.put(node.limit)
        into = (node.into, *node.locking) if not node.into_after_locking else ()
        self.put(into or (*node.locking, node.into))

    # --- statements ---------------------------------------------------------------------------

    def set_item(self, node: n.SetItem) -> None:
        self.put(node.column, node.operator, node.value)

    def insert(self, node: n.Insert) -> None:
        self.put(node.verb, node.hint, node.words, "INTO" if node.has_into else "", node.table)
        if node.partitions:
            self.put("PARTITION")
            self.bracketed(node.partitions)
        if node.has_columns:
            self.bracketed(node.columns)
        if node.values_word:
            self.put(node.values_word)
            for place, row in enumerate(node.rows):
                self.put("," if place else "")
                self.bracketed(row)
        if node.assignments:
            self.put("SET")
            self.listed(node.assignments)
        self.put(node.query)
        if node.row_alias is not None:
            self.put("AS", node.row_alias[0])
            if node.row_alias[1]:
                self.bracketed(node.row_alias[1])
        if node.on_duplicate:
            self.put("ON", "DUPLICATE", "KEY", "UPDATE")
            self.listed(node.on_duplicate)
        self.returning(node.returning)

    def returning(self, items: tuple[n.SelectItem, ...]) -> None:
        """Print RETURNING when there are items."""
        if items:
            self.put("RETURNING")
            self.listed(items)

    def update(self, node: n.Update) -> None:
        self.put(node.with_, "UPDATE", node.hint, node.words, node.table, "SET")
        self.listed(node.assignments)
        self.where(node.where)
        self.order(node.order)
        self.put(node.limit)

    def delete(self, node: n.Delete) -> None:
        self.put(node.with_, "DELETE", node.hint, node.words)
        targets = [
            ".".join([*(_name(part) for part in table.parts), *(["*"] if star else [])])
            for table, star in node.targets
        ]
        if node.style == "single":
            self.put("FROM", node.table)
        elif node.style == "from":
            self.listed(targets)
            self.put("FROM", node.table)
        else:
            self.put("FROM")
            self.listed(targets)
            self.put("USING", node.table)
        self.where(node.where)
        self.order(node.order)
        self.put(node.limit)
        self.returning(node.returning)

    def set_statement(self, node: n.SetStatement) -> None:
        self.put("SET", "STATEMENT" if node.statement is not None else "")
        for place, item in enumerate(node.items):
            self.put("," if place else "", item.prefix)
            if isinstance(item.target, tuple):
                self.dotted(item.target)
            else:
                self.put(item.target)
            self.put(item.operator)
            if item.form != "transaction":
                self.put(item.value)
            if item.collation is not None:
                self.put("COLLATE", item.collation)
        if node.statement is not None:
            self.put("FOR", node.statement)

    def explain(self, node: n.Explain) -> None:
        self.put(node.words, node.statement)

    def create_as(self, node: n.CreateTableAs | n.CreateView) -> None:
        self.put(node.head, node.query, node.tail)

    def show(self, node: n.Show) -> None:
        self.put(node.head)
        if node.table is not None:
            own = node.table.parts
            # FROM table FROM schema: the schema stands in the tail.
            has_tail = bool(node.tail) and node.tail[0].value in ("FROM", "IN")
            self.dotted(own[-1:] if has_tail else own)
        tail = node.tail
        if node.where_word and tail and tail[0].value in ("FROM", "IN"):
            self.put(tail[:2])
            tail = tail[2:]
        self.put(node.where_word, node.where, tail)

    def prepare(self, node: n.Prepare) -> None:
        if node.name is None:
            self.put("EXECUTE", "IMMEDIATE", node.source)
        else:
            self.put("PREPARE", node.name, "FROM", node.source)
        self.using(node.using)

    def using(self, values: tuple[n.Expression, ...]) -> None:
        """Print USING when there are values."""
        if values:
            self.put("USING")
            self.listed(values)

    def execute(self, node: n.Execute) -> None:
        self.put("EXECUTE", node.name)
        self.using(node.using)

    def do(self, node: n.Do) -> None:
        if not node.procedure:
            self.put("DO")
            self.listed(node.args)
            return
        self.put("CALL")
        self.dotted(node.procedure)
        if node.has_parens:
            self.bracketed(node.args)

    def utility(self, node: n.Utility) -> None:
        self.put(node.tokens)


def _name(name: n.Name) -> str:
    return "`" + name.value.replace("`", "``") + "`" if name.quoted else name.value


_PRINT: dict[type, Callable[[_Printer, Any], None]] = {
    n.Name: _Printer.name,
    n.Literal: _Printer.literal,
    n.Parameter: lambda printer, _: printer.put("?"),
    n.ColumnRef: _Printer.column,
    n.Star: _Printer.star,
    n.UserVariable: _Printer.user_variable,
    n.SystemVariable: _Printer.system_variable,
    n.Unary: _Printer.unary,
    n.Chain: _Printer.chain,
    n.Assignment: _Printer.assignment,
    n.Quantified: _Printer.quantified,
    n.Between: _Printer.between,
    n.InList: _Printer.in_list,
    n.InQuery: _Printer.in_query,
    n.Like: _Printer.like,
    n.MemberOf: _Printer.member,
    n.IsTest: _Printer.is_test,
    n.Case: _Printer.case,
    n.OrderItem: _Printer.order_item,
    n.Window: _Printer.window,
    n.Call: _Printer.call,
    n.SpecialCall: _Printer.special,
    n.Interval: _Printer.interval,
    n.Row: _Printer.row,
    n.Paren: _Printer.paren,
    n.SubqueryExpression: _Printer.subquery,
    n.Exists: _Printer.exists,
    n.Match: _Printer.match,
    n.Collated: _Printer.collated,
    n.DefaultValue: _Printer.default_value,
    n.InsertedValue: _Printer.inserted,
    n.OdbcEscape: _Printer.odbc,
    n.Alias: _Printer.alias,
    n.SelectItem: _Printer.item,
    n.TableName: _Printer.table_name,
    n.BaseTable: _Printer.base_table,
    n.DerivedTable: _Printer.derived,
    n.Join: _Printer.join,
    n.ParenTable: _Printer.paren_table,
    n.Limit: _Printer.limit,
    n.Into: _Printer.into,
    n.Locking: _Printer.locking,
    n.Select: _Printer.select,
    n.ValuesQuery: _Printer.values,
    n.TableQuery: _Printer.table_query,
    n.ParenQuery: _Printer.subquery,
    n.With: _Printer.with_,
    n.QueryExpression: _Printer.query,
    n.SetItem: _Printer.set_item,
    n.Insert: _Printer.insert,
    n.Update: _Printer.update,
    n.Delete: _Printer.delete,
    n.SetStatement: _Printer.set_statement,
    n.Explain: _Printer.explain,
    n.CreateTableAs: _Printer.create_as,
    n.CreateView: _Printer.create_as,
    n.Show: _Printer.show,
    n.Prepare: _Printer.prepare,
    n.Execute: _Printer.execute,
    n.Do: _Printer.do,
    n.Utility: _Printer.utility,
}
