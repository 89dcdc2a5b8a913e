"""Backup and restore of metadata and audit log, also from one kind of database to the other."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import transaction

from querykeep_api.tool.backup import BackupError, restore_backup, write_backup

EVENTS = "default/kernel.outboxevent.jsonl"
DATABASES = ["default", "audit"]


def rows_of(path: Path) -> dict[str, list[str]]:
    """Return every row of a backup by table, in an order that no database decides."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: sorted(archive.read(name).decode().splitlines())
            for name in archive.namelist()
            # Each backup and restore is itself an event.
            if name.endswith(".jsonl") and name != EVENTS
        }


def rewrite(path: Path, target: Path, changes: dict[str, bytes]) -> Path:
    """Copy a backup with other content of some of its files."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, old.read(name)))
    return target


def counts() -> tuple[int, int]:
    """Return how many people and audit events there are."""
    user, event = apps.get_model("iam.User"), apps.get_model("auditlog.Event")
    return user._base_manager.count(), event._base_manager.using("audit").count()


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_everything_comes_back(owner: Any, tmp_path: Path) -> None:
    from querykeep_api.kernel.outbox import SubjectRef, record

    assert owner

    def note(summary: str) -> None:
        with transaction.atomic():
            record(
                "backup.tested", actor=None, subject=SubjectRef("x", "1", "백업"), summary=summary
            )

    note("한글, 줄\n바꿈")
    before = counts()
    written = write_backup(tmp_path / "one.zip")
    assert (tmp_path / "one.zip").stat().st_mode & 0o777 == 0o600
    assert written.rows["default/iam.user.jsonl"] == before[0]
    assert written.rows["default/iam.role.jsonl"] > 0

    user = apps.get_model("iam.User")
    user._base_manager.update(display_name="changed")
    apps.get_model("iam.Role")._base_manager.all().delete()
    with pytest.raises(BackupError, match="--replace"):
        restore_backup(tmp_path / "one.zip", replaces=False)
    assert not apps.get_model("iam.Role")._base_manager.exists()

    restored = restore_backup(tmp_path / "one.zip", replaces=True)
    assert restored == written
    write_backup(tmp_path / "two.zip")
    assert rows_of(tmp_path / "two.zip") == rows_of(tmp_path / "one.zip")
    events = zipfile.ZipFile(tmp_path / "two.zip").read(EVENTS).decode()
    assert "한글, 줄\\n바꿈" in events
    assert events.count("installation.restored") == 1
    # New rows get numbers after those that came back.
    note("again")


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_what_does_not_fit_changes_nothing(owner: Any, tmp_path: Path, settings: Any) -> None:
    assert owner
    good = tmp_path / "good.zip"
    write_backup(good)
    with pytest.raises(BackupError, match="exists already"):
        write_backup(good)
    assert good.stat().st_mode & 0o777 == 0o600
    foreign = tmp_path / "foreign"
    foreign.write_text("of someone else")
    (tmp_path / "linked.zip.part").symlink_to(foreign)
    write_backup(tmp_path / "linked.zip")
    assert foreign.read_text() == "of someone else"
    before = rows_of(good)
    manifest = json.loads(zipfile.ZipFile(good).read("manifest.json"))
    users = zipfile.ZipFile(good).read("default/iam.user.jsonl")
    other = {**manifest["migrations"], "audit": ["auditlog.0999_x"]}
    newer = json.dumps({**manifest, "migrations": other}).encode()
    (tmp_path / "no.zip").write_bytes(b"no backup")
    for reason, path in (
        ("version 2", rewrite(good, tmp_path / "1", {"manifest.json": b'{"version": 2}'})),
        (
            "migrations",
            rewrite(good, tmp_path / "2", {"manifest.json": newer}),
        ),
        ("rows and not", rewrite(good, tmp_path / "3", {"default/iam.user.jsonl": users * 0})),
        ("damaged", rewrite(good, tmp_path / "4", {"default/iam.user.jsonl": b"[1, 2]\n"})),
        ("damaged or no backup", tmp_path / "no.zip"),
        ("No such file", tmp_path / "missing.zip"),
    ):
        with pytest.raises(BackupError, match=reason):
            restore_backup(path, replaces=True)
    key = settings.QUERYKEEP.secret_file
    kept = key.read_text()
    try:
        key.write_text(base64.b64encode(os.urandom(32)).decode())
        os.utime(key, ns=(1, 1))
        with pytest.raises(BackupError, match="root key"):
            restore_backup(good, replaces=True)
    finally:
        key.write_text(kept)
    write_backup(tmp_path / "after.zip")
    assert rows_of(tmp_path / "after.zip") == before


def querykeep(environment: dict[str, str], *command: str) -> str:
    """Run the command line; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "querykeep_api.cli", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.e2e  # once, and not in each of the API's two stages
def test_from_sqlite_to_postgresql(postgresql_server: Any, tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text(base64.b64encode(os.urandom(32)).decode())
    server = postgresql_server
    address = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}"
    names = {"default": "backup_metadata", "audit": "backup_audit"}
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(f"CREATE DATABASE {name}")
    common = {"QUERYKEEP_SECRET_FILE": str(key), "QUERYKEEP_REDIS_URL": "redis://127.0.0.1:1/0"}
    sqlite = {**common, "QUERYKEEP_HOME": str(tmp_path / "one")}
    postgresql = {
        **common,
        "QUERYKEEP_HOME": str(tmp_path / "two"),
        "QUERYKEEP_DATABASE_URL": f"{address}/{names['default']}",
        "QUERYKEEP_AUDIT_DATABASE_URL": f"{address}/{names['audit']}",
    }
    for environment in (sqlite, postgresql):
        querykeep(environment, "migrate")
    assert "/setup?link=" in querykeep(sqlite, "create-owner")
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    querykeep(sqlite, "backup", str(first))
    querykeep(postgresql, "restore", str(first))
    querykeep(postgresql, "backup", str(second))
    assert rows_of(second) == rows_of(first)
    assert len(rows_of(first)["default/iam.ownerlink.jsonl"]) == 1
    # Numbers that PostgreSQL gives out go on after those that came from SQLite.
    querykeep(postgresql, "create-owner")
