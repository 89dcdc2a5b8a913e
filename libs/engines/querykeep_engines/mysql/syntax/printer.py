"""Prints a syntax tree as text that lexes to the tokens that it was parsed from.

So it is proven that the parser drops nothing: a token that no field holds would be missing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.query_printer import QueryPrinter, printed_name


def print_tree(tree: n.Statement) -> str:
    """Return a text of the tree."""
    return " ".join(_Printer().pieces(tree))


class _Printer(QueryPrinter):
    """Collects pieces of text; each method prints one kind of node."""

    def node(self, part: Any) -> None:
        """Print a node by its kind."""
        _PRINT[type(part)](self, part)

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
            ".".join([*(printed_name(part) for part in table.parts), *(["*"] if star else [])])
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
    n.SequenceValue: lambda printer, node: printer.put(*node.form),
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
    n.JsonTable: lambda printer, node: printer.put(*node.form, node.alias),
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
