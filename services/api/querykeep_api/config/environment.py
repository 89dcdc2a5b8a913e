"""Reads ``QUERYKEEP_*`` variables into one frozen value; nothing else reads the environment.

The table of settings is ``docs/operations/settings.md``. Secrets stay in files: this module knows
their paths only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingError(ValueError):
    """A setting has a value that cannot be used; the text names the variable."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """One database of the API. ``options`` are the query parameters of its URL (PostgreSQL:
    libpq parameters such as ``sslmode``)."""

    engine: str
    name: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Show no password."""
        return f"DatabaseAddress({self.engine}, {self.name}, {self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that the API service reads from its environment."""

    home: Path
    database: DatabaseAddress
    audit_database: DatabaseAddress
    redis_url: str
    secret_file: Path
    service_keys_file: Path | None
    internal_key_file: Path | None
    internal_url: str
    public_url: str
    api_bind: str
    api_url: str
    internal_bind: str
    tool_bind: str
    ports: range
    ports_host: str
    ca_file: Path | None
    internal_ca_file: Path | None
    internal_cert_file: Path | None
    internal_cert_key_file: Path | None
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    spool_dir: Path
    results_dir: Path
    checkpoint_file: Path
    api_workers: int
    api_threads: int
    session_idle_s: int
    session_absolute_s: int
    lease_s: float
    audit_durability: str
    audit_retention_days: int
    dormant_after_days: int
    dormant_grants_sleep: bool
    middleware_url: str
    proxy_health_url: str
    log_level: str

    @property
    def https(self) -> bool:
        """True when people reach the web UI over HTTPS, so that cookies must be Secure."""
        return self.public_url.startswith("https:")


def read_environment(env: Mapping[str, str]) -> Environment:
    """Parse ``env``; unset variables take the documented defaults under ``QUERYKEEP_HOME``.

    Raises:
        SettingError: A value cannot be used.
    """
    home = Path(env.get("QUERYKEEP_HOME") or ".run").absolute()
    public_url = (env.get("QUERYKEEP_PUBLIC_URL") or "http://127.0.0.1:8888").rstrip("/")
    durability = env.get("QUERYKEEP_AUDIT_DURABILITY") or "process"
    if durability not in ("process", "machine"):
        raise SettingError(
            f"QUERYKEEP_AUDIT_DURABILITY: {durability!r} is neither process nor machine"
        )
    dormant = env.get("QUERYKEEP_DORMANT_GRANTS") or "report"
    if dormant not in ("report", "sleep"):
        raise SettingError(f"QUERYKEEP_DORMANT_GRANTS: {dormant!r} is neither report nor sleep")
    return Environment(
        home=home,
        database=_database(env, "QUERYKEEP_DATABASE_URL", home / "api/metadata.sqlite3"),
        audit_database=_database(env, "QUERYKEEP_AUDIT_DATABASE_URL", home / "api/audit.sqlite3"),
        redis_url=env.get("QUERYKEEP_REDIS_URL", ""),
        secret_file=Path(env.get("QUERYKEEP_SECRET_FILE") or home / "secrets/api.key"),
        service_keys_file=_path(env, "QUERYKEEP_SERVICE_KEYS_FILE"),
        internal_key_file=_path(env, "QUERYKEEP_INTERNAL_KEY_FILE"),
        internal_url=(env.get("QUERYKEEP_INTERNAL_URL") or "http://127.0.0.1:8081").rstrip("/"),
        public_url=public_url,
        api_bind=env.get("QUERYKEEP_API_BIND") or "127.0.0.1:8080",
        api_url=(
            env.get("QUERYKEEP_API_URL")
            or f"http://{env.get('QUERYKEEP_API_BIND') or '127.0.0.1:8080'}"
        ).rstrip("/"),
        internal_bind=env.get("QUERYKEEP_INTERNAL_BIND") or "127.0.0.1:8081",
        tool_bind=env.get("QUERYKEEP_TOOL_BIND") or "127.0.0.1:3000",
        ports=_ports(env.get("QUERYKEEP_PORTS") or "40000-40010"),
        ports_host=env.get("QUERYKEEP_PORTS_HOST") or "127.0.0.1",
        ca_file=_path(env, "QUERYKEEP_CA_FILE"),
        internal_ca_file=_path(env, "QUERYKEEP_INTERNAL_CA_FILE"),
        internal_cert_file=_path(env, "QUERYKEEP_INTERNAL_CERT_FILE"),
        internal_cert_key_file=_path(env, "QUERYKEEP_INTERNAL_CERT_KEY_FILE"),
        allowed_hosts=_allowed_hosts(env, public_url),
        trusted_proxies=_networks(env, "QUERYKEEP_TRUSTED_PROXIES", "127.0.0.0/8,::1/128"),
        spool_dir=Path(env.get("QUERYKEEP_SPOOL_DIR") or home / "spool"),
        results_dir=Path(env.get("QUERYKEEP_RESULTS_DIR") or home / "results"),
        checkpoint_file=Path(
            env.get("QUERYKEEP_CHECKPOINT_FILE") or home / "checkpoints/audit.jsonl"
        ),
        api_workers=_number(env, "QUERYKEEP_API_WORKERS", 2, least=1),
        api_threads=_number(env, "QUERYKEEP_API_THREADS", 16, least=1),
        session_idle_s=_number(env, "QUERYKEEP_SESSION_IDLE_S", 8 * 3600, least=60),
        session_absolute_s=_number(env, "QUERYKEEP_SESSION_ABSOLUTE_S", 24 * 3600, least=60),
        lease_s=float(_number(env, "QUERYKEEP_LEASE_S", 300, least=1)),
        audit_durability=durability,
        audit_retention_days=_number(env, "QUERYKEEP_AUDIT_RETENTION_DAYS", 0, least=0),
        dormant_after_days=_number(env, "QUERYKEEP_DORMANT_AFTER_DAYS", 90, least=1),
        dormant_grants_sleep=dormant == "sleep",
        middleware_url=(env.get("QUERYKEEP_MIDDLEWARE_URL") or public_url).rstrip("/"),
        proxy_health_url=(
            env.get("QUERYKEEP_PROXY_HEALTH_URL")
            or f"http://{env.get('QUERYKEEP_PROXY_HEALTH_BIND') or '127.0.0.1:3001'}"
        ).rstrip("/"),
        log_level=(env.get("QUERYKEEP_LOG_LEVEL") or "INFO").upper(),
    )


