"""``querykeep create-owner``."""

from __future__ import annotations

import argparse
import sys

from querykeep_api.kernel.command import Command


def run_create_owner(arguments: argparse.Namespace) -> int:
    """Print a one-time link that makes an owner account."""
    from django.conf import settings

    from querykeep_api.iam.models import User
    from querykeep_api.iam.permissions_of import OWNER_ROLE
    from querykeep_api.iam.sign_in import do_make_owner_link

    if (
        arguments.if_none
        and User.everything.filter(is_active=True, roles__name=OWNER_ROLE).exists()
    ):
        sys.stderr.write("An owner exists; no link made.\n")
        return 0
    secret = do_make_owner_link()
    sys.stdout.write(f"{settings.QUERYKEEP.public_url}/setup?link={secret}\n")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--if-none", action="store_true", help="only when there is no owner yet")


COMMANDS = (
    Command(
        "create-owner", "print a one-time link that makes an owner", run_create_owner, _arguments
    ),
)
