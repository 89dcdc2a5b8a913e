"""What functions and operators make of stored values: something total, or something that tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querykeep_engines.mysql.analysis import functions as f
from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    OTHER,
    TOTAL,
    UNBOUNDED,
    Lineage,
    combine,
)
from querykeep_engines.mysql.analysis.resolution import NameResolution
from querykeep_engines.mysql.analysis.sizes import MAX_SIZE, NUMBER_SIZE
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_guard.sql.facts import ColumnRole, Effect

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression


class CallAnalysis(NameResolution):
    """Judges functions and operators by what they can tell of their operands."""

    _in_predicate = False

    def _conditional(
        self, parts: tuple[Lineage, ...] | list[Lineage], what: str, expression: Expression
    ) -> Lineage:
        """A comparison or a choice: never fails by itself, but its result tells."""
        found = combine(parts, OTHER)
        if found.sources and not self._in_predicate:
            self.record.use(found, ColumnRole.FUNCTION, what, expression.position)
        return Lineage(found.sources, found.rank, NUMBER_SIZE)

    @staticmethod
    def chosen_by(tested: Lineage) -> Lineage:
        """Return what a value owes to the condition that chose it: a hidden column in the condition
        is refused by its use there, any other does no harm."""
        return Lineage(tested.sources, min(tested.rank, TOTAL), NUMBER_SIZE)

    def _fallible(
        self, parts: tuple[Lineage, ...] | list[Lineage], what: str, expression: Expression
    ) -> Lineage:
        """Something that can fail or warn depending on its operands, and of any length."""
        found = combine(parts, OTHER)
        if found.sources:
            self.record.use(found, ColumnRole.FUNCTION, what, expression.position)
        return Lineage(found.sources, found.rank, UNBOUNDED, None, True)

    def _total(self, parts: list[Lineage], size: int, what: str, expression: Expression) -> Lineage:
        """Something that never fails or warns, unless its result of ``size`` bytes is longer than
        its longest operand and overruns the packet limit."""
        found = combine(parts, TOTAL)
        if size > max(MAX_SIZE, found.size):
            return self._fallible(parts, what, expression)
        return Lineage(found.sources, found.rank, size, None, found.is_binary)

    @staticmethod
    def _as_binary(operand: Lineage) -> Lineage:
        rank = max(TOTAL, operand.rank) if operand.sources else operand.rank
        return Lineage(operand.sources, rank, operand.size, None, True)

    def _copied(self, lineage: Lineage, clause: str, position: int) -> None:
        self.record.effects.add(Effect.SESSION)
        if lineage.sources:
            self.record.effects.add(Effect.COPIES_DATA)
            self.record.use(lineage, ColumnRole.WRITTEN_FROM, clause, position)

    def _builtin(
        self,
        name: str,
        expression: n.Call | n.SpecialCall,
        args: tuple[Expression, ...],
        parts: list[Lineage],
        what: str,
    ) -> Lineage:
        if name in f.TOTAL and self._is_total(name, args, parts):
            return self._total(parts, self._size(name, args, parts), what, expression)
        if name == "IF":
            tested = self._conditional(parts[:1], "function if()", expression)
            return combine((self.chosen_by(tested), *parts[1:]), TOTAL)
        return self._fallible(parts, what, expression)

    @staticmethod
    def _size(name: str, args: tuple[Expression, ...], parts: list[Lineage]) -> int:
        """Return the most bytes that a total function gives."""
        if name in f.NUMERIC_RESULTS:
            return NUMBER_SIZE
        if name == "CONCAT":
            return sum(part.size for part in parts)
        if name == "CONCAT_WS":
            return sum(part.size for part in parts[1:]) + parts[0].size * len(parts)
        size = max(part.size for part in parts)
        if name == "REPLACE" and isinstance(args[1], n.Literal) and len(args) > 2:
            return size * max(1, -(-parts[2].size // max(1, len(args[1].value))))
        return max(size * f.GROWTH.get(name, 1), f.FIXED_SIZE)

    def _is_total(self, name: str, args: tuple[Expression, ...], parts: list[Lineage]) -> bool:
        """True when no stored value steers the function, and its result stays small."""
        if not args:
            return False
        subject = 1 if name in ("LOCATE", "POSITION") and len(args) > 1 else 0
        for place, (arg, part) in enumerate(zip(args, parts, strict=True)):
            if name in f.ALL_ARGUMENTS_FREE:
                if not part.sources and not self._is_small_literal(arg, 1024):
                    return False
            elif place != subject and not self._is_small_literal(arg, 32):
                return False
        return True

    @staticmethod
    def _is_small_literal(arg: Expression, limit: int) -> bool:
        """True for a literal (or its negative) of few characters: longer ones, parameters and user
        variables could push a result over the packet limit, which would be seen."""
        if isinstance(arg, n.Unary):
            arg = arg.operand
        return isinstance(arg, n.Literal) and len(arg.value) <= limit

    def _unknown_call(
        self, expression: n.Call, parts: list[Lineage], name: str, what: str
    ) -> Lineage:
        full = ".".join(part.value for part in expression.parts)
        is_file = len(expression.parts) == 1 and name in f.FILE_FUNCTIONS
        is_oracle = len(expression.parts) == 1 and name in f.ERROR_FUNCTIONS
        self.record.functions.setdefault(full)
        if is_file:
            self.record.effects.add(Effect.FILE)
        if not (is_file or is_oracle):
            self.record.effects.add(Effect.PROCEDURE)
        why = (
            "reads a file of the server"
            if is_file
            else "puts what it reads into an error text"
            if is_oracle
            else "is not one of the server's own: what it reads or writes cannot be seen"
        )
        self.record.problem(
            "unsafe" if is_file or is_oracle else "unknown_function",
            f'function "{full}" {why}',
            object_=full,
            position=expression.position,
            matters_unmasked=False,
        )
        return self._fallible(parts, what, expression)

    @staticmethod
    def _is_stored_text(operand: Lineage) -> bool:
        """True for a stored value as it stands that is text, a number or a time: bytes that are no
        text, or text that was cut as bytes, would be read with a warning."""
        return operand.rank == IDENTITY and not operand.is_binary

    def _may_hold_all(self) -> bool:
        """True where a text cast to CHAR is not cut to what the connection's character set has: a
        character that it lacks gives a warning."""
        connection = dict(self.record.context.settings).get("character_set_connection", "utf8mb4")
        return connection.lower() == "utf8mb4"

    @staticmethod
    def _is_plain_char(expression: n.SpecialCall) -> bool:
        """True for CAST(… AS CHAR) without a length, which neither cuts nor warns."""
        last = expression.form[-1]
        return (
            len(expression.form) == 3
            and not isinstance(last, (str, n.Name))
            and getattr(last, "value", "") == "CHAR"
        )
