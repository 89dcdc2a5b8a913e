"""What UI, API and docs need to know of PostgreSQL."""

from __future__ import annotations

from querykeep_engines.kit.spec import EngineSpec

SPECS: tuple[EngineSpec, ...] = (
    EngineSpec(
        name="postgresql",
        label="PostgreSQL",
        folder="postgresql",
        default_port=5432,
        capabilities=frozenset(
            {
                "transactions",
                "schemas",
                "multi_statement",
                "multi_result",
                "cancel",
                "kill",
                "explain",
                "views",
                "routines",
                "notices",
                "error_position",
            }
        ),
        dialect="postgresql",
        cli="psql",
        url="postgresql://{username}:{password}@{host}:{port}/{database}",
        jdbc="jdbc:postgresql://{host}:{port}/{database}?user={username}&password={password}",
        system_schemas=("pg_catalog", "information_schema", "pg_toast"),
        cli_line='psql "host={host} port={port} dbname={database} user={username}{tls}"',
        cli_tls=" sslmode=require",
        jdbc_tls="&sslmode=require",
    ),
)
