"""How MariaDB names its version: with a prefix in greetings of the 10 series, and nowhere else.

Servers of that series put ``5.5.5-`` before their version, since replicas of old took a two-digit
first part for less than 5. It is no part of the version: people, stored versions and analyzers see
the rest; a greeting towards clients carries it again, byte for byte as the target's own.
"""

from __future__ import annotations

import re

PREFIX = "5.5.5-"
_WITH_PREFIX = re.compile(r"10\..*mariadb", re.IGNORECASE)


def without_prefix(version: str) -> str:
    """Return a server's version as people know it."""
    return version.removeprefix(PREFIX)


def as_greeted(version: str) -> str:
    """Return the version as the server's own greeting gives it."""
    plain = without_prefix(version)
    return PREFIX + plain if _WITH_PREFIX.match(plain) else plain
