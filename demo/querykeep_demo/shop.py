"""The demo database `shop`: the same tables, views and rows in PostgreSQL and in MariaDB.

What stands here is promised in the documentation of the demo: tables, columns and their order,
row counts, types and keys. The masked columns of `customers` are nullable text without UNIQUE,
CHECK, index or trigger, so that nothing but a mask decides what a guarded session learns of them.

The tables belong to an ordinary account (no superuser), the one that Querykeep stores for its
connection.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg
import pymysql
from psycopg import sql

from querykeep_demo.servers import HOST, MariadbServer, PostgresqlServer
from querykeep_demo.shop_data import Row, shop_rows

DATABASE: Final = "shop"
ACCOUNT: Final = "shop_app"
INSERT_ROWS: Final = 2_000

# {id} and {timestamp} are what the engines spell differently.
TABLES: Final = {
    "customers": """
        id {id}, name varchar(100) NOT NULL, email varchar(200), phone varchar(20), rrn varchar(20),
        card_number varchar(25), birth_date date, city varchar(60), tier varchar(20) NOT NULL,
        note text,
        created_at {timestamp} NOT NULL""",
    "products": """
        id {id}, sku varchar(20) NOT NULL UNIQUE, name varchar(120) NOT NULL,
        category varchar(40) NOT NULL, price numeric(12, 2) NOT NULL, in_stock integer NOT NULL""",
    "orders": """
        id {id}, customer_id integer NOT NULL REFERENCES customers (id),
        status varchar(20) NOT NULL, ordered_at {timestamp} NOT NULL,
        total numeric(12, 2) NOT NULL, ship_address varchar(200)""",
    "order_items": """
        order_id integer NOT NULL REFERENCES orders (id),
        product_id integer NOT NULL REFERENCES products (id),
        quantity integer NOT NULL, unit_price numeric(12, 2) NOT NULL,
        PRIMARY KEY (order_id, product_id)""",
    "employees": """
        id {id}, name varchar(100) NOT NULL, department varchar(60) NOT NULL,
        salary numeric(12, 2), hired_on date NOT NULL""",
    "payroll": """
        employee_id integer NOT NULL REFERENCES employees (id), month date NOT NULL,
        amount numeric(12, 2) NOT NULL, PRIMARY KEY (employee_id, month)""",
}
TABLES_WITH_IDS: Final = ("customers", "products", "orders", "employees")
VIEWS: Final = {
    "customer_contact": "SELECT id, name, email, phone FROM customers",
    "order_summary": """
        SELECT orders.id AS order_id, customers.name AS customer_name, customers.city AS city,
            orders.total AS total
        FROM orders JOIN customers ON customers.id = orders.customer_id""",
}
MARIADB_PRIVILEGES: Final = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, "
    "SHOW VIEW, TRIGGER, CREATE TEMPORARY TABLES, LOCK TABLES, CREATE ROUTINE, ALTER ROUTINE, "
    "EXECUTE"
)


@dataclass(frozen=True, slots=True)
class Shop:
    """A server that holds the demo database, and the two ways in.

    Attributes:
        engine: `postgresql` or `mariadb`.
        host, port, database: Where.
        user, password: The superuser, for comparing the governed road with the bare one.
        account_user, account_password: The ordinary account that Querykeep stores.
    """

    engine: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    account_user: str
    account_password: str = field(repr=False)


def load_postgresql(server: PostgresqlServer, *, account_password: str) -> Shop:
    """Make database, account and rows on a running server; what is whole is left alone."""
    with _postgresql(server, server.user, server.password, server.database) as connection:
        connection.autocommit = True
        account = sql.Identifier(ACCOUNT)
        secret = sql.Literal(account_password)
        verb = "ALTER" if _found(connection, "pg_roles", "rolname", ACCOUNT) else "CREATE"
        connection.execute(
            sql.SQL(verb + " ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOCREATEDB NOCREATEROLE").format(
                account, secret
            )
        )
        if not _found(connection, "pg_database", "datname", DATABASE):
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), account)
            )
    with _postgresql(server, ACCOUNT, account_password, DATABASE) as connection:
        # One transaction holds it all: either the shop is whole or there is none.
        if not _found(connection, "pg_class", "relname", "payroll"):
            _fill_postgresql(connection)
    return Shop(
        engine="postgresql",
        host=server.host,
        port=server.port,
        database=DATABASE,
        user=server.user,
        password=server.password,
        account_user=ACCOUNT,
        account_password=account_password,
    )


def load_mariadb(server: MariadbServer, *, account_password: str) -> Shop:
    """Make database, account and rows on a running server; what is whole is left alone."""
    with _mariadb(server, server.user, server.password, None) as cursor:
        cursor.execute(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE} "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        )
        cursor.execute(
            f"CREATE USER IF NOT EXISTS '{ACCOUNT}'@'%%' IDENTIFIED BY %s", (account_password,)
        )
        cursor.execute(f"ALTER USER '{ACCOUNT}'@'%%' IDENTIFIED BY %s", (account_password,))
        cursor.execute(f"GRANT {MARIADB_PRIVILEGES} ON {DATABASE}.* TO '{ACCOUNT}'@'%'")
    with _mariadb(server, ACCOUNT, account_password, DATABASE) as cursor:
        # MariaDB commits at each CREATE: the last view tells that everything before it is there.
        cursor.execute(
            "SELECT 1 FROM information_schema.views WHERE table_schema = %s AND table_name = %s",
            (DATABASE, list(VIEWS)[-1]),
        )
        if cursor.fetchone() is None:
            _fill_mariadb(cursor)
    return Shop(
        engine="mariadb",
        host=server.host,
        port=server.port,
        database=DATABASE,
        user=server.user,
        password=server.password,
        account_user=ACCOUNT,
        account_password=account_password,
    )


def _fill_postgresql(connection: psycopg.Connection) -> None:
    for table, columns in TABLES.items():
        definition = columns.format(
            id="integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", timestamp="timestamp"
        )
        connection.execute(_trusted(f"CREATE TABLE {table} ({definition})"))
        with (
            connection.cursor() as cursor,
            cursor.copy(_trusted(f"COPY {table} FROM STDIN")) as copy,
        ):
            for row in shop_rows().of(table):
                copy.write_row(row)
    for table in TABLES_WITH_IDS:
        next_id = len(shop_rows().of(table)) + 1
        connection.execute(_trusted(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH {next_id}"))
    for view, query in VIEWS.items():
        connection.execute(_trusted(f"CREATE VIEW {view} AS {query}"))
    connection.execute("ANALYZE")


def _fill_mariadb(cursor: pymysql.cursors.Cursor) -> None:
    for view in VIEWS:
        cursor.execute(f"DROP VIEW IF EXISTS {view}")
    for table in reversed(TABLES):
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
    for table, columns in TABLES.items():
        definition = columns.format(
            id="integer NOT NULL AUTO_INCREMENT PRIMARY KEY", timestamp="datetime"
        )
        cursor.execute(f"CREATE TABLE {table} ({definition}) ENGINE=InnoDB")
        rows = shop_rows().of(table)
        marks = ", ".join(["%s"] * len(rows[0]))
        for part in _parts(rows):
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", part)
    cursor.execute(f"ANALYZE TABLE {', '.join(TABLES)}")
    cursor.fetchall()
    for view, query in VIEWS.items():
        cursor.execute(f"CREATE SQL SECURITY INVOKER VIEW {view} AS {query}")


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), INSERT_ROWS):
        yield rows[start : start + INSERT_ROWS]


@contextmanager
def _postgresql(
    server: PostgresqlServer, user: str, password: str, database: str
) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host=HOST, port=server.port, user=user, password=password, dbname=database
    ) as connection:
        yield connection


@contextmanager
def _mariadb(
    server: MariadbServer, user: str, password: str, database: str | None
) -> Iterator[pymysql.cursors.Cursor]:
    connection = pymysql.connect(
        host=HOST,
        port=server.port,
        user=user,
        password=password,
        database=database,
        charset="utf8mb4",
        # Refuse to guess: a value that does not fit is an error, not a shortened row.
        sql_mode="STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE",
    )
    with connection, connection.cursor() as cursor:
        yield cursor
        connection.commit()


def _found(connection: psycopg.Connection, catalog: str, column: str, name: str) -> bool:
    row = connection.execute(
        sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(
            sql.Identifier(catalog), sql.Identifier(column)
        ),
        (name,),
    ).fetchone()
    return row is not None


def _trusted(text: str) -> sql.SQL:
    """Mark a statement that is made of this module's constants only."""
    return sql.SQL(text)
