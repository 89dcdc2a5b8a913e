"""The web port over TLS: clients that ask for a protocol, chains, certificates that are renewed."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.ports import free_port

from querykeep_demo.certificates import make_certificates
from querykeep_demo.processes import wait_for
from querykeep_middleware.gateway.endpoints import Endpoint

# The factory itself on its endpoint: no API and no runner are needed for a handshake.
SERVER = """
import sys
from querykeep_middleware.gateway import server
from twisted.internet import reactor
server.open_endpoint(reactor, sys.argv[1]).listen(server._HttpFactory(None))
reactor.run()
"""


def certificates(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Make an authority with a server certificate; return its file and those of the server."""
    ca, ca_key = folder / f"{name}-ca.pem", folder / f"{name}-ca-key.pem"
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    make_certificates(
        ca_file=ca,
        ca_key_file=ca_key,
        cert_file=cert,
        key_file=key,
        now=datetime.datetime.now(datetime.UTC),
    )
    return ca, cert, key


@contextmanager
def served(cert: Path, key: Path) -> Iterator[int]:
    """Run the server; return its port."""
    endpoint = Endpoint("127.0.0.1", free_port(), str(cert), str(key))
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(endpoint)], env=os.environ)
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", endpoint.port)) == 0

        assert wait_for(listens, timeout_s=40)
        yield endpoint.port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def connected(port: int, ca: Path, protocols: list[str] | None = None) -> Iterator[ssl.SSLSocket]:
    """Shake hands, trusting one authority only."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(protocols or [])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        yield wrapped


@pytest.mark.parametrize("offered", [[], ["http/1.1"], ["h2", "http/1.1"]])
def test_client_that_asks_for_a_protocol_gets_http_1_1(tmp_path: Path, offered: list[str]) -> None:
    ca, cert, key = certificates(tmp_path, "own")
    with served(cert, key) as port, connected(port, ca, offered) as wrapped:
        assert wrapped.selected_alpn_protocol() == ("http/1.1" if offered else None)


def test_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    old_ca, cert, key = certificates(tmp_path, "own")
    new_ca, new_cert, new_key = certificates(tmp_path, "new")
    with served(cert, key) as port, connected(port, old_ca) as standing:
        # One file after the other: in between they do not fit together, and the old pair goes on.
        new_cert.replace(cert)
        with connected(port, old_ca):
            pass
        new_key.replace(key)
        with connected(port, new_ca):
            pass
        with pytest.raises(ssl.SSLCertVerificationError), connected(port, old_ca):
            pass
        # Files that are gone are no reason to stop.
        key.unlink()
        with connected(port, new_ca):
            pass
        # Who was connected before still is.
        standing.sendall(b"GET")
        assert standing.version() is not None


def test_whole_chain_is_served(tmp_path: Path) -> None:
    root_file, cert, key = intermediate(tmp_path)
    with served(cert, key) as port, connected(port, root_file) as wrapped:
        assert wrapped.getpeercert()


def intermediate(folder: Path) -> tuple[Path, Path, Path]:
    """Make a certificate that leads to its root through an authority in between."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in ("root", "between", "server")
    ]
    now = datetime.datetime.now(datetime.UTC)
    made = []
    for number, (key, name) in enumerate(zip(keys, names, strict=True)):
        above = max(0, number - 1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[above])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=number < 2, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[above].public_key()),
                critical=False,
            )
        )
        if number == 2:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        made.append(builder.sign(keys[above], hashes.SHA256()))
    root, between, own = (one.public_bytes(serialization.Encoding.PEM) for one in made)
    files = folder / "root.pem", folder / "chain.pem", folder / "chain-key.pem"
    files[0].write_bytes(root)
    files[1].write_bytes(own + between)
    files[2].write_bytes(
        keys[2].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
