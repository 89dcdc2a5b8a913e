"""What UI, API and docs need to know of MySQL and of its flavour MariaDB."""

from __future__ import annotations

from querykeep_engines.kit.spec import EngineSpec

_CAPABILITIES = frozenset(
    {
        "transactions",
        "multi_statement",
        "multi_result",
        "cancel",
        "kill",
        "explain",
        "views",
        "routines",
    }
)
_SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")


def _spec(name: str, label: str, *, jdbc_tls: str, cli_tls: str) -> EngineSpec:
    return EngineSpec(
        name=name,
        label=label,
        folder="mysql",
        default_port=3306,
        capabilities=_CAPABILITIES,
        dialect="mysql",
        cli="mysql",
        url="mysql://{username}:{password}@{host}:{port}/{database}",
        jdbc=f"jdbc:{name}://{{host}}:{{port}}/{{database}}"
        "?user={username}&password={password}",
        system_schemas=_SYSTEM_SCHEMAS,
        identifier_quote="`",
        cli_line=f"{name} -h {{host}} -P {{port}} -u {{username}} -p{{tls}} {{database}}",
        cli_tls=cli_tls,
        jdbc_tls=jdbc_tls,
    )


SPECS: tuple[EngineSpec, ...] = (
    _spec("mysql", "MySQL", jdbc_tls="&sslMode=REQUIRED", cli_tls=" --ssl-mode=REQUIRED"),
    _spec("mariadb", "MariaDB", jdbc_tls="&sslMode=trust", cli_tls=" --ssl"),
)
