"""Settings of the proxy process, beside those of the relay."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass

from querykeep_proxy.proxy_header import NO_BALANCERS, TrustedBalancers
from querykeep_relay.settings import RelaySettings, SettingsError, bind_address, integer


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """``ports`` is the inclusive range of connection ports; without certificate files the
    connection ports take plaintext only, and the establishment and data ports do not open."""

    relay: RelaySettings
    establish: tuple[str, int]
    data: tuple[str, int]
    health: tuple[str, int]
    ports_host: str
    ports: tuple[int, int]
    public_data: str
    tls_cert_file: str
    tls_key_file: str
    unauthenticated_per_address: int
    drain_s: int
    drain_notice_s: int = 0
    balancers: TrustedBalancers = NO_BALANCERS

    @staticmethod
    def from_environment(environ: Mapping[str, str] | None = None) -> ProxySettings:
        """Read the environment.

        Raises:
            SettingsError: Names the variable and what it should hold.
        """
        env = os.environ if environ is None else environ
        cert, key = env.get("QUERYKEEP_TLS_CERT_FILE", ""), env.get("QUERYKEEP_TLS_KEY_FILE", "")
        if bool(cert) != bool(key):
            raise SettingsError(
                "QUERYKEEP_TLS_CERT_FILE and QUERYKEEP_TLS_KEY_FILE go together; one is not set"
            )
        data_bind = env.get("QUERYKEEP_DATA_BIND", "127.0.0.1:9000")
        return ProxySettings(
            relay=RelaySettings.from_environment("proxy", env),
            establish=bind_address(env, "QUERYKEEP_ESTABLISH_BIND", "127.0.0.1:8000"),
            data=bind_address(env, "QUERYKEEP_DATA_BIND", "127.0.0.1:9000"),
            health=bind_address(env, "QUERYKEEP_PROXY_HEALTH_BIND", "127.0.0.1:3001"),
            ports_host=env.get("QUERYKEEP_PORTS_HOST", "127.0.0.1"),
            ports=port_range(env.get("QUERYKEEP_PORTS", "40000-40010")),
            public_data=env.get("QUERYKEEP_PUBLIC_DATA_ADDRESS", data_bind),
            tls_cert_file=cert,
            tls_key_file=key,
            unauthenticated_per_address=integer(env, "QUERYKEEP_UNAUTHENTICATED_PER_ADDRESS", 200),
            drain_s=integer(env, "QUERYKEEP_DRAIN_SECONDS", 20, least=0),
            drain_notice_s=integer(env, "QUERYKEEP_DRAIN_NOTICE_SECONDS", 0, least=0),
            balancers=trusted_balancers(env.get("QUERYKEEP_PROXY_PROTOCOL_FROM", "")),
        )


def trusted_balancers(text: str) -> TrustedBalancers:
    """Return the networks of ``10.0.0.0/8, 192.0.2.7``; raises SettingsError for anything else."""
    networks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError:
            raise SettingsError(
                f"QUERYKEEP_PROXY_PROTOCOL_FROM: {part!r} is no address or network like 10.1.0.0/16"
            ) from None
    return TrustedBalancers(tuple(networks))


def port_range(text: str) -> tuple[int, int]:
    """Return (first, last) of ``40000-40010``; raises SettingsError for anything else."""
    first, dash, last = text.partition("-")
    if not dash or not first.isdigit() or not last.isdigit():
        raise SettingsError(f"QUERYKEEP_PORTS={text!r} is not a range like 40000-40010")
    if not 0 < int(first) <= int(last) <= 65535:
        raise SettingsError(f"QUERYKEEP_PORTS={text!r} is not a range of ports")
    return int(first), int(last)
