"""`make bench`: speed beside a direct connection and a bare relay, one JSON object per line.

    python -m tests.bench [FIGURE…] [--seconds 5] [--rounds 3] [--home .run]

Without --home a system of its own is started and deleted again.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figures import FIGURES
from tests.bench.measures import Plan
from tests.fix_system import read_system, start_system, temporary_home


def main() -> int:
    """Measure the figures named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("figures", nargs="*", help=", ".join(FIGURES))
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each road")
    parser.add_argument("--home", type=Path, help="a running system instead of one of its own")
    arguments = parser.parse_args()
    chosen = arguments.figures or list(FIGURES)
    if unknown := [name for name in chosen if name not in FIGURES]:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    plan = Plan(seconds=arguments.seconds, rounds=arguments.rounds)
    with ExitStack() as stack:
        if arguments.home:
            system = read_system(arguments.home)
        else:
            system = start_system(stack.enter_context(temporary_home()))
        for name in chosen:
            for figures in FIGURES[name](system, plan):
                for figure in figures:
                    sys.stdout.write(json.dumps(figure.as_line(figures)) + "\n")
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
