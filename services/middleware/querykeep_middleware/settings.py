"""Settings of the middleware, read once from ``QUERYKEEP_*`` variables."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from querykeep_relay.settings import RelaySettings, SettingsError, bind_address, integer

_WEB_DIST = Path(__file__).resolve().parent.parent / "web" / "dist"


@dataclass(frozen=True, slots=True)
class MiddlewareSettings:
    """What both processes need. ``web_tls`` and the certificate are empty where a load balancer (or
    nobody, on loopback) does TLS. Sizes are bytes, times seconds."""

    relay: RelaySettings
    web: tuple[str, int]
    web_tls: tuple[str, int] | None
    agent: tuple[str, int]
    api_url: str
    public_url: str
    public_establish: str
    results_dir: Path
    runner_socket: Path
    static_dir: Path
    tls_cert_file: str = ""
    tls_key_file: str = field(default="", repr=False)
    ca_file: str = ""
    trusted_proxies: tuple[str, ...] = ()
    results_limit_bytes: int = 10 * 1024**3
    results_keep_s: int = 24 * 3600
    upload_limit_bytes: int = 16 * 1024**2

    @staticmethod
    def from_environment(environ: Mapping[str, str] | None = None) -> MiddlewareSettings:
        """Read the environment (``os.environ`` unless given).

        Raises:
            SettingsError: A variable is missing or cannot be read; nothing is guessed.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("QUERYKEEP_HOME", ".run"))
        results = Path(env.get("QUERYKEEP_RESULTS_DIR", home / "results"))
        api_url = env.get("QUERYKEEP_API_URL", "")
        if not api_url:
            raise SettingsError("QUERYKEEP_API_URL is not set: it holds the API's public address")
        web = bind_address(env, "QUERYKEEP_WEB_BIND", "127.0.0.1:8888")
        certificate = env.get("QUERYKEEP_TLS_CERT_FILE", "")
        web_tls = None
        if env.get("QUERYKEEP_WEB_TLS_BIND"):
            if not certificate:
                raise SettingsError(
                    "QUERYKEEP_WEB_TLS_BIND is set but QUERYKEEP_TLS_CERT_FILE is not"
                )
            web_tls = bind_address(env, "QUERYKEEP_WEB_TLS_BIND", "")
        return MiddlewareSettings(
            relay=RelaySettings.from_environment("middleware", env),
            web=web,
            web_tls=web_tls,
            agent=bind_address(env, "QUERYKEEP_AGENT_SIGNIN_BIND", "127.0.0.1:6000"),
            api_url=api_url.rstrip("/"),
            public_url=env.get("QUERYKEEP_PUBLIC_URL", f"http://{web[0]}:{web[1]}").rstrip("/"),
            public_establish=env.get("QUERYKEEP_ESTABLISH_URL", "https://127.0.0.1:8000"),
            results_dir=results,
            runner_socket=Path(env.get("QUERYKEEP_RUNNER_SOCKET", results / "runner.sock")),
            static_dir=Path(env.get("QUERYKEEP_WEB_DIST", _WEB_DIST)),
            tls_cert_file=certificate,
            tls_key_file=env.get("QUERYKEEP_TLS_KEY_FILE", ""),
            ca_file=env.get("QUERYKEEP_CA_FILE", ""),
            trusted_proxies=_networks(env, "QUERYKEEP_TRUSTED_PROXIES"),
            results_limit_bytes=integer(env, "QUERYKEEP_RESULTS_LIMIT_BYTES", 10 * 1024**3),
            results_keep_s=integer(env, "QUERYKEEP_RESULTS_KEEP_S", 24 * 3600),
        )


def _networks(env: Mapping[str, str], variable: str) -> tuple[str, ...]:
    networks = tuple(env.get(variable, "").replace(",", " ").split())
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise SettingsError(f"{variable}: {error}") from error
    return networks
