"""``querykeep explain``."""

from __future__ import annotations

import argparse
import sys

from querykeep_api.kernel.command import Command


def run_explain(arguments: argparse.Namespace) -> int:
    """Say what the policy would say of a statement; nothing runs. Exit status 1 when it would not
    run, 2 when the question cannot be answered."""
    from querykeep_api.dbam.explaining import explain
    from querykeep_api.dbam.models import Connection
    from querykeep_api.iam.facade import User
    from querykeep_api.kernel.errors import ApiError

    user = User.everything.filter(username_key=arguments.user.casefold()).first()
    connection = Connection.everything.filter(name_key=arguments.connection.casefold()).first()
    if user is None or connection is None:
        missing = "user" if user is None else "connection"
        sys.stderr.write(f"explain: there is no {missing} of that name\n")
        return 2
    text = sys.stdin.read() if arguments.statement == "-" else arguments.statement
    try:
        explained = explain(user, connection, text)
    except ApiError as error:
        sys.stderr.write(f"explain: {error.detail}\n")
        return 2
    for decision in explained.decisions:
        sys.stdout.write(f"{decision.verdict.value}: {decision.facts.kind.value}\n")
        for step in decision.trace:
            sys.stdout.write(f"  {step.step}: {step.result}: {step.text}\n")
        if decision.message:
            sys.stdout.write(f"  {decision.message}\n")
    return 0 if all(decision.may_run for decision in explained.decisions) else 1


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True)
    parser.add_argument("--connection", required=True)
    parser.add_argument("statement", help="the statement; - for standard input")


COMMANDS = (
    Command("explain", "say what the policy would say of a statement", run_explain, _arguments),
)
