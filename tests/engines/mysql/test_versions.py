"""MariaDB's version prefix: gone where people look, there again in greetings."""

from __future__ import annotations

import socket

import pytest
from tests.fix_servers import Server

from querykeep_engines.mysql.versions import as_greeted, without_prefix
from querykeep_engines.registry import engine
from querykeep_guard.contracts.session import Target, TlsMode


@pytest.mark.parametrize(
    ("plain", "greeted"),
    [
        ("10.11.6-MariaDB-0+deb12u1", "5.5.5-10.11.6-MariaDB-0+deb12u1"),
        ("11.8.3-MariaDB-ubu2404", "11.8.3-MariaDB-ubu2404"),
        ("8.0.40", "8.0.40"),
        ("9.7.4", "9.7.4"),
    ],
)
def test_the_prefix_belongs_to_greetings_of_mariadb_10(plain: str, greeted: str) -> None:
    assert as_greeted(plain) == greeted
    assert as_greeted(greeted) == greeted
    assert without_prefix(greeted) == plain


def test_a_probe_tells_the_version_without_prefix_and_the_greeting_is_the_servers_own(
    mariadb_server: Server,
) -> None:
    target = Target(
        engine="mariadb",
        flavour="mariadb",
        host=mariadb_server.host,
        port=mariadb_server.port,
        database="mysql",
        username=mariadb_server.user,
        password=mariadb_server.password,
        tls_mode=TlsMode.DISABLE,
    )
    version = engine("mariadb").driver().probe(target).server_version
    assert "MariaDB" in version
    with socket.create_connection((mariadb_server.host, mariadb_server.port), 30) as plain:
        packet = plain.recv(4096)
    own = packet[5 : packet.index(b"\0", 5)].decode()
    assert as_greeted(version) == own
    assert not version.startswith("5.5.5-")
