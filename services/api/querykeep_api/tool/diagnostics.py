"""A bundle for support: versions, settings without secrets, health, runs, spools, recent logs."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError

from querykeep_api.auditlog.facade import SpoolState
from querykeep_api.config.environment import DatabaseAddress
from querykeep_api.config.logs import drop_secrets
from querykeep_api.jobs.facade import JobRun, run_entry
from querykeep_api.tool.parts import look

_LOG_LINES = 2000
_LOG_BYTES = 2 * 1024 * 1024
_RUNS = 100


def bundle() -> bytes:
    """Return the bundle as a ZIP file. A part that cannot be read says so in its place."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("versions.json", _text(_versions()))
        archive.writestr("settings.json", _text(_settings()))
        parts = [dataclasses.asdict(part) for part in look(alive_only=False)]
        archive.writestr("parts.json", _text(parts))
        archive.writestr("database.json", _text(_rows()))
        for name, content in _logs():
            archive.writestr(f"log/{name}", content)
    return buffer.getvalue()


def _versions() -> dict[str, object]:
    packages = {item.metadata["Name"]: item.version for item in distributions()}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _settings() -> dict[str, object]:
    """Paths, addresses and numbers; passwords never stand in an address that is shown."""
    shown: dict[str, object] = {}
    for name in (field.name for field in dataclasses.fields(settings.QUERYKEEP)):
        value = getattr(settings.QUERYKEEP, name)
        if isinstance(value, DatabaseAddress):
            shown[name] = repr(value)
        elif name.endswith("_url"):
            shown[name] = without_password(value)
        else:
            shown[name] = str(value)
    return shown


def without_password(url: str) -> str:
    """Return a URL with user name and password replaced."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{host}", query="").geturl()


def _rows() -> dict[str, object]:
    try:
        runs = [run_entry(run) for run in JobRun.objects.order_by("-id")[:_RUNS]]
        spools = [
            {"spool": s.spool_id, "acknowledged": s.acknowledged, "highest": s.highest, "ep": s.ep}
            for s in SpoolState.objects.order_by("spool_id")
        ]
    except DatabaseError as error:
        return {"error": f"the databases cannot be read: {type(error).__name__}"}
    return {"job_runs": runs, "spools": spools}


def _logs() -> Iterator[tuple[str, str]]:
    """Yield the end of each log; JSON lines only, fields that sound secret dropped."""
    folder: Path = settings.QUERYKEEP.home / "log"
    for path in sorted(folder.glob("*.log")) if folder.is_dir() else ():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
        kept = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                kept.append(json.dumps(drop_secrets(None, "", event), ensure_ascii=False))
        yield path.name, "\n".join(kept) + "\n"


def _text(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)
