"""Statements for attackers: every case of both engines, the catalogue of tricks, and the random
queries of the MariaDB generator. Nothing here says what must happen: the tests compare worlds."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml
from tests.engines.mysql.generator import statements as generated

_HERE = Path(__file__).parent


def cases(engine: str) -> list[str]:
    """Return the statements of an engine's ``cases/*.yaml``."""
    found: list[str] = []
    for path in sorted((files(f"querykeep_engines.{engine}") / "cases").iterdir(), key=str):
        if path.name.endswith(".yaml"):
            for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
                text = entry.get("statement")
                if isinstance(text, str) and text.strip():
                    found.append(text)
    return found


def tricks(engine: str) -> list[str]:
    """Return the attack statements of ``tricks/<engine>.sql``, one a line."""
    lines = (_HERE / "tricks" / f"{engine}.sql").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("##")]


def statements(engine: str, random_queries: int = 0) -> list[str]:
    """Return all statements for an engine (``postgresql`` or ``mysql``), each once."""
    found = [*tricks(engine), *cases(engine)]
    if engine == "mysql":
        found += generated(7, random_queries)
    return list(dict.fromkeys(found))
