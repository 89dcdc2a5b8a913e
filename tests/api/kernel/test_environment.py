"""Settings, and who a client is behind proxies."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from querykeep_api.config.celery import broker_url
from querykeep_api.config.environment import SettingError, read_environment
from querykeep_api.kernel.context import RequestContextMiddleware, client_address
from querykeep_guard.contracts.passed_on import passed_on_proof


def test_defaults_stand_under_home() -> None:
    found = read_environment({"QUERYKEEP_HOME": "/srv/qk"})
    assert found.database.name == "/srv/qk/api/metadata.sqlite3"
    assert found.audit_database.name == "/srv/qk/api/audit.sqlite3"
    assert list(found.ports) == list(range(40000, 40011))
    assert not found.https


def test_postgresql_url_and_no_password_in_repr() -> None:
    url = "postgresql://qk:p%40ss@db:6432/meta?sslmode=require"
    found = read_environment({"QUERYKEEP_DATABASE_URL": url}).database
    assert (found.user, found.password, found.host, found.port) == ("qk", "p@ss", "db", 6432)
    assert found.options == (("sslmode", "require"),)
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QUERYKEEP_DATABASE_URL", "mysql://x/y"),
        ("QUERYKEEP_DATABASE_URL", "postgresql://u:hidden@h"),
        ("QUERYKEEP_PORTS", "90-80"),
        ("QUERYKEEP_PORTS", "a-b"),
        ("QUERYKEEP_API_WORKERS", "none"),
        ("QUERYKEEP_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("QUERYKEEP_AUDIT_DURABILITY", "maybe"),
    ],
)
def test_a_bad_setting_is_named_without_its_secret(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=variable) as caught:
        read_environment({variable: value})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pw@127.0.0.1:6379/0", "redis://:pw@127.0.0.1:6379/0"),
        ("unix://:pw@/run/r.sock?db=2", "redis+socket://:pw@/run/r.sock?virtual_host=2"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0"),
    ],
)
def test_broker_url(url: str, expected: str) -> None:
    assert broker_url(url) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.5", "6.6.6.6, 1.1.1.1, 10.0.0.7", "1.1.1.1"),
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),
        ("10.0.0.5", "spoofed, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.5", "not-an-address", "10.0.0.5"),
    ],
)
def test_only_trusted_proxies_are_believed(
    settings: Any, peer: str, forwarded: str, expected: str
) -> None:
    trusted = (ipaddress.ip_network("10.0.0.0/24"),)
    settings.QUERYKEEP = dataclasses.replace(settings.QUERYKEEP, trusted_proxies=trusted)
    assert client_address(peer, forwarded) == expected


def test_a_service_is_believed_wherever_it_connects_from(
    settings: Any, tmp_path: Path, rf: RequestFactory
) -> None:
    key = "the middleware's own key"
    keys_file = tmp_path / "service-keys.json"
    keys_file.write_text(json.dumps({"middleware": hashlib.sha256(key.encode()).hexdigest()}))
    settings.QUERYKEEP = dataclasses.replace(
        settings.QUERYKEEP, trusted_proxies=(), service_keys_file=keys_file
    )

    def seen(proof: str, forwarded: str) -> str:
        headers = {"x-forwarded-for": forwarded, "x-querykeep-passed-on": proof}
        request = rf.get("/", headers=headers, REMOTE_ADDR="172.19.0.7")
        RequestContextMiddleware(lambda _: HttpResponse())(request)
        return str(request.META["QUERYKEEP_CLIENT_ADDRESS"])

    now = time.time()
    good = passed_on_proof("middleware", key, "1.1.1.1", now_s=now)
    assert seen(good, "1.1.1.1") == "1.1.1.1"
    # Only the last hop is what the service itself says.
    several = passed_on_proof("middleware", key, "6.6.6.6, 1.1.1.1", now_s=now)
    assert seen(several, "6.6.6.6, 1.1.1.1") == "1.1.1.1"
    for proof in (
        "",
        "nonsense",
        passed_on_proof("middleware", "a guess", "1.1.1.1", now_s=now),
        passed_on_proof("proxy", key, "1.1.1.1", now_s=now),
        passed_on_proof("middleware", key, "2.2.2.2", now_s=now),
        passed_on_proof("middleware", key, "1.1.1.1", now_s=now - 3_600),
    ):
        assert seen(proof, "1.1.1.1") == "172.19.0.7", proof


@pytest.mark.django_db(databases=["default", "audit"])
def test_public_and_internal_urls_do_not_mix(anonymous: Any) -> None:
    assert anonymous.get("/internal/v1/connections").status_code == 404
    missing = anonymous.get("/api/v1/no-such-thing")
    assert missing.status_code == 404
    assert missing["Content-Type"] == "application/problem+json"
    assert anonymous.get("/api/v1/me%00").status_code == 400
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    ready = anonymous.get("/readyz")
    assert ready.status_code == 200, ready.content


@pytest.mark.django_db(databases=["default", "audit"])
def test_docs_page_has_only_its_own_assets(anonymous: Any) -> None:
    page = anonymous.get("/api/docs/")
    assert page.status_code == 200
    assert b"http://" not in page.content
    assert b"https://" not in page.content
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert anonymous.get("/api/docs/docs.js").status_code == 200
    assert anonymous.get("/api/docs/..%2Fdocs.py").status_code == 404
    schema = anonymous.get("/api/schema/?format=json").json()
    assert schema["openapi"].startswith("3.1")
    assert not any(path.startswith("/internal") for path in schema["paths"])
