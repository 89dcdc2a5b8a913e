"""The rows of the twin databases: the visible parts are the same, what the rules hide is not.

``Hidden(here, there)`` is a cell that differs. What a partial mask keeps is the same in both
(first letter and domain of an e-mail address, last four digits), and so is which cells are NULL.
The hidden rest differs in value, length, order, duplicates, and in whether a cast or function of it
fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CUSTOMERS = 24
CITIES = ("Seoul", "Busan", "Incheon", "Daegu")
TIERS = ("basic", "silver", "gold")
DOMAINS = ("example.com", "example.org")
NAMES = ("Kim", "Lee", "Park", "Choi", "Jung", "Kang", "Cho", "Yoon")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A cell that is hidden: its value in either database."""

    here: Any
    there: Any


Row = tuple[Any, ...]


def _customer(number: int) -> Row:
    first = "kmpaz"[number % 5]
    domain = DOMAINS[number % 2]
    email = Hidden(f"{first}{'inho'[: number % 4]}{number}@{domain}", f"{first}zz@{domain}")
    last = f"{1000 + number * 7:04}"
    rrn = Hidden(f"{900101 + number}-{1234567 + number * 11}", str(number % 3))
    return (
        number,
        f"{NAMES[number % 8]} {number}",
        None if number % 11 == 0 else email,
        None if number % 13 == 0 else Hidden(f"010-{2000 + number}-{last}", f"55555555-{last}"),
        None if number % 7 == 0 else rrn,
        Hidden(f"4111-{number:04}-{number * 3:04}-{last}", f"0000-0000-0000-0000-{last}"),
        f"19{60 + number}-03-{1 + number:02}",
        CITIES[number % 4],
        TIERS[number % 3],
        None if number % 5 == 0 else f"note {number % 6}",
        f"2026-01-{1 + number:02} 09:00:00+00",
    )


def _vault(number: int) -> Row:
    return (
        number,
        f"box {number}",
        Hidden(number * 3, 7),
        Hidden(1000 - number, 42),
        Hidden(2**40 + number, 5),
        Hidden(f"{number}.25", "9.50"),
        Hidden(number / 4, 0.5),
        Hidden(f"{number}.10", "3.00"),
        Hidden(number % 2 == 0, number % 3 == 0),
        Hidden(f"2001-02-0{number}", "1999-09-09"),
        Hidden(f"2020-01-01 0{number}:00:00+00", "2020-06-01 00:00:00+00"),
        Hidden(f"{number} days", "2 hours"),
        Hidden(f"c{number}", "same"),
        Hidden(f"\\x0{number}", "\\xffff"),
        Hidden(f'{{"a": {number}}}', '{"b": "x"}'),
        Hidden(f'{{"a": [{number}, 2]}}', '{"a": "text"}'),
        Hidden(f"00000000-0000-0000-0000-00000000000{number}", "f" * 32),
        Hidden(f"10.0.0.{number}", "192.168.0.0/24"),
        Hidden(f"010{number % 2}", "1111"),
        Hidden(f"({number},1)", "(0,0)"),
        Hidden(["w", "x"][: 1 + number % 2], ["one", "two", "three"]),
        Hidden([number, 2], [9]),
        Hidden(f"[{number},{number + 2})", "[5,50)"),
        Hidden("calm" if number % 2 else "wild", "glad"),
        Hidden(f"({number},b)", "(0,zz)"),
        Hidden(number, 100),
    )


def _rows() -> Iterator[tuple[str, Row]]:
    for number in range(1, CUSTOMERS + 1):
        yield "customers", _customer(number)
    for number in range(1, 9):
        category = ("tea", "cup", "pot")[number % 3]
        yield "products", (number, f"S-{number}", f"Thing {number}", category, number * 10, number)
    for number in range(1, 31):
        status = ("new", "paid", "sent")[number % 3]
        at = f"2026-02-{1 + number % 27:02} 10:00:00+00"
        total = number * 12.5
        yield (
            "orders",
            (number, 1 + number % CUSTOMERS, status, at, total, f"{number} Long Street"),
        )
    for number in range(1, 31):
        yield "order_items", (number, 1 + number % 8, number % 4 + 1, 10 * (1 + number % 8))
    for number in range(1, 11):
        salary = Hidden(3000 + 100 * number, 1)
        department = ("sales", "support")[number % 2]
        yield "employees", (number, f"Employee {number}", department, salary, "2020-01-01")
    for number in range(1, 13):
        yield "other.customers", (number, f"plain{number}@other.example", f"Other {number}")
    for number in range(1, 9):
        tags, doc = [f"t{number}"], f'{{"n": {number}}}'
        email = Hidden(f"p{number}@example.net", f"pp{999 - number * 111}@example.net")
        nick = Hidden(f"nick{number}", f"n{number * 7}")
        yield "people", (number, email, tags, doc, "new", nick)
    for number in range(1, 4):
        yield "nick_notes", (number, Hidden(f"nick{number}", f"n{number * 7}"), f"note {number}")
        yield "checked", (number, Hidden(10 * number, 1000), 1)
        span = Hidden(f"[{10 * number},{10 * number + 2})", f"[{100 * number},{100 * number + 50})")
        yield "bookings", (number, f"room {number}", span)
    for number in range(1, 9):
        yield "tickets", (number, number, f"ticket {number}")
        yield "stays", (number, f"guest {number}")
        yield "visits", (number, number, CITIES[number % 4])
    for number in range(1, 3):
        yield "drafts", (number, f"draft {number}")
        yield "calls", (number, "out", f"call {number}")
        yield "wishes", (number, f"wish {number}")
    for number in range(1, 7):
        yield "logs", (number, Hidden(f"login of {number}", "-"), f"2026-03-0{number}")
        yield "watched", (number, Hidden("abcd" * (number % 3), "x"), 0)
        yield "vault", _vault(number)


COLUMNS = {
    "people": ("id", "email", "tags", "doc", "status", "nick"),
    "drafts": ("id", "body"),
    "watched": ("id", "secret", "seen"),
}
"""Where a table has generated columns or a trigger, the columns that rows give."""


def rows(*, here: bool) -> list[tuple[str, Row]]:
    """Return (table, row) pairs of one of the databases, in the order of loading."""

    def cell(value: Any) -> Any:
        return (value.here if here else value.there) if isinstance(value, Hidden) else value

    found = [(table, tuple(cell(value) for value in row)) for table, row in _rows()]
    paid = range(1, 11) if here else range(1, 4)
    found += [("payroll", (number, "2026-01-01", 10 * number if here else 1)) for number in paid]
    return found
