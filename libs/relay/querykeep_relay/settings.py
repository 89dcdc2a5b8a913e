"""Settings of an enforcement point, read once from ``QUERYKEEP_*`` variables."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("proxy", "middleware")


class SettingsError(ValueError):
    """A setting is missing or malformed; the text names the variable and what it should hold."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What the relay needs of its process.

    ``ep`` names this enforcement point in the API; it is new for each process. Times are seconds.
    ``stale_after_s``: how long a catalog is trusted after its fingerprint was last confirmed.
    """

    kind: str
    ep: str
    address: str
    internal_url: str
    internal_key: str = field(repr=False)
    spool_dir: Path
    redis_url: str = field(default="", repr=False)
    internal_ca_file: str = ""
    internal_cert_file: str = ""
    internal_cert_key_file: str = ""
    public_url: str = ""
    spool_limit_bytes: int = 1024**3
    segment_bytes: int = 8 * 1024**2
    heartbeat_s: float = 0.5
    sign_in_timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    api_timeout_s: float = 10.0
    catalog_poll_s: float = 1.5
    stale_after_s: float = 30.0
    close_grace_s: float = 1.0
    flush_s: float = 5.0

    @staticmethod
    def from_environment(kind: str, environ: Mapping[str, str] | None = None) -> RelaySettings:
        """Read the environment (``os.environ`` unless given).

        Raises:
            SettingsError: A variable is missing or cannot be read; nothing is guessed.
        """
        if kind not in KINDS:
            raise SettingsError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
        env = os.environ if environ is None else environ
        home = Path(env.get("QUERYKEEP_HOME", ".run"))
        host = socket.gethostname()
        return RelaySettings(
            kind=kind,
            ep=f"{kind}-{secrets.token_hex(8)}",
            address=env.get("QUERYKEEP_EP_ADDRESS", host),
            internal_url=_required(env, "QUERYKEEP_INTERNAL_URL", "the API's internal address"),
            internal_key=_key(env),
            spool_dir=Path(env.get("QUERYKEEP_SPOOL_DIR", home / "spool" / kind)),
            redis_url=env.get("QUERYKEEP_REDIS_URL", ""),
            internal_ca_file=env.get("QUERYKEEP_INTERNAL_CA_FILE", ""),
            internal_cert_file=env.get("QUERYKEEP_INTERNAL_CERT_FILE", ""),
            internal_cert_key_file=env.get("QUERYKEEP_INTERNAL_CERT_KEY_FILE", ""),
            public_url=env.get("QUERYKEEP_PUBLIC_URL", ""),
            spool_limit_bytes=integer(env, "QUERYKEEP_SPOOL_LIMIT_BYTES", 1024**3),
        )


def integer(env: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    """Return a whole number of at least ``least``; raises SettingsError for anything else."""
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = int(text)
    except ValueError as error:
        raise SettingsError(f"{name}={text!r} is not a whole number") from error
    if value < least:
        raise SettingsError(f"{name}={text!r} must be at least {least}")
    return value


def bind_address(env: Mapping[str, str], name: str, default: str) -> tuple[str, int]:
    """Return (host, port) of a ``host:port`` setting; IPv6 hosts stand in brackets."""
    text = env.get(name, default)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise SettingsError(f"{name}={text!r} is not host:port")
    return host.strip("[]"), int(port)


def _required(env: Mapping[str, str], name: str, what: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: it holds {what}")
    return value


def _key(env: Mapping[str, str]) -> str:
    path = _required(env, "QUERYKEEP_INTERNAL_KEY_FILE", "the file with this service's key")
    try:
        key = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"QUERYKEEP_INTERNAL_KEY_FILE={path}: {error}") from error
    if not key:
        raise SettingsError(f"QUERYKEEP_INTERNAL_KEY_FILE={path} is empty")
    return key
