"""A running proxy on the fake API, target and engine of the relay's tests, with TLS."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.polling import until
from tests.ports import free_port
from tests.relay.fix_relay import Client, Relay

from querykeep_proxy.main import Proxy
from querykeep_proxy.settings import ProxySettings


@dataclass(frozen=True)
class Certificate:
    """Files of a self-signed certificate for 127.0.0.1, and a client context that trusts it."""

    cert_file: Path
    key_file: Path

    def client_context(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.cert_file))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="session")
def tls_certificate(tmp_path_factory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(folder: Path) -> Certificate:
    """Write a new key and its self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Certificate(cert_file, key_file)


class RunningProxy:
    """The proxy, its bound ports and the parts around it."""

    def __init__(self, proxy: Proxy, ports: dict[str, int], relay: Relay) -> None:
        self.proxy = proxy
        self.ports = ports
        self.relay = relay
        self.api = relay.api

    async def client(self, port: int) -> Client:
        client = Client(await trio.open_tcp_stream("127.0.0.1", port))
        self.relay.clients.append(client)
        return client

    async def get(self, path: str, port: str = "health") -> tuple[int, bytes]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.ports[port])
        async with stream:
            await stream.send_all(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
            data = b""
            while part := await stream.receive_some(65536):
                data += part
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body


@asynccontextmanager
async def open_proxy(
    relay: Relay, certificate: Certificate, **changes: Any
) -> AsyncIterator[RunningProxy]:
    """Run a proxy whose one connection ``shop`` listens on a port of its own."""
    port = free_port()
    relay.api.connections = [replace(relay.api.connections[0], port=port)]
    settings = ProxySettings(
        relay=relay.services.settings,
        establish=("127.0.0.1", 0),
        data=("127.0.0.1", 0),
        health=("127.0.0.1", 0),
        ports_host="127.0.0.1",
        ports=(1024, 65535),
        public_data="127.0.0.1:9000",
        tls_cert_file=str(certificate.cert_file),
        tls_key_file=str(certificate.key_file),
        unauthenticated_per_address=5,
        drain_s=2,
    )
    async with trio.open_nursery() as nursery:
        proxy = Proxy(replace(settings, **changes), relay.services)
        bound = await nursery.start(proxy.run)
        running = RunningProxy(proxy, {**bound, "shop": port}, relay)

        async def is_ready() -> bool:
            return (await running.get("/readyz"))[0] == 200

        await until(is_ready)
        yield running
        nursery.cancel_scope.cancel()


@pytest.fixture
async def proxy(relay: Relay, tls_certificate: Certificate) -> AsyncIterator[RunningProxy]:
    """A proxy whose one connection ``shop`` listens on a port of its own."""
    async with open_proxy(relay, tls_certificate) as running:
        yield running
