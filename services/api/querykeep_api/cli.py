"""``querykeep``: the API service's command line. Commands come from each app's ``commands.py``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from querykeep_api.config.discovery import modules_of_apps
from querykeep_api.kernel.command import Command

CORE = "querykeep_api.config.commands"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (2 for a wrong command line)."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "querykeep_api.config.settings")
    parser = argparse.ArgumentParser(
        prog="querykeep", description="Querykeep's API service and its tools."
    )
    _add(parser, all_commands())
    arguments = parser.parse_args(argv)
    command: Command | None = getattr(arguments, "command", None)
    if command is None:
        parser.print_help(sys.stderr)
        return 2
    if command.needs_django:
        import django

        django.setup()
    return command.run(arguments)


def all_commands() -> list[Command]:
    """Return the commands of the service and of its apps, by name.

    Command modules import no models at their top: Django is set up only after parsing.
    """
    found: list[Command] = []
    for name in (CORE, *modules_of_apps("commands")):
        found.extend(importlib.import_module(name).COMMANDS)
    return sorted(found, key=lambda command: command.name)


def _add(parser: argparse.ArgumentParser, commands: Sequence[Command]) -> None:
    subparsers = parser.add_subparsers(metavar="COMMAND")
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in commands:
        first, _, second = command.name.partition(" ")
        where = subparsers
        if second:
            if first not in groups:
                group = subparsers.add_parser(first, help=f"{first} commands")
                groups[first] = group.add_subparsers(metavar="COMMAND", required=True)
            where = groups[first]
        sub = where.add_parser(second or first, help=command.help, description=command.help)
        command.arguments(sub)
        sub.set_defaults(command=command)


if __name__ == "__main__":
    sys.exit(main())
