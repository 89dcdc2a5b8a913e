"""Runs every static check and reports them all, rather than stopping at the first.

`make lint` calls it; `make lint ARGS="ruff mypy"` runs the checks of those names only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
WEB = ROOT / "services/middleware/web"
WEB_SCRIPTS = ("check", "lint", "test")
MYPY_PATHS = (
    "libs/guard/querykeep_guard",
    "libs/engines/querykeep_engines",
    "libs/relay/querykeep_relay",
    "services/api/querykeep_api",
    "services/middleware/querykeep_middleware",
    "services/proxy/querykeep_proxy",
    "agent/querykeep_agent",
    "demo/querykeep_demo",
    "tests",
)


def run(*command: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> bool:
    """Run a program with its output shown; True when it succeeded."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    env = os.environ | {"PATH": path} | (environment or {})
    return (
        subprocess.run([str(part) for part in command], cwd=cwd, env=env, check=False).returncode
        == 0
    )


def in_empty_home(*command: str | Path) -> bool:
    """Run a command of the API with an empty state folder, so that nothing of a demo is touched."""
    with tempfile.TemporaryDirectory(prefix="qk-lint-") as home:
        return run(*command, environment={"QUERYKEEP_HOME": home})


def check_ruff() -> bool:
    """Style, and that the formatter has been run."""
    style = run(BIN / "ruff", "check", ".")
    return run(BIN / "ruff", "format", "--check", ".") and style


def check_mypy() -> bool:
    """Types, strict."""
    return run(BIN / "mypy", *MYPY_PATHS)


def check_imports() -> bool:
    """Imports point one way (contracts in pyproject.toml)."""
    return run(BIN / "lint-imports")


def check_migrations() -> bool:
    """Every change of a model has its migration."""
    return in_empty_home(
        BIN / "django-admin",
        "makemigrations",
        "--check",
        "--dry-run",
        "--settings",
        "querykeep_api.config.settings",
    )


def check_openapi() -> bool:
    """docs/openapi.yaml is what the API would print now."""
    with tempfile.TemporaryDirectory(prefix="qk-lint-") as home:
        done = subprocess.run(
            [BIN / "querykeep", "openapi"],
            cwd=ROOT,
            env=os.environ | {"QUERYKEEP_HOME": home},
            stdout=subprocess.PIPE,
            check=False,
        )
    if done.returncode != 0:
        return False
    kept = ROOT / "docs/openapi.yaml"
    if not kept.exists() or kept.read_bytes() != done.stdout:
        print("docs/openapi.yaml is out of date: .venv/bin/querykeep openapi > docs/openapi.yaml")
        return False
    return True


def check_editor_messages() -> bool:
    """The TypeScript side of the editor's messages is generated from the Python side."""
    return run(sys.executable, "-m", "querykeep_middleware.editor.generate_ts", "--check")


def check_web() -> bool:
    """Types, lint and unit tests of the web UI."""
    results = [run("npm", "run", "--silent", script, cwd=WEB) for script in WEB_SCRIPTS]
    return all(results)


def check_shell() -> bool:
    """Shell scripts at least parse."""
    scripts = [
        ROOT / "demo/bootstrap.sh",
        ROOT / "demo/system-packages.sh",
        ROOT / "requirements/lock.sh",
        ROOT / ".ci/run",
    ]
    results = [run("sh", "-n", script) for script in scripts]
    return all(results)


CHECKS: dict[str, Callable[[], bool]] = {
    "ruff": check_ruff,
    "imports": check_imports,
    "migrations": check_migrations,
    "openapi": check_openapi,
    "editor-messages": check_editor_messages,
    "shell": check_shell,
    "mypy": check_mypy,
    "web": check_web,
}


def main() -> int:
    """Run the checks named, or all; the exit code is 1 when any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", help=", ".join(CHECKS))
    chosen = parser.parse_args().checks or list(CHECKS)
    if unknown := [name for name in chosen if name not in CHECKS]:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    results: list[tuple[str, bool, float]] = []
    for name in chosen:
        print(f"\n=== {name}: {CHECKS[name].__doc__}", flush=True)
        started = time.monotonic()
        results.append((name, CHECKS[name](), time.monotonic() - started))
    print("\n=== Checks")
    for name, is_good, seconds in results:
        print(f"{'passed' if is_good else 'FAILED'}  {name} ({seconds:.0f} s)")
    return 0 if all(is_good for _name, is_good, _seconds in results) else 1


if __name__ == "__main__":
    sys.exit(main())
