"""EngineSpec: all that UI, API and docs need to know of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """``name`` is what connections store (``postgresql``, ``mysql``, ``mariadb`` …); a folder with
    flavours registers one spec per flavour, each under its own name. ``capabilities``: short words
    such as ``transactions``, ``schemas``, ``multi_result``, ``cancel``, ``explain``.
    ``cli`` is the client program of ``qk NAME`` (psql, mysql); ``jdbc`` and ``url`` are templates
    with {host}, {port}, {database}, {username}, {password}; ``cli_line`` is one such template for a
    shell, with {tls} where ``cli_tls`` stands for connections that demand TLS; ``jdbc_tls`` is
    appended to ``jdbc`` then. ``identifier_quote`` stands on both sides of a quoted name."""

    name: str
    label: str
    folder: str
    default_port: int
    capabilities: frozenset[str]
    dialect: str
    cli: str
    url: str
    jdbc: str
    system_schemas: tuple[str, ...] = ()
    identifier_quote: str = '"'
    cli_line: str = ""
    cli_tls: str = ""
    jdbc_tls: str = ""
