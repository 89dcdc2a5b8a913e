"""Opens what is sealed: the Target of a connection, and the client info that travels with it."""

from __future__ import annotations

from querykeep_api.dbam.models import Connection
from querykeep_api.kernel.secrets import unseal
from querykeep_guard.contracts.session import ConnectionInfo, Target, TlsMode


def target_of(connection: Connection) -> Target:
    """Return the target with its stored account, secrets opened; keep it only as long as needed.

    Raises:
        SealError: A secret cannot be opened.
    """
    return Target(
        engine=connection.engine,
        flavour=connection.flavour or connection.engine,
        host=connection.host,
        port=connection.port,
        database=connection.database,
        username=connection.username,
        password=unseal(connection.sealed_password, connection.password_context),
        tls_mode=TlsMode(connection.tls_mode),
        ca_pem=connection.tls_ca_pem,
        client_cert_pem=connection.tls_client_cert_pem,
        client_key_pem=unseal(connection.sealed_client_key, connection.client_key_context),
    )


def connection_info(connection: Connection) -> ConnectionInfo:
    """Return what a listener must know of a connection."""
    return ConnectionInfo(
        id=connection.pk,
        name=connection.name,
        engine=connection.engine,
        flavour=connection.flavour or connection.engine,
        database=connection.database,
        port=connection.proxy_port,
        server_version=connection.server_version,
        tls_required=connection.tls_required,
        enabled=connection.is_enabled,
    )
