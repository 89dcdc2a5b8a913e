"""What the client programs share: the address from the environment, and one line per finding.

A program is run twice, bare and governed; what it tells must be the same.
"""

import os
from types import SimpleNamespace

ADDRESS = SimpleNamespace(
    host=os.environ["ROAD_HOST"],
    port=int(os.environ["ROAD_PORT"]),
    user=os.environ["ROAD_USER"],
    password=os.environ["ROAD_PASSWORD"],
    database=os.environ["ROAD_DATABASE"],
)


def tell(*findings: object) -> None:
    """Print one line of findings."""
    print(*map(repr, findings), flush=True)  # noqa: T201 - what is compared
