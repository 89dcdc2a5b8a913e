"""How an app brings commands to ``querykeep``: ``<app>/commands.py`` with ``COMMANDS``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Take none."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``name`` may have two words (``audit verify``). ``run`` returns the exit status;
    Django is set up before it is called, unless ``needs_django`` is False."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    needs_django: bool = True