def parse_database_url(variable: str, url: str) -> DatabaseAddress:
    """Parse ``sqlite:///PATH`` or ``postgresql://user:password@host:port/name?option=value``.

    The URL itself never stands in an error: it holds a password.
    """
    parts = urlsplit(url)
    options = tuple(parse_qsl(parts.query))
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise SettingError(f"{variable}: a SQLite URL is sqlite:///path or sqlite:////abs/path")
        return DatabaseAddress(engine="sqlite", name=unquote(parts.path[1:]), options=options)
    if parts.scheme in ("postgresql", "postgres"):
        name = unquote(parts.path.lstrip("/"))
        if not name:
            raise SettingError(f"{variable}: the PostgreSQL URL names no database")
        settings = dict(options)
        return DatabaseAddress(
            engine="postgresql",
            name=name,
            host=parts.hostname or settings.pop("host", ""),
            port=parts.port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            options=tuple(settings.items()),
        )
    raise SettingError(f"{variable}: scheme {parts.scheme!r} is neither sqlite nor postgresql")


def _database(env: Mapping[str, str], variable: str, default: Path) -> DatabaseAddress:
    url = env.get(variable)
    if not url:
        return DatabaseAddress(engine="sqlite", name=str(default))
    return parse_database_url(variable, url)


def _path(env: Mapping[str, str], variable: str) -> Path | None:
    value = env.get(variable)
    return Path(value) if value else None


def _number(env: Mapping[str, str], variable: str, default: int, *, least: int) -> int:
    text = env.get(variable)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError as error:
        raise SettingError(f"{variable}: {text!r} is not a whole number") from error
    if value < least:
        raise SettingError(f"{variable}: {value} is below {least}")
    return value


def _ports(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        span = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise SettingError(f"QUERYKEEP_PORTS: {text!r} is not FIRST-LAST") from error
    if not span or span[0] < 1 or span[-1] > 65535:
        raise SettingError(f"QUERYKEEP_PORTS: {text!r} is not a range within 1-65535")
    return span


def _networks(env: Mapping[str, str], variable: str, default: str) -> tuple[Network, ...]:
    text = env.get(variable, default)
    try:
        return tuple(ipaddress.ip_network(item.strip()) for item in text.split(",") if item.strip())
    except ValueError as error:
        raise SettingError(f"{variable}: {error}") from error


def _allowed_hosts(env: Mapping[str, str], public_url: str) -> tuple[str, ...]:
    """Names under which the public API may be addressed: loopback, the web address, the API's own
    address as other services know it, and what ``QUERYKEEP_ALLOWED_HOSTS`` adds."""
    hosts = ["127.0.0.1", "localhost", "[::1]"]
    for url in (
        public_url,
        env.get("QUERYKEEP_API_URL", ""),
        env.get("QUERYKEEP_INTERNAL_URL", ""),
    ):
        host = urlsplit(url).hostname if url else None
        if host:
            hosts.append(f"[{host}]" if ":" in host else host)
    hosts += [item.strip() for item in env.get("QUERYKEEP_ALLOWED_HOSTS", "").split(",")]
    return tuple(dict.fromkeys(host for host in hosts if host))
