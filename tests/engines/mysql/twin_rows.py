"""The rows of MariaDB's and MySQL's twin databases: the shop's, and of this engine's own tables."""

from __future__ import annotations

from collections.abc import Iterator

from tests.guard.twin_shop import Hidden, Row, loaded, shop_rows


def _vault(number: int) -> Row:
    return (
        number,
        f"box {number}",
        Hidden(number * 3, 7),
        Hidden(60000 + number, 42),
        Hidden(-number, 5),
        Hidden(number, 12345678),
        Hidden(2**63 + number, 5),
        Hidden(f"{number}.25", "9.50"),
        Hidden(number / 4, 0.5),
        Hidden(number / 8, 1e100),
        Hidden(number, 511),
        Hidden(2000 + number, 1999),
        Hidden(f"2001-02-0{number}", "1999-09-09"),
        Hidden(f"0{number}:00:00.5", "-12:00:00"),
        Hidden(f"2020-01-01 0{number}:00:00.000001", "2020-06-01 00:00:00"),
        Hidden(f"2021-01-0{number} 00:00:00", "2022-01-01 00:00:00"),
        Hidden(f"c{number}", "same"),
        Hidden(bytes([number, 255]), b"\xed\x95\x9c"),
        Hidden(bytes([number]), b"abcd"),
        Hidden(b"\0" * number, b"blob"),
        Hidden("텍스트" * number, "text"),
        Hidden("calm" if number % 2 else "wild", "glad"),
        Hidden("calm,wild" if number % 2 else "", "glad"),
        Hidden(f'{{"a": {number}}}', '{"b": "x"}'),
    )


def _rows() -> Iterator[tuple[str, Row]]:
    yield from shop_rows(utc="")
    for number in range(1, 9):
        email = Hidden(f"p{number}@example.net", f"pp{number * 111}@example.net")
        yield "people", (number, email, "new", Hidden(f"nick{number}", f"n{number * 7}"))
    for number in range(1, 4):
        yield "nick_notes", (number, Hidden(f"nick{number}", f"n{number * 7}"), f"note {number}")
        yield "checked", (number, Hidden(10 * number, 1000), 1)
        yield "solo", (number, Hidden("cab"[number - 1], "abc"[number - 1]))
        words = Hidden(f"rare{number} words", "plain words of another kind")
        yield "papers", (number, f"Paper {number}", words)
        yield "sealed", (number, Hidden(f"s{number}", f"other {number * 5}"))
    for number in range(1, 7):
        yield "logs", (number, Hidden(f"login of {number}", "-"), f"{2024 + number % 4}-03-01")
        yield "watched", (number, Hidden("abcd" * (number % 3), "x"), 0)
        yield "vault", _vault(number)


COLUMNS = {
    "people": ("id", "email", "status", "nick"),
    "vault": (
        *("id", "label", "tiny", "small", "medium", "whole", "big", "exact", "single", "dbl"),
        *("flags", "made", "born", "at", "seen", "stamped", "code", "bytes", "bin", "blobs"),
        *("texts", "mood", "moods", "doc"),
    ),
}
"""Where not every column is given, those that are."""


def rows(*, here: bool) -> list[tuple[str, Row]]:
    """Return (table, row) pairs of one of the databases, in the order of loading."""
    return loaded(_rows(), here=here)
