"""``querykeep tool``."""

from __future__ import annotations

import argparse

from querykeep_api.kernel.command import Command


def _tool(_arguments: argparse.Namespace) -> int:
    from querykeep_api.tool.server import serve_tool

    return serve_tool()


COMMANDS = (Command("tool", "serve the installation console until SIGTERM", _tool),)
