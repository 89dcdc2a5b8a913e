"""What the twin databases of every engine hold: the shop's rows, and cells that rules hide.

The visible parts are the same in both databases, what the rules hide is not. What a partial mask
keeps is the same too (first letter and domain of an e-mail address, last four digits), and so is
which cells are NULL. The hidden rest differs in value, length, order, duplicates, and in whether a
cast or function of it fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

CUSTOMERS = 24
CITIES = ("Seoul", "Busan", "Incheon", "Daegu")
TIERS = ("basic", "silver", "gold")
DOMAINS = ("example.com", "example.org")
NAMES = ("Kim", "Lee", "Park", "Choi", "Jung", "Kang", "Cho", "Yoon")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Hidden:
    """A cell that is hidden: its value in either database."""

    here: Any
    there: Any


def shop_rows(*, utc: str) -> Iterator[tuple[str, Row]]:
    """Give (table, row) of the shop's tables; ``utc`` is how this engine's times name their
    zone."""
    for number in range(1, CUSTOMERS + 1):
        yield "customers", _customer(number, utc)
    for number in range(1, 9):
        category = ("tea", "cup", "pot")[number % 3]
        yield "products", (number, f"S-{number}", f"Thing {number}", category, number * 10, number)
    for number in range(1, 31):
        status = ("new", "paid", "sent")[number % 3]
        at = f"2026-02-{1 + number % 27:02} 10:00:00{utc}"
        customer = 1 + number % CUSTOMERS
        yield "orders", (number, customer, status, at, number * 12.5, f"{number} Long Street")
    for number in range(1, 31):
        yield "order_items", (number, 1 + number % 8, number % 4 + 1, 10 * (1 + number % 8))
    for number in range(1, 11):
        salary = Hidden(3000 + 100 * number, 1)
        department = ("sales", "support")[number % 2]
        yield "employees", (number, f"Employee {number}", department, salary, "2020-01-01")
    for number in range(1, 13):
        yield "other.customers", (number, f"plain{number}@other.example", f"Other {number}")


def loaded(rows: Iterable[tuple[str, Row]], *, here: bool) -> list[tuple[str, Row]]:
    """Return (table, row) pairs as one of the databases holds them, in the order of loading; the
    refused payroll differs even in how many there are."""

    def cell(value: Any) -> Any:
        return (value.here if here else value.there) if isinstance(value, Hidden) else value

    found = [(table, tuple(cell(value) for value in row)) for table, row in rows]
    paid = range(1, 11) if here else range(1, 4)
    found += [("payroll", (number, "2026-01-01", 10 * number if here else 1)) for number in paid]
    return found


def _customer(number: int, utc: str) -> Row:
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
        f"2026-01-{1 + number:02} 09:00:00{utc}",
    )
