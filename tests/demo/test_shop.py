"""The demo database holds what its documentation promises, the same in both engines."""

from collections.abc import Callable

import psycopg
import pymysql
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from querykeep_demo.servers import RedisServer
from querykeep_demo.shop import Shop
from querykeep_demo.shop_data import shop_rows

ROW_COUNTS = {
    "customers": 2_000,
    "products": 300,
    "orders": 20_000,
    "order_items": 50_000,
    "employees": 200,
    "payroll": 2_400,
    "customer_contact": 2_000,
    "order_summary": 20_000,
}
COLUMNS = {
    "customers": "id name email phone rrn card_number birth_date city tier note created_at",
    "products": "id sku name category price in_stock",
    "orders": "id customer_id status ordered_at total ship_address",
    "order_items": "order_id product_id quantity unit_price",
    "employees": "id name department salary hired_on",
    "payroll": "employee_id month amount",
    "customer_contact": "id name email phone",
    "order_summary": "order_id customer_name city total",
}

Query = Callable[[str], list[tuple[object, ...]]]


def run_postgresql(
    shop: Shop, user: str, password: str, statement: str
) -> list[tuple[object, ...]]:
    with psycopg.connect(
        host=shop.host, port=shop.port, user=user, password=password, dbname=shop.database
    ) as connection:
        return connection.execute(statement.encode()).fetchall()


def run_mariadb(shop: Shop, user: str, password: str, statement: str) -> list[tuple[object, ...]]:
    with (
        pymysql.connect(
            host=shop.host, port=shop.port, user=user, password=password, database=shop.database
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall())


@pytest.fixture(params=["postgresql", "mariadb"])
def query(request: pytest.FixtureRequest) -> Query:
    shop: Shop = request.getfixturevalue(f"shop_{request.param}")
    run = run_postgresql if shop.engine == "postgresql" else run_mariadb
    return lambda statement: run(shop, shop.account_user, shop.account_password, statement)


@pytest.mark.parametrize("relation", list(ROW_COUNTS))
def test_relation_has_the_promised_rows_and_columns(query: Query, relation: str) -> None:
    assert query(f"SELECT count(*) FROM {relation}") == [(ROW_COUNTS[relation],)]
    columns = query(
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_name = '{relation}' AND table_schema IN ('public', 'shop') "
        "ORDER BY ordinal_position"
    )
    assert " ".join(str(name) for (name,) in columns) == COLUMNS[relation]


@pytest.mark.parametrize(
    "table", ["customers", "products", "orders", "order_items", "employees", "payroll"]
)
def test_stored_rows_are_the_generated_ones(query: Query, table: str) -> None:
    assert tuple(query(f"SELECT * FROM {table} ORDER BY 1, 2")) == shop_rows().of(table)


def test_masked_columns_are_nullable_text_without_index(
    shop_postgresql: Shop, shop_mariadb: Shop
) -> None:
    masked = "('email', 'phone', 'rrn', 'card_number')"
    statement = (
        "SELECT column_name, is_nullable, data_type FROM information_schema.columns "
        f"WHERE table_name = 'customers' AND column_name IN {masked} ORDER BY ordinal_position"
    )
    for shop, run, text in (
        (shop_postgresql, run_postgresql, "character varying"),
        (shop_mariadb, run_mariadb, "varchar"),
    ):
        assert run(shop, shop.user, shop.password, statement) == [
            (column, "YES", text) for column in ("email", "phone", "rrn", "card_number")
        ]
    indexed = run_postgresql(
        shop_postgresql,
        shop_postgresql.user,
        shop_postgresql.password,
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
        "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = 'customers'::regclass",
    )
    assert indexed == [("id",)]
    indexed = run_mariadb(
        shop_mariadb,
        shop_mariadb.user,
        shop_mariadb.password,
        "SELECT column_name FROM information_schema.statistics WHERE table_name = 'customers'",
    )
    assert indexed == [("id",)]


def test_ids_go_on_after_the_generated_ones_and_accept_explicit_values(
    shop_postgresql: Shop, shop_mariadb: Shop
) -> None:
    insert = (
        "INSERT INTO products ({}sku, name, category, price, in_stock) "
        "VALUES ({}'X-{}', 'x', 'x', 1, 1)"
    )
    with psycopg.connect(
        host=shop_postgresql.host,
        port=shop_postgresql.port,
        user=shop_postgresql.account_user,
        password=shop_postgresql.account_password,
        dbname="shop",
    ) as postgresql:
        implicit = postgresql.execute((insert.format("", "", 1) + " RETURNING id").encode())
        assert implicit.fetchone() == (301,)
        explicit = insert.format("id, ", "9000, ", 2) + " RETURNING id"
        assert postgresql.execute(explicit.encode()).fetchone() == (9000,)
        postgresql.rollback()
    with (
        pymysql.connect(
            host=shop_mariadb.host,
            port=shop_mariadb.port,
            user=shop_mariadb.account_user,
            password=shop_mariadb.account_password,
            database="shop",
        ) as mariadb,
        mariadb.cursor() as cursor,
    ):
        cursor.execute(insert.format("", "", 1))
        assert cursor.lastrowid == 301
        cursor.execute(insert.format("id, ", "9000, ", 2))
        cursor.execute("SELECT id FROM products WHERE sku = 'X-2'")
        assert cursor.fetchone() == (9000,)
        mariadb.rollback()


def test_account_is_an_ordinary_one(shop_postgresql: Shop, shop_mariadb: Shop) -> None:
    account = shop_postgresql.account_user, shop_postgresql.account_password
    roles = run_postgresql(
        shop_postgresql,
        *account,
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles "
        "WHERE rolname = current_user",
    )
    assert roles == [(False, False, False, False)]
    account = shop_mariadb.account_user, shop_mariadb.account_password
    grants = run_mariadb(shop_mariadb, *account, "SHOW GRANTS")
    assert any("SHOW VIEW" in str(grant) and "TRIGGER" in str(grant) for (grant,) in grants)
    assert not any("ALL PRIVILEGES" in str(grant) or "SUPER" in str(grant) for (grant,) in grants)


def test_nobody_can_be_meant_by_the_invented_numbers() -> None:
    for customer in shop_rows().customers:
        resident_number, card = customer[4], customer[5]
        if isinstance(resident_number, str):
            digits = [int(digit) for digit in resident_number if digit.isdigit()]
            weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
            total = sum(a * b for a, b in zip(digits[:12], weights, strict=True))
            assert digits[12] != (11 - total % 11) % 10
        if isinstance(card, str):
            reversed_digits = [int(digit) for digit in reversed(card) if digit.isdigit()]
            doubled = [sum(divmod(digit * 2, 10)) for digit in reversed_digits[1::2]]
            assert (sum(reversed_digits[0::2]) + sum(doubled)) % 10 != 0


def test_redis_refuses_the_nameless_user_and_administration(redis_server: RedisServer) -> None:
    with (
        redis.Redis(
            host=redis_server.host, port=redis_server.port, retry=Retry(NoBackoff(), 0)
        ) as nameless,
        pytest.raises(redis.AuthenticationError),
    ):
        nameless.ping()
    with redis.Redis.from_url(redis_server.url) as named:
        assert named.ping() is True
        with pytest.raises(redis.exceptions.NoPermissionError):
            named.config_get("*")
