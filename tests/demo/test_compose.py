"""Containers get random secrets once, each from a folder that only its readers mount."""

import datetime
import json
import subprocess
from pathlib import Path

import pytest

from querykeep_demo.compose import make_secrets

ROOT = Path(__file__).parents[2]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
VOLUMES = ("api", "ca", "database", "demo", "middleware", "proxy", "public", "redis", "tls", "tool")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    for name in VOLUMES:
        (tmp_path / name).mkdir()
    make_secrets(tmp_path, now=NOW)
    return tmp_path


def environment(*folders: Path) -> dict[str, str]:
    """Return what the entry point of a container with these volumes hands on."""
    script = (ROOT / "deploy/entrypoint.sh").read_text()
    base = folders[0].parent
    mounted = base / "mounted"
    mounted.mkdir()
    for folder in folders:
        (mounted / folder.name).symlink_to(folder)
    done = subprocess.run(
        ["sh", "-c", script.replace("/run/querykeep/", f"{mounted}/"), "sh", "env"],
        env={"PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    return {name: value for name, _, value in lines if name.startswith("QUERYKEEP_")}


def test_second_start_keeps_every_secret(volumes: Path) -> None:
    before = {path: path.read_bytes() for path in volumes.rglob("*") if path.is_file()}
    make_secrets(volumes, now=NOW)
    assert before == {path: path.read_bytes() for path in volumes.rglob("*") if path.is_file()}


def test_proxy_sees_its_own_key_and_no_key_of_the_api(volumes: Path) -> None:
    seen = environment(volumes / "proxy", volumes / "tls", volumes / "redis", volumes / "public")
    assert set(seen) == {
        "QUERYKEEP_INTERNAL_KEY_FILE",
        "QUERYKEEP_TLS_CERT_FILE",
        "QUERYKEEP_TLS_KEY_FILE",
        "QUERYKEEP_REDIS_URL",
    }
    assert seen["QUERYKEEP_INTERNAL_KEY_FILE"] == str(volumes / "proxy/internal.key")


def test_api_knows_its_databases_its_root_key_and_the_services(volumes: Path) -> None:
    seen = environment(volumes / "api", volumes / "tool", volumes / "database", volumes / "redis")
    password = (volumes / "database/password").read_text().strip()
    assert seen["QUERYKEEP_DATABASE_URL"] == (
        f"postgresql://querykeep:{password}@postgresql:5432/querykeep"
    )
    assert seen["QUERYKEEP_SECRET_FILE"] == str(volumes / "api/api.key")
    digests = json.loads((volumes / "api/service-keys.json").read_text())
    assert set(digests) == {"middleware", "proxy", "tool"}


def test_keys_are_for_their_owner_only(volumes: Path) -> None:
    private = [
        "api/api.key",
        "api/service-keys.json",
        "ca/ca-key.pem",
        "tls/server-key.pem",
        "proxy/internal.key",
        "demo/account-admin.password",
    ]
    assert {(volumes / name).stat().st_mode & 0o077 for name in private} == {0}
