"""The command `querykeep-demo`, which stands behind `make run`, `stop`, `reset` and `status`."""

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

from querykeep_demo.installation import Installation, delete, read_id
from querykeep_demo.processes import ProcessError
from querykeep_demo.supervisor import Supervisor


def main() -> int:
    """Run one command; errors are printed as text and give exit code 1."""
    parser = argparse.ArgumentParser(prog="querykeep-demo", description=__doc__)
    parser.add_argument("command", choices=["run", "stop", "reset", "status"])
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("QUERYKEEP_HOME") or ".run"),
        help="folder of this installation (default: QUERYKEEP_HOME or .run)",
    )
    arguments = parser.parse_args()
    home: Path = arguments.home.resolve()
    try:
        match arguments.command:
            case "run":
                return _run(home)
            case "stop":
                _stop(home)
            case "reset":
                _stop(home)
                delete(home)
            case "status":
                return _status(home)
    except ProcessError as error:
        print(f"querykeep-demo: {error}", file=sys.stderr)
        return 1
    return 0


def _run(home: Path) -> int:
    started = time.monotonic()
    page = _supervisor(home).run()
    print(f"\n{page}\n\n  Ready after {time.monotonic() - started:.0f} s.")
    return 0


def _stop(home: Path) -> None:
    if read_id(home) is not None:
        _supervisor(home).stop()


def _status(home: Path) -> int:
    """Print what runs; exit code 1 when anything does not."""
    if read_id(home) is None:
        print(f"nothing was started in {home} yet: make run")
        return 1
    found = _supervisor(home).status()
    for name, pid in found.items():
        print(f"  {name:<12} {f'runs as {pid}' if pid else 'down'}")
    return 0 if all(found.values()) else 1


def _supervisor(home: Path) -> Supervisor:
    def say(line: str) -> None:
        # One write: servers start side by side.
        sys.stderr.write(f"querykeep: {line}\n")
        sys.stderr.flush()

    installation = Installation.open(home, now=datetime.datetime.now(datetime.UTC))
    return Supervisor(installation, say=say)


if __name__ == "__main__":
    sys.exit(main())
