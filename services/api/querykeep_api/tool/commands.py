"""``querykeep tool``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from querykeep_api.kernel.command import Command


def _tool(_arguments: argparse.Namespace) -> int:
    from querykeep_api.tool.server import serve_tool

    return serve_tool()


def _backup(arguments: argparse.Namespace) -> int:
    from querykeep_api.tool.backup import BackupError, write_backup

    try:
        written = write_backup(arguments.file)
    except BackupError as error:
        sys.stderr.write(f"querykeep backup: {error}\n")
        return 1
    sys.stdout.write(f"{arguments.file}: {written.total} rows of {len(written.rows)} tables\n")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from querykeep_api.tool.backup import BackupError, restore_backup

    try:
        written = restore_backup(arguments.file, replaces=arguments.replace)
    except BackupError as error:
        sys.stderr.write(f"querykeep restore: {error}. Nothing was changed.\n")
        return 1
    sys.stdout.write(
        f"{written.total} rows of {len(written.rows)} tables restored. Start the services, then "
        "run `querykeep audit verify`.\n"
    )
    return 0


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the backup, a ZIP file")


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    _file(parser)
    parser.add_argument(
        "--replace", action="store_true", help="throw away what the databases hold now"
    )


COMMANDS = (
    Command("tool", "serve the installation console until SIGTERM", _tool),
    Command("backup", "write metadata and audit log to a file, while services run", _backup, _file),
    Command(
        "restore",
        "replace metadata and audit log by a backup, while no service runs",
        _restore,
        _restore_arguments,
    ),
)
