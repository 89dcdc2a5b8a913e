"""Hands pip's configured package index and certificate authority on to uv and npm.

uv ignores pip's settings, while a company network often has both an index and a CA of its own that
are set up for pip only. Prints `export NAME='value'` lines for `eval` in a shell. Runs before any
package is installed: standard library only, with the interpreter whose pip is asked.

The settings are read from `pip config list`, since `pip config get` leaves out the file that
PIP_CONFIG_FILE names. A variable that the caller's environment sets already is left alone.
"""

import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping

# pip looks at these in this order of strength; the later one wins.
SECTIONS = ("global", "install", ":env:")


def parse_pip_settings(listing: str) -> dict[str, str]:
    """Return pip's settings by name from `pip config list`; the strongest section wins."""
    by_section: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        key, equals, value = line.partition("=")
        section, dot, name = key.partition(".")
        if not equals or not dot or section not in by_section:
            continue
        by_section[section][name] = str(ast.literal_eval(value))
    return {name: value for part in by_section.values() for name, value in part.items()}


def exports(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv and Node see what pip sees."""
    wanted = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    if "index-url" in settings:
        wanted["UV_DEFAULT_INDEX"] = settings["index-url"]
    if "extra-index-url" in settings:
        wanted["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
        # pip takes the best version of all indexes; uv's own rule stops at the first index.
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if "find-links" in settings:
        wanted["UV_FIND_LINKS"] = ",".join(settings["find-links"].split())
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        wanted["UV_NO_INDEX"] = "1"
    if "trusted-host" in settings:
        wanted["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if "cert" in settings:
        wanted["SSL_CERT_FILE"] = settings["cert"]
        wanted["NODE_EXTRA_CA_CERTS"] = settings["cert"]
    return {name: value for name, value in wanted.items() if name not in environment}


def main() -> int:
    """Print the export lines; the exit code is pip's own when pip cannot be asked."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)
        return done.returncode
    for name, value in exports(parse_pip_settings(done.stdout), os.environ).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
