"""The rows of PostgreSQL's twin databases: the shop's, and those of this engine's own tables."""

from __future__ import annotations

from collections.abc import Iterator

from tests.guard.twin_shop import CITIES, Hidden, Row, loaded, shop_rows


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
    yield from shop_rows(utc="+00")
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
    return loaded(_rows(), here=here)
