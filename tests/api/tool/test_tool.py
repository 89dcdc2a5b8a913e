"""Tool as a real process on an installation that was never migrated."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
import secrets
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.ports import free_port

from querykeep_api.tool.diagnostics import without_password
from querykeep_api.tool.texts import PART_NAMES, TEXTS, language_of

DEADLINE_S = 120.0
PARTS = set(PART_NAMES["en"])


class ToolProcess:
    """A running Tool with its own home."""

    def __init__(self, home: Path, redis_url: str) -> None:
        self.home = home
        self.secret = base64.b64encode(os.urandom(32)).decode()
        (home / "api.key").write_text(self.secret)
        self.redis_url = redis_url
        ports = {name: free_port() for name in ("TOOL", "API", "INTERNAL", "PROXY_HEALTH")}
        self.environment = {
            **os.environ,
            **{f"QUERYKEEP_{name}_BIND": f"127.0.0.1:{port}" for name, port in ports.items()},
            "QUERYKEEP_HOME": str(home),
            "QUERYKEEP_SECRET_FILE": str(home / "api.key"),
            "QUERYKEEP_REDIS_URL": redis_url,
            "QUERYKEEP_INTERNAL_URL": f"http://127.0.0.1:{ports['INTERNAL']}",
            "QUERYKEEP_PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
        }
        self.url = f"http://127.0.0.1:{ports['TOOL']}"
        with (home / "tool.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "querykeep_api.cli", "tool"],
                env=self.environment,
                stderr=log,
                stdout=log,
            )
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.client.get("/tool.css")
                return
            except httpx.TransportError:
                assert time.monotonic() < deadline, (home / "tool.log").read_text()
                assert self.process.poll() is None, (home / "tool.log").read_text()
                time.sleep(0.05)

    @property
    def token(self) -> str:
        return (self.home / "tool" / "token").read_text().strip()

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        assert self.process.wait(30) == 0


@pytest.fixture
def tool(tmp_path: Path, redis_server: Any) -> Iterator[ToolProcess]:
    made = ToolProcess(tmp_path, redis_server.url)
    yield made
    made.stop()


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return found[1]


@pytest.mark.timeout(400)
def test_from_nothing_to_migrated(tool: ToolProcess) -> None:
    # Everyone who reaches the port sees states, and nothing but states.
    answer = tool.client.get("/readyz")
    assert answer.status_code == 503
    body = answer.json()
    assert (body["status"], set(body["parts"])) == ("not_ready", PARTS)
    assert all(set(part) == {"ok"} for part in body["parts"].values())
    assert body["parts"]["redis"]["ok"] is True
    assert body["parts"]["api"]["ok"] is False
    alive = tool.client.get("/healthz")
    assert alive.status_code == 503
    assert {"api", "internal", "worker", "beat", "middleware", "proxy"} <= set(
        alive.json()["parts"]
    )
    # Details and actions need the token.
    for path in ("/migrations", "/diagnostics.zip"):
        assert tool.client.get(path).status_code == 401
    for path in ("/migrations", "/backup.zip"):
        assert tool.client.post(path).status_code == 401
    assert tool.client.post("/backup.zip", headers=tool.bearer).status_code == 503  # no tables yet
    wrong = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
    assert tool.client.post("/migrations", headers=wrong).status_code == 401
    assert (tool.home / "tool" / "token").stat().st_mode & 0o777 == 0o600
    detailed = tool.client.get("/readyz", headers=tool.bearer).json()["parts"]
    assert "pending" in detailed["migrations"]["message"]
    assert "worker" in detailed["worker"]["message"] or detailed["worker"]["message"]

    # The page: wrong token, missing CSRF, sign-in, run, progress.
    page = tool.client.get("/", headers={"Accept-Language": "ko-KR,ko;q=0.9"})
    assert page.headers["Content-Language"] == "ko"
    assert TEXTS["ko"]["some_bad"] in page.text
    assert "<script" not in page.text
    form = {"csrfmiddlewaretoken": csrf_of(page.text), "token": "wrong"}
    refused = tool.client.post("/sign-in?lang=ko", data=form)
    assert (refused.status_code, TEXTS["ko"]["wrong"] in refused.text) == (403, True)
    assert tool.client.post("/sign-in", data={"token": tool.token}).status_code == 403
    form = {"csrfmiddlewaretoken": csrf_of(refused.text), "token": tool.token}
    assert tool.client.post("/sign-in?lang=en", data=form).status_code == 303
    page = tool.client.get("/?lang=en")
    assert "auditlog.0001_initial" in page.text
    assert tool.client.post("/migrations").status_code == 403
    form = {"csrfmiddlewaretoken": csrf_of(page.text)}
    assert tool.client.post("/migrations?lang=en", data=form).status_code == 303
    deadline = time.monotonic() + DEADLINE_S
    while True:
        progress = tool.client.get("/migrations").json()
        if progress["state"] != "running":
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (progress["state"], progress["pending"]) == ("done", [])
    assert any("auditlog.0001_initial" in line for line in progress["lines"])
    parts = tool.client.get("/readyz").json()["parts"]
    for name in ("metadata_database", "audit_database", "migrations", "root_key", "spool"):
        assert parts[name]["ok"], parts[name]
    assert TEXTS["en"]["none_pending"] in html.unescape(tool.client.get("/?lang=en").text)

    # The bundle holds no secret.
    bundle = tool.client.get("/diagnostics.zip").content
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert {"versions.json", "settings.json", "parts.json", "database.json"} <= set(
            archive.namelist()
        )
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert json.loads(archive.read("parts.json"))
    password = re.search(r":([^:@/]+)@", tool.redis_url)
    assert password is not None
    for secret in (tool.secret, tool.token, password[1]):
        assert secret.encode() not in content

    # A backup takes the page's own form, and leaves nothing lying about.
    assert tool.client.post("/backup.zip").status_code == 403
    form = {"csrfmiddlewaretoken": csrf_of(tool.client.get("/").text)}
    backup = tool.client.post("/backup.zip", data=form)
    assert backup.status_code == 200
    assert re.search(r"querykeep-backup-\d+T\d+Z.zip", backup.headers["Content-Disposition"])
    with zipfile.ZipFile(io.BytesIO(backup.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        events = archive.read("default/kernel.outboxevent.jsonl").decode()
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert manifest["tables"]["default/iam.role.jsonl"] > 0
    assert "installation.backed_up" in events
    for secret in (tool.secret, tool.token, password[1]):
        assert secret.encode() not in content
    assert list((tool.home / "tool").glob("backup-*")) == []

    # Signing out ends it.
    form = {"csrfmiddlewaretoken": csrf_of(tool.client.get("/").text)}
    assert tool.client.post("/sign-out", data=form).status_code == 303
    assert tool.client.get("/migrations").status_code == 401


@pytest.mark.timeout(400)
def test_owners_api_token_opens_tool_and_no_other(tool: ToolProcess) -> None:
    def querykeep(*arguments: str) -> None:
        command = [sys.executable, "-m", "querykeep_api.cli", *arguments]
        subprocess.run(command, env=tool.environment, check=True, timeout=100)

    querykeep("migrate")
    script = (
        "import django; django.setup()\n"
        "from querykeep_api.iam.actions import do_create_user\n"
        "from querykeep_api.iam.models import Role\n"
        "from querykeep_api.iam.tokens import do_create_api_token\n"
        "from querykeep_api.kernel.permissions import PERMISSIONS\n"
        "for name, role in (('boss', 'owner'), ('aud', 'auditor')):\n"
        "    user = do_create_user(username=name, password=None, acting_user=None)\n"
        "    Role.objects.get(name=role).users.add(user)\n"
        "    print(do_create_api_token(user, name='t', scopes=PERMISSIONS, acting_user=None)[1])\n"
    )
    environment = {
        **tool.environment,
        "DJANGO_SETTINGS_MODULE": "querykeep_api.config.settings",
    }
    made = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    owner, auditor = made.stdout.split()
    statuses = [
        tool.client.get("/migrations", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (owner, auditor)
    ]
    assert statuses == [200, 401]


def test_texts_are_complete() -> None:
    assert set(TEXTS["en"]) == set(TEXTS["ko"])
    assert set(PART_NAMES["en"]) == set(PART_NAMES["ko"])


@pytest.mark.parametrize(
    ("query", "accepted", "expected"),
    [
        ("ko", "en", "ko"),
        ("", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("", "fr-FR, en;q=0.5", "en"),
        ("xx", "", "en"),
    ],
)
def test_language(query: str, accepted: str, expected: str) -> None:
    assert language_of(query, accepted) == expected


def test_addresses_lose_their_password() -> None:
    assert without_password("redis://user:secret@host:1/0") == "redis://***@host:1/0"
    assert without_password("unix://u:secret@/path/r.sock?db=1") == "unix://***@/path/r.sock"
    assert without_password("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
