"""What the policy would say of a statement: the engine's analyzer and the guard's ``decide`` on
the stored catalog. Nothing runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from querykeep_api.dbam.catalogs import catalog_of
from querykeep_api.dbam.compiler import compile_policy
from querykeep_api.dbam.models import Connection
from querykeep_api.iam.facade import User
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict
from querykeep_engines.registry import engine
from querykeep_guard.contracts.catalog import Catalog, Relation
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.decide import decide, syntax_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Explained:
    """The decisions on a text, one per statement; a text that cannot be parsed gives one."""

    decisions: tuple[Decision, ...]


def explain(user: User, connection: Connection, statement: str) -> Explained:
    """Return what the policy says of ``statement`` for ``user`` in a fresh session.

    Raises:
        Conflict: The catalog was never read, so that nothing can be said.
    """
    catalog = catalog_of(connection.pk)
    if catalog is None:
        raise Conflict(
            f"The catalog of {connection.name} was never read: crawl the connection first.",
            code="no_catalog",
        )
    return Explained(_decide(connection, compile_policy(user, connection), catalog, statement))


def lineage_of(
    relation: Relation, connection: Connection, policy: SessionPolicy, catalog: Catalog
) -> list[tuple[str, ...]]:
    """Return, per column of a view, the ids of the masking rules that reach it.

    For showing only. Empty for tables (rules name those directly), and where the view's query is
    refused or its name would need an engine's own quoting.
    """
    names = (relation.schema, relation.name)
    if not relation.definition or not all(_PLAIN_NAME.fullmatch(name) for name in names):
        return []
    found: list[tuple[str, ...]] = [() for _ in relation.columns]
    text = f"SELECT * FROM {relation.schema}.{relation.name}"  # noqa: S608 - analyzed, never run
    for decision in _decide(connection, policy, catalog, text):
        for mask in decision.plan.masks:
            if mask.ordinal < len(found):
                found[mask.ordinal] = mask.rule_ids
    return found


def fresh_context(connection: Connection, catalog: Catalog) -> SessionContext:
    """Return how a new session of the stored account resolves names."""
    settings = dict(catalog.settings)
    return SessionContext(
        engine=connection.engine,
        flavour=catalog.flavour or connection.flavour,
        server_version=catalog.server_version,
        database=connection.database,
        search_path=_search_path(settings.get("search_path", "")),
        settings=tuple(
            (name, value)
            for name, value in sorted(settings.items())
            if name not in ("search_path", "session_user")
        ),
    )


def _search_path(declared: str) -> tuple[str, ...]:
    """Return the account's own search path as declared; analyzers resolve ``$user`` themselves."""
    return tuple(name for item in declared.split(",") if (name := item.strip().strip('"')))


def _decide(
    connection: Connection, policy: SessionPolicy, catalog: Catalog, text: str
) -> tuple[Decision, ...]:
    analyzer = engine(connection.engine).analyzer()
    try:
        facts = analyzer.analyze(text, fresh_context(connection, catalog), catalog)
    except StatementSyntaxError as error:
        return (syntax_refusal(error, text, policy),)
    now = clock.now()
    return tuple(decide(one, policy, now, catalog) for one in facts)
