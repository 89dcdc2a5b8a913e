"""A mask shows a value of the column's own type, in text and binary, to a real client."""

from __future__ import annotations

import ipaddress
import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.postgresql.harness import allow, governed_by

from querykeep_engines.postgresql.wire.values import MASKABLE
from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.contracts.session import Target
from querykeep_guard.policy.decision import ColumnMask, Decision, MaskPlan
from querykeep_guard.sql.facts import SessionContext

KEY = b"k" * 32

# expression, masker, what a client must read
SHOWN = (
    ("5432100::int4", MaskerSpec("number_round"), 5000000),
    ("-1::int8", MaskerSpec("number_round", (("step", "10"),)), -10),
    ("1234::int2", MaskerSpec("number_round", (("step", "100"),)), 1200),
    ("1234::int2", MaskerSpec("number_fixed", (("value", "2000000000"),)), None),
    ("5432100.99::numeric(12,2)", MaskerSpec("number_round"), Decimal("5000000")),
    ("120000.5::numeric", MaskerSpec("number_round", (("step", "10000"),)), Decimal("120000")),
    ("'NaN'::numeric", MaskerSpec("number_round"), None),
    ("123.9::float8", MaskerSpec("number_round", (("step", "10"),)), 120.0),
    ("123.9::float4", MaskerSpec("number_fixed", (("value", "7"),)), 7.0),
    ("'infinity'::float8", MaskerSpec("number_round"), None),
    ("date '1990-03-15'", MaskerSpec("date_year"), date(1990, 1, 1)),
    ("date 'infinity'", MaskerSpec("date_year"), None),
    (
        "timestamp '1990-03-15 10:11:12.5'",
        MaskerSpec("date_month"),
        datetime(1990, 3, 1),
    ),
    (
        "timestamptz '1990-07-15 10:11:12+09'",
        MaskerSpec("date_year"),
        datetime(1990, 1, 1, tzinfo=UTC),
    ),
    ("inet '203.0.113.57/24'", MaskerSpec("ip"), ipaddress.ip_address("203.0.0.0")),
    ("inet '2001:db8:1:2::3'", MaskerSpec("ip"), ipaddress.ip_address("2001:db8::")),
    ("""'{"a": [1, true, "x"]}'::jsonb""", MaskerSpec("json_values"), {"a": [0, False, "*****"]}),
    ("""'{"a": null}'::json""", MaskerSpec("json_values"), {"a": None}),
    ("'김민수'::text", MaskerSpec("null"), None),
    ("'김민수'::varchar(9)", MaskerSpec("name_middle"), "김*수"),
    ("'12'::text", MaskerSpec("number_round", (("step", "10"),)), "10"),
    ("'a lot'::text", MaskerSpec("number_round"), "*****"),
    ("5432100::int4", MaskerSpec("email"), None),
    ("interval '1 day'", MaskerSpec("date_year"), None),
    ("ARRAY[1,2]", MaskerSpec("number_round"), None),
    ("'x'::bytea", MaskerSpec("full"), None),
    ("true", MaskerSpec("full"), None),
)
STATEMENT = "SELECT " + ", ".join(f"{text} AS c{at}" for at, (text, *_rest) in enumerate(SHOWN))
KEYED = "SELECT '6f1c2d3e-0000-4000-8000-000000000001'::uuid AS id, '010-1234-5678' AS phone"


def decided(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    if text == KEYED:
        specs = [MaskerSpec("keyed_uuid"), MaskerSpec("same_digits")]
    else:
        specs = [spec for _text, spec, _shown in SHOWN]
    masks = tuple(
        ColumnMask(at, spec, ("r1",), ("Hidden",), (), key=KEY) for at, spec in enumerate(specs)
    )
    return (allow(text, MaskPlan(len(masks), masks)),)


@pytest.fixture
def connection(target: Target) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with (
        governed_by(target, decided) as server,
        psycopg.connect(
            host="127.0.0.1",
            port=server.port,
            user="ana",
            password="client-token",
            dbname="shop",
            sslmode="disable",
            autocommit=True,
        ) as connected,
    ):
        yield connected


@pytest.mark.parametrize("binary", [False, True])
def test_a_masked_value_has_its_columns_own_type(
    connection: psycopg.Connection[tuple[object, ...]], binary: bool
) -> None:
    row = connection.cursor(binary=binary).execute(STATEMENT.encode()).fetchone()
    assert row is not None
    assert list(row) == [shown for _text, _spec, shown in SHOWN]


def test_a_pseudonym_is_the_same_in_text_and_binary(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    text = connection.cursor(binary=False).execute(KEYED.encode()).fetchone()
    assert text == connection.cursor(binary=True).execute(KEYED.encode()).fetchone()
    assert text is not None
    assert isinstance(text[0], uuid.UUID)
    assert text[0] != uuid.UUID("6f1c2d3e-0000-4000-8000-000000000001")


def test_every_type_is_known_to_the_server(target: Target) -> None:
    with psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database,
    ) as direct:
        found = direct.execute(
            "SELECT oid FROM pg_type WHERE oid = ANY(%s)", [list(MASKABLE)]
        ).fetchall()
    assert {oid for (oid,) in found} == set(MASKABLE)


@given(st.decimals(-(10**60), 10**60, places=9) | st.integers())
def test_a_numeric_survives_its_binary_form(number: Decimal | int) -> None:
    codec = MASKABLE[1700].binary
    assert Decimal(codec.read(codec.write(format(Decimal(number), "f")))) == number


@given(oid=st.sampled_from(sorted(MASKABLE)), value=st.binary(max_size=40))
def test_bytes_that_are_no_value_are_an_error_that_the_mask_expects(oid: int, value: bytes) -> None:
    try:
        read = MASKABLE[oid].binary.read(value)
    except (ValueError, ArithmeticError, struct.error):
        return
    assert isinstance(read, str)
