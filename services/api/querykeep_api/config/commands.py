"""Commands of the service as a whole: ``api``, ``migrate``, ``openapi``, ``seed-demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from querykeep_api.kernel.command import Command


def run_api(arguments: argparse.Namespace) -> int:
    """Serve the public and the internal API until SIGTERM."""
    from django.conf import settings

    from querykeep_api.config.servers import serve_api

    return serve_api(settings.QUERYKEEP)


def run_migrate(arguments: argparse.Namespace) -> int:
    """Bring both databases to this version's shape."""
    from querykeep_api.config.migrate import migrate_all, pending_migrations

    if arguments.check:
        pending = pending_migrations()
        for line in pending:
            sys.stderr.write(f"{line}\n")
        return 1 if pending else 0
    migrate_all(verbosity=1)
    return 0


def run_openapi(arguments: argparse.Namespace) -> int:
    """Write the OpenAPI document, or check that the written one is fresh."""
    from querykeep_api.config.openapi import openapi_yaml

    text = openapi_yaml()
    if arguments.check:
        path = Path(arguments.check)
        if path.exists() and path.read_text("utf-8") == text:
            return 0
        sys.stderr.write(f"{path} is not fresh: run 'querykeep openapi --file {path}'\n")
        return 1
    if arguments.file:
        Path(arguments.file).write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    return 0


def run_seed_demo(arguments: argparse.Namespace) -> int:
    """Carry a demo seed out and write what was made as JSON."""
    import json

    from querykeep_api.config.demo_seed import read_seed, seed_demo
    from querykeep_api.kernel.errors import ApiError

    text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text("utf-8")
    try:
        answer = seed_demo(read_seed(text))
    except ApiError as error:
        sys.stderr.write(f"seed-demo: {error.detail}\n")
        return 1
    json.dump(answer, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0


def _seed_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", required=True, help="the seed (JSON); - for standard input")


def _migrate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="only say what is pending")


def _openapi_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", help="write to this file instead of stdout")
    parser.add_argument("--check", metavar="FILE", help="fail unless FILE is what would be written")


COMMANDS = (
    Command("api", "serve the public and the internal API", run_api),
    Command("migrate", "bring both databases up to date", run_migrate, _migrate_arguments),
    Command("seed-demo", "make what a demo seed names", run_seed_demo, _seed_arguments),
    Command("openapi", "write the OpenAPI 3.1 document", run_openapi, _openapi_arguments),
)
