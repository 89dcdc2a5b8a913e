"""What `querykeep seed-demo` makes: accounts, connections, grants and rules of the documented demo.

The file's shape is written down in docs/seams.md ("Demo seed").
"""

from typing import TypeAlias

from querykeep_demo.shop import Shop

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"

DISPLAY_NAMES = {
    "admin": "관리자 Admin",
    "dba": "김디비 Dana Baker (DBA)",
    "analyst": "이분석 Ana Lyons",
    "developer": "박개발 Devin Park",
    "auditor": "최감사 Audrey Choi",
}
LANGUAGES = {"admin": "en", "dba": "ko", "analyst": "ko", "developer": "en", "auditor": "en"}
ROLES = {"admin": ["owner"], "auditor": ["auditor"]}
PRIVILEGES = {"dba": "owner", "analyst": "read-only", "developer": "read-write"}
EXEMPT = ("dba",)
PHONE_PREFIX = "***-****-"
CARD_PREFIX = "****-****-****-"
RRN_TEXT = "******-*******"
CONNECTION_NAMES = {"postgresql": "shop-postgresql", "mariadb": "shop-mariadb"}
TOKEN_NAME = "demo"


def demo_seed(
    shops: dict[str, Shop], passwords: dict[str, str], *, renew_tokens: bool
) -> dict[str, Json]:
    """Return the seed for these demo databases, by engine, and these accounts' passwords."""
    connections = [CONNECTION_NAMES[engine] for engine in shops]
    return {
        "version": 1,
        "restore": False,
        "renew_tokens": renew_tokens,
        "accounts": [
            {
                "username": name,
                "password": password,
                "display_name": DISPLAY_NAMES[name],
                "email": f"{name}@example.com",
                "language": LANGUAGES[name],
                "roles": list(ROLES.get(name, [])),
            }
            for name, password in passwords.items()
        ],
        "connections": [_connection(engine, shop) for engine, shop in shops.items()],
        "grants": [
            {"user": user, "connection": connection, "privilege": privilege}
            for user, privilege in PRIVILEGES.items()
            for connection in connections
        ],
        "masking_rules": [
            _masking_rule("PII e-mail", "email", "email", {}),
            _masking_rule(
                "PII phone", "phone", "keep_last", {"count": "4", "prefix": PHONE_PREFIX}
            ),
            _masking_rule("PII resident number", "rrn", "full", {"text": RRN_TEXT}),
            _masking_rule(
                "PII card number", "card_number", "keep_last", {"count": "4", "prefix": CARD_PREFIX}
            ),
        ],
        "access_rules": [
            _rule("Salaries", [_object("employees", "salary")]),
            _rule("Payroll", [_object("payroll")]),
        ],
        "statement_rules": [
            {
                **_rule("UPDATE or DELETE without WHERE", []),
                "exempt": {"users": []},  # refused for everyone
                "check": "write_without_where",
                "effect": "deny",
                "values": [],
                "priority": 100,
            }
        ],
        "api_tokens": [{"user": user, "name": TOKEN_NAME, "scopes": ["*"]} for user in passwords],
        "proxy_tokens": [
            {"user": user, "connection": connection, "name": TOKEN_NAME}
            for user in PRIVILEGES
            for connection in connections
        ],
    }


def _connection(engine: str, shop: Shop) -> Json:
    return {
        "name": CONNECTION_NAMES[engine],
        "engine": engine,
        "description": "Demo shop: invented customers, orders and salaries (데모 쇼핑몰)",
        "host": shop.host,
        "port": shop.port,
        "database": shop.database,
        "username": shop.account_user,
        "password": shop.account_password,
        "tls_mode": "disable",
        "tags": {"env": "demo"},
    }


def _object(table: str, column: str = "*") -> Json:
    # Any schema: the tables stand in `public` on PostgreSQL and in database `shop` on MariaDB.
    return {"schema": "*", "table": table, "column": column}


def _rule(name: str, objects: list[Json]) -> dict[str, Json]:
    return {
        "name": name,
        "connections": list(CONNECTION_NAMES.values()),
        "objects": objects,
        "applies_to": {"everyone": True},
        "exempt": {"users": list(EXEMPT)},
    }


def _masking_rule(name: str, column: str, kind: str, params: dict[str, Json]) -> Json:
    return {
        **_rule(name, [_object("customers", column)]),
        "masker": {"kind": kind, "params": params},
    }
