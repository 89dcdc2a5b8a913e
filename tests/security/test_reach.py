"""What nobody and the wrong person reach: the internal API, others' resources, secrets in logs."""

from __future__ import annotations

import httpx
import pytest
from tests.fix_system import System

PATHS = (
    "/internal/",
    "//internal/",
    "/%2e/internal/",
    "/api/%2e%2e/internal/",
    "/internal/v1/sessions",
    "/assets/%2e%2e/%2e%2e/etc/passwd",
)
NOT_FOR_ANALYSTS = ("users", "groups", "roles", "grants", "privileges", "access-rules", "jobs")


@pytest.mark.parametrize("path", PATHS)
def test_neither_public_port_leads_inside(system: System, path: str) -> None:
    for base in (system.web, system.api):
        answer = httpx.get(base + path, timeout=30)
        page = base == system.web and answer.headers["content-type"].startswith("text/html")
        assert answer.status_code == 404 or page, f"{base}{path}: {answer.status_code}"
        assert "root:" not in answer.text


@pytest.mark.parametrize("resource", [*NOT_FOR_ANALYSTS, "masking-rules", "statement-rules"])
def test_policy_and_people_are_not_for_analysts(system: System, resource: str) -> None:
    url = f"{system.api}/api/v1/{resource}"
    assert httpx.get(url, timeout=30).status_code == 401
    key = system.accounts["analyst"].api_token
    for method in ("GET", "POST"):
        told = httpx.request(
            method, url, headers={"Authorization": f"Bearer {key}"}, json={}, timeout=30
        )
        assert told.status_code in (403, 405)


def test_no_log_holds_a_secret(system: System) -> None:
    secrets = [c.direct.password for c in system.connections.values()]
    secrets += [t.password for c in system.connections.values() for t in c.tokens.values()]
    secrets += [s for a in system.accounts.values() for s in (a.password, a.api_token)]
    for log in (system.home / "log").iterdir():
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret[:4] for secret in secrets if secret in text], log.name
