"""The demo database as an analyzer sees it, written by hand; its masked columns."""

from datetime import UTC, datetime

from querykeep_guard.contracts.catalog import Catalog, Column, Index, Relation
from querykeep_guard.sql.facts import SessionContext

MASKED = {"email", "phone", "rrn", "card_number"}
TABLES = {
    "customers": "id name email phone rrn card_number birth_date city tier note created_at",
    "products": "id sku name category price in_stock",
    "orders": "id customer_id status ordered_at total ship_address",
    "order_items": "order_id product_id quantity unit_price",
    "employees": "id name department salary hired_on",
    "payroll": "employee_id month amount",
}
KEYS = {
    "order_items": ("order_id", "product_id"),
    "payroll": ("employee_id", "month"),
}
VIEWS = {
    "customer_contact": (
        "id name email phone",
        "select `shop`.`customers`.`id` AS `id`,`shop`.`customers`.`name` AS `name`,"
        "`shop`.`customers`.`email` AS `email`,`shop`.`customers`.`phone` AS `phone` "
        "from `shop`.`customers`",
    ),
    "order_summary": (
        "order_id customer_name city total",
        "select `o`.`id` AS `order_id`,`c`.`name` AS `customer_name`,`c`.`city` AS `city`,"
        "`o`.`total` AS `total` from (`shop`.`orders` `o` join `shop`.`customers` `c` "
        "on(`c`.`id` = `o`.`customer_id`))",
    ),
}
VERSIONS = {"mysql": "9.7.4", "mariadb": "10.11.19-MariaDB"}


def columns(names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text", place) for place, name in enumerate(names.split(), 1))


def shop_catalog(flavour: str = "mariadb", *extra: Relation) -> Catalog:
    tables = tuple(
        Relation(
            "shop",
            name,
            "table",
            columns(names),
            indexes=(Index("PRIMARY", KEYS.get(name, ("id",)), unique=True, primary=True),),
        )
        for name, names in TABLES.items()
    )
    views = tuple(
        Relation("shop", name, "view", columns(names), definition=text)
        for name, (names, text) in VIEWS.items()
    )
    return Catalog(
        engine=flavour,
        flavour=flavour,
        server_version=VERSIONS[flavour],
        database="shop",
        fingerprint="test",
        crawled_at=datetime(2026, 1, 1, tzinfo=UTC),
        relations=(*tables, *views, *extra),
        schemas=("shop",),
        settings=(("lower_case_table_names", "0"),),
    )


def context(flavour: str = "mariadb", sql_mode: str = "", **changes: object) -> SessionContext:
    values: dict[str, object] = {
        "engine": flavour,
        "flavour": flavour,
        "server_version": VERSIONS[flavour],
        "database": "shop",
        "settings": (("sql_mode", sql_mode),),
    }
    return SessionContext(**(values | changes))  # type: ignore[arg-type]  # test shorthand
