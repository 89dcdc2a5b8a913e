"""Windows and the keys of ORDER BY."""

from __future__ import annotations

from querykeep_engines.kit.lexing import TokenKind
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.expressions import ExpressionParser


class WindowParser(ExpressionParser):
    """Parses what follows a window function's parentheses."""

    def _null_treatment(self) -> tuple[str, ...]:
        if self.accept_words("FROM", "FIRST"):
            head: tuple[str, ...] = ("FROM", "FIRST")
        else:
            head = ()
        word = self.accept_word("RESPECT")
        if word:
            self.expect_word("NULLS")
            return (*head, word, "NULLS")
        return head

    def _over(self) -> n.Name | n.Window | None:
        if not self.at_word("OVER"):
            return None
        if not (self.peek().value == "(" or self.peek().kind is TokenKind.QUOTED) and (
            self.peek().kind is not TokenKind.WORD
        ):
            return None
        self.advance()
        return self.window() if self.at("(") else self.name()

    def window(self) -> n.Window:
        """Parse a window specification in parentheses."""
        self.expect("(")
        base = None
        if self.at_name() and not self.at_word("PARTITION", "ORDER", "ROWS", "RANGE", "GROUPS"):
            base = self.name()
        partition = self.expressions() if self.accept_words("PARTITION", "BY") else ()
        order = self.order_items() if self.accept_words("ORDER", "BY") else ()
        unit, between = "", False
        bounds: tuple[n.FrameBound, ...] = ()
        exclude: tuple[str, ...] = ()
        found = self.accept_word("ROWS", "RANGE", "GROUPS")
        if found is not None:
            unit = found
            between = self.accept_word("BETWEEN") is not None
            first = self._frame_bound()
            bounds = (first,)
            if between:
                self.expect_word("AND")
                bounds = (first, self._frame_bound())
            exclude = self._frame_exclusion()
        self.expect(")")
        return n.Window(base, partition, order, unit, between, bounds, exclude)

    def _frame_bound(self) -> n.FrameBound:
        if self.accept_words("CURRENT", "ROW"):
            return n.FrameBound(None, ("CURRENT", "ROW"))
        if self.accept_word("UNBOUNDED"):
            return n.FrameBound(None, ("UNBOUNDED", self.expect_word("PRECEDING", "FOLLOWING")))
        value = self.expression()
        return n.FrameBound(value, (self.expect_word("PRECEDING", "FOLLOWING"),))

    def _frame_exclusion(self) -> tuple[str, ...]:
        if not self.accept_word("EXCLUDE"):
            return ()
        if self.accept_words("CURRENT", "ROW"):
            return ("EXCLUDE", "CURRENT", "ROW")
        if self.accept_words("NO", "OTHERS"):
            return ("EXCLUDE", "NO", "OTHERS")
        return ("EXCLUDE", self.expect_word("GROUP", "TIES"))

    def order_items(self) -> tuple[n.OrderItem, ...]:
        """Parse the keys of ORDER BY."""
        items = []
        while True:
            value = self.expression()
            items.append(n.OrderItem(value, self.accept_word("ASC", "DESC") or ""))
            if not self.accept(","):
                return tuple(items)
