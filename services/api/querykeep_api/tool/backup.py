"""Backup of metadata and audit log into one file, and restore from it, on SQLite and PostgreSQL.

The file is a ZIP: ``manifest.json`` and for each table ``<database>/<app>.<model>.jsonl``, one row
per line as a list of values. It is written from one snapshot of each database while services run
(metadata first, so that no grant is newer than the record of it), needs no client program of the
database, and can be restored into the other kind of database. It holds no key: stored credentials
in it stay encrypted with the root key, which is kept apart.

Restoring replaces everything, in one transaction per database, while no service runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, router, transaction
from django.db.migrations.recorder import MigrationRecorder

from querykeep_api.config.databases import AUDIT, DEFAULT
from querykeep_api.config.roots import derive, root_keys
from querykeep_api.kernel import clock
from querykeep_api.kernel.outbox import SubjectRef, record

VERSION = 1
_ROWS_AT_ONCE = 500
_MANIFEST = "manifest.json"
_INSTALLATION = SubjectRef("installation", "querykeep", "Querykeep")
_KEY_CHECK = "backup key check"


class BackupError(Exception):
    """The backup cannot be written or restored; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """Rows by table, for a person."""

    rows: dict[str, int]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


def write_backup(path: Path) -> Written:
    """Write the backup to a new file (mode 0600); a half-written one never stands under its name.

    Raises:
        BackupError: The file exists already or cannot be written, or a database does not answer.
    """
    if path.exists():
        raise BackupError(f"{path} exists already: name a file that does not, or remove it")
    half = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        # Before anything is read, and so in the backup itself: whoever has the file has everything.
        _note("installation.backed_up", "Metadata and audit log were written to a backup.")
        # In a folder that others write to as well, a file or link of theirs is never taken.
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            written = _write(file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise BackupError(f"{error.filename or path}: {error.strerror}") from error
    except DatabaseError as error:
        raise BackupError(f"a database cannot be read: {_first_line(error)}") from error
    finally:
        half.unlink(missing_ok=True)
    return written


def restore_backup(path: Path, *, replaces: bool) -> Written:
    """Put the content of a backup in the place of what the databases hold.

    Args:
        path: A file of ``write_backup``.
        replaces: Whether accounts and audit events that are there may be thrown away.

    Raises:
        BackupError: The file is no backup or damaged, was made with other migrations or another
            root key, or the installation is in use and ``replaces`` is False. Nothing is changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive)
            _check_fits(manifest)
            if not replaces:
                _check_unused()
            rows: dict[str, int] = {}
            with transaction.atomic(using=DEFAULT), transaction.atomic(using=AUDIT):
                for alias in (DEFAULT, AUDIT):
                    rows |= _restore_database(archive, alias, manifest["tables"])
                _note(
                    "installation.restored",
                    f"Metadata and audit log were restored from a backup of {manifest['made_at']}.",
                )
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is damaged or no backup: {error}") from error
    except DatabaseError as error:
        raise BackupError(f"a database refused it: {_first_line(error)}") from error
    return Written(rows)


def _note(kind: str, summary: str) -> None:
    with transaction.atomic(using=DEFAULT):
        record(kind, actor=None, subject=_INSTALLATION, summary=summary)


# --- writing


def _write(file: IO[bytes]) -> Written:
    rows: dict[str, int] = {}
    migrations: dict[str, list[str]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for alias in (DEFAULT, AUDIT):
            with _snapshot(alias):
                migrations[alias] = _applied(alias)
                for model in _models_of(alias):
                    rows[_entry(alias, model)] = _write_table(archive, alias, model)
        manifest = {
            "version": VERSION,
            "made_at": clock.now().isoformat(),
            "root_key": _root_key_checks()[0],
            "migrations": migrations,
            "tables": rows,
        }
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
    return Written(rows)


@contextlib.contextmanager
def _snapshot(alias: str) -> Iterator[None]:
    """See one state of a database throughout, without keeping anybody from writing."""
    connection = connections[alias]
    begin = "BEGIN"  # SQLite in WAL mode: a reader's snapshot
    if connection.vendor == "postgresql":
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    with connection.cursor() as cursor:
        cursor.execute(begin)
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _write_table(archive: zipfile.ZipFile, alias: str, model: type[models.Model]) -> int:
    fields = model._meta.concrete_fields
    count = 0
    with archive.open(_entry(alias, model), "w", force_zip64=True) as file:
        rows = model._base_manager.using(alias).order_by("pk")
        for row in rows.iterator(chunk_size=_ROWS_AT_ONCE):
            values = [_to_json(field, row) for field in fields]
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _to_json(field: models.Field[Any, Any], row: models.Model) -> object:
    value = field.value_from_object(row)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return field.value_to_string(row)


# --- restoring


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    manifest = json.loads(archive.read(_MANIFEST))
    if manifest["version"] != VERSION:
        raise BackupError(
            f"the backup has version {manifest['version']}, this Querykeep reads {VERSION}"
        )
    damaged = archive.testzip()
    if damaged is not None:
        raise BackupError(f"{damaged} in the backup is damaged: use another copy of the file")
    return dict(manifest)


def _check_fits(manifest: dict[str, Any]) -> None:
    if manifest["root_key"] not in _root_key_checks():
        raise BackupError(
            "the backup was made with another root key: stored credentials in it could not be "
            "read. Put that key into QUERYKEEP_SECRET_FILE, as a further line if there is a newer"
        )
    for alias in (DEFAULT, AUDIT):
        here, there = set(_applied(alias)), set(manifest["migrations"][alias])
        if here != there:
            names = ", ".join(sorted(here ^ there)[:5])
            raise BackupError(
                f"the backup was made with other migrations of the {alias} database ({names} …): "
                "restore with the version of Querykeep that made it, migrated, then upgrade"
            )


def _check_unused() -> None:
    for alias, label in ((DEFAULT, "iam.User"), (AUDIT, "auditlog.Event")):
        if apps.get_model(label)._base_manager.using(alias).exists():
            raise BackupError(
                "this installation is in use: it has accounts or audit events, which a restore "
                "would throw away. Say --replace if that is meant"
            )


def _restore_database(
    archive: zipfile.ZipFile, alias: str, expected: dict[str, int]
) -> dict[str, int]:
    """Replace every table; foreign keys are checked at the end (they are deferred)."""
    connection = connections[alias]
    wanted = _models_of(alias)
    counts: dict[str, int] = {}
    with connection.cursor() as cursor:
        for model in wanted:
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # names come from our models
        for model in wanted:
            name = _entry(alias, model)
            counts[name] = _read_table(archive, alias, model)
            if counts[name] != expected[name]:
                raise BackupError(f"{name} has {counts[name]} rows and not {expected[name]}")
        for statement in connection.ops.sequence_reset_sql(no_style(), wanted):
            cursor.execute(statement)
    connection.check_constraints([model._meta.db_table for model in wanted])
    return counts


def _read_table(archive: zipfile.ZipFile, alias: str, model: type[models.Model]) -> int:
    connection = connections[alias]
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields if field.column)
    marks = ", ".join(["%s"] * len(fields))
    table = quote(model._meta.db_table)
    insert = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608  # as above
    count = 0
    with archive.open(_entry(alias, model)) as file, connection.cursor() as cursor:
        while lines := list(itertools.islice(file, _ROWS_AT_ONCE)):
            rows = [
                [
                    field.get_db_prep_save(field.to_python(value), connection)
                    for field, value in zip(fields, json.loads(line), strict=True)
                ]
                for line in lines
            ]
            cursor.executemany(insert, rows)
            count += len(rows)
    return count


def _models_of(alias: str) -> list[type[models.Model]]:
    """Return every model with a table of its own in a database, joining tables included."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
        if router.allow_migrate_model(alias, model)
    ]


def _entry(alias: str, model: type[models.Model]) -> str:
    return f"{alias}/{model._meta.label_lower}.jsonl"


def _applied(alias: str) -> list[str]:
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def _root_key_checks() -> list[str]:
    """Return what tells the root keys apart without saying anything about them, current first."""
    path: Path = settings.QUERYKEEP.secret_file
    return [hashlib.sha256(derive(key, _KEY_CHECK)).hexdigest() for key in root_keys(path)]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
