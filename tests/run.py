"""Runs the tests in stages: those that share nothing in parallel, those with a whole system alone.

`make test` calls it. Each stage is one run of pytest and ends with pytest's own closing line; the
exit code is the first stage's that failed, and every stage runs all the same.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of pytest. ``is_parallel``: its tests may share the machine with each other."""

    title: str
    arguments: tuple[str, ...]
    is_parallel: bool = False
    environment: dict[str, str] = field(default_factory=dict)


PAGES = "tests/middleware/web"
NORMAL = (
    Stage(
        "unit and protocol",
        ("-m", "not e2e and not slow", f"--ignore={PAGES}"),
        is_parallel=True,
    ),
    # Playwright keeps an event loop running in its process, in which Django refuses to work.
    Stage("pages in Chromium", (PAGES, "-m", "not e2e and not slow")),
    Stage(
        "API on PostgreSQL",
        ("tests/api", "-m", "not e2e and not slow"),
        environment={"QUERYKEEP_TEST_DATABASE": "postgresql"},
    ),
    Stage("end to end", ("-m", "e2e and not slow")),
)
LONG = {
    "fuzz": Stage("fuzz", ("-m", "slow", "-k", "fuzz", "--timeout=3600"), is_parallel=True),
    "soak": Stage("soak", ("-m", "slow", "-k", "soak", "--timeout=14400")),
    "clients": Stage("clients", ("-m", "slow", "-k", "clients", "--timeout=3600")),
    "walks": Stage("walks", ("tests/e2e", "-m", "slow", "--timeout=900")),
    "compose": Stage("compose", ("-m", "slow", "-k", "compose", "--timeout=3600")),
}


def run_stage(stage: Stage, *, workers: int) -> int:
    """Run one stage in a process of its own and return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", *stage.arguments]
    if stage.is_parallel and workers > 1:
        command += ["-n", str(workers), "--dist", "loadfile"]
    print(f"\n=== {stage.title}", flush=True)
    done = subprocess.run(command, cwd=ROOT, env=os.environ | stage.environment, check=False)
    return done.returncode


def main() -> int:
    """Run what the arguments name; without any, every normal stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes of a parallel stage")
    parser.add_argument("--only", choices=sorted(LONG), help="one of the long stages instead")
    arguments, chosen = parser.parse_known_args()
    if chosen:
        only = LONG[arguments.only].arguments if arguments.only else ()
        return run_stage(Stage("chosen", (*only, *chosen)), workers=0)
    stages = (LONG[arguments.only],) if arguments.only else NORMAL
    results = [(stage.title, run_stage(stage, workers=arguments.workers)) for stage in stages]
    print("\n=== Stages")
    for title, code in results:
        note = " (no tests found)" if code == NO_TESTS_COLLECTED else ""
        print(f"{'passed' if code == 0 else 'FAILED'}  {title}{note}")
    return next((code for _title, code in results if code), 0)


if __name__ == "__main__":
    sys.exit(main())
