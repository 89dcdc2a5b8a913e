"""``querykeep audit verify``: the chain's proof on the command line."""

from __future__ import annotations

import argparse
import json
import sys

from querykeep_api.kernel.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", help="start at the last complete checkpoint before this time")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _verify(arguments: argparse.Namespace) -> int:
    from querykeep_api.auditlog.rest.shapes import report_entry
    from querykeep_api.auditlog.verification import verify
    from querykeep_api.kernel.rest.filters import read_moment

    try:
        since = read_moment(arguments.since) if arguments.since else None
    except ValueError as error:
        sys.stderr.write(f"--since: expected {error}\n")
        return 2
    report = verify(since)
    if arguments.json:
        sys.stdout.write(json.dumps(report_entry(report), ensure_ascii=False) + "\n")
        return 0 if report.ok else 1
    for finding in report.findings:
        sys.stdout.write(f"{finding.kind}: {finding.place}: {finding.message}\n")
    until = report.covered_until.isoformat() if report.covered_until else "never: no checkpoint yet"
    sys.stdout.write(
        f"{'whole' if report.ok else 'NOT WHOLE'}: {report.records} records in {report.spools} "
        f"chains, {report.statements} statements, {report.events} events, "
        f"{report.checkpoints} checkpoints, {len(report.findings)} findings; "
        f"covered by signatures until {until}\n"
    )
    return 0 if report.ok else 1


COMMANDS = (
    Command(
        name="audit verify",
        help="prove the audit chains, or name the place where they do not fit",
        run=_verify,
        arguments=_arguments,
    ),
)
