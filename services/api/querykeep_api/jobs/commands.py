"""``querykeep worker`` and ``querykeep beat``, and their health checks for containers."""

from __future__ import annotations

import argparse
import sys

from querykeep_api.kernel.command import Command


def _worker(_arguments: argparse.Namespace) -> int:
    from querykeep_api.jobs.processes import run_worker

    return run_worker()


def _beat(_arguments: argparse.Namespace) -> int:
    from querykeep_api.jobs.processes import run_beat

    return run_beat()


def _kind(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("worker", "beat"))


def _health(arguments: argparse.Namespace) -> int:
    from querykeep_api.jobs.processes import ALIVE_FOR, is_alive

    if is_alive(arguments.kind):
        return 0
    sys.stderr.write(f"no {arguments.kind} wrote a heartbeat in {ALIVE_FOR.seconds} s\n")
    return 1


COMMANDS = (
    Command("worker", "run jobs (Celery worker) until SIGTERM", _worker),
    Command("beat", "start jobs on schedule (Celery beat) until SIGTERM", _beat),
    Command("jobs-health", "exit 0 when a worker or beat is alive", _health, _kind),
)
