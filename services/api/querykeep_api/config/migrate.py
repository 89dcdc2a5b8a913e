"""Migrations of both databases, one runner at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from querykeep_api.config.databases import AUDIT, AUDIT_APP, DEFAULT

# Any number that no one else uses for pg_advisory_lock in our own databases.
_LOCK_ID = 0x71_6B_6D_67


def migrate_all(*, verbosity: int = 0) -> None:
    """Make folders, then migrate metadata and audit. Two runners wait for each other."""
    for alias in (DEFAULT, AUDIT):
        prepare_folder(alias)
        with _exclusive(alias):
            call_command("migrate", database=alias, interactive=False, verbosity=verbosity)


def pending_migrations() -> list[str]:
    """Return what ``migrate_all`` would apply, one line each."""
    pending = []
    for alias in (DEFAULT, AUDIT):
        prepare_folder(alias)
        executor = MigrationExecutor(connections[alias])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        for migration, _ in plan:
            if (migration.app_label == AUDIT_APP) == (alias == AUDIT):
                pending.append(f"{alias}: {migration.app_label}.{migration.name}")
    return pending


def prepare_folder(alias: str) -> None:
    """Make the folder of a SQLite file, for its owner only."""
    settings_of = connections[alias].settings_dict
    if settings_of["ENGINE"].endswith("sqlite3"):
        Path(str(settings_of["NAME"])).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def _exclusive(alias: str) -> Iterator[None]:
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK_ID])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_ID])
        return
    home: Path = settings.QUERYKEEP.home
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"migrate-{alias}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
