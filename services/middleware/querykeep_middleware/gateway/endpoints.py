"""Where the web process listens, in plain or over TLS with a certificate that may be renewed.

Twisted's own ``ssl:`` endpoint reads its certificate once, and of a chain only the first one, so
that browsers miss the intermediate authorities.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet import ssl as twisted_ssl
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IOpenSSLContextFactory
from zope.interface import implementer

from querykeep_relay.certificate_files import CertificateFiles

# Twisted's types are partial.
_SslEndpoint: Any = SSL4ServerEndpoint


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address; with TLS when it names a certificate and its key (PEM files)."""

    host: str
    port: int
    cert_file: str = ""
    key_file: str = ""

    def __str__(self) -> str:
        """Return the text that Daphne carries to ``open_endpoint``."""
        return json.dumps(asdict(self))


def open_endpoint(reactor: Any, description: str) -> Any:
    """Return Twisted's endpoint for an ``Endpoint`` as text.

    Raises:
        OSError, ValueError, SSL.Error: The certificate cannot be used.
    """
    endpoint = Endpoint(**json.loads(description))
    if endpoint.cert_file:
        context = RenewedContext(endpoint.cert_file, endpoint.key_file)
        return _SslEndpoint(reactor, endpoint.port, context, interface=endpoint.host)
    kind = TCP6ServerEndpoint if ":" in endpoint.host else TCP4ServerEndpoint
    return kind(reactor, endpoint.port, interface=endpoint.host)


@implementer(IOpenSSLContextFactory)
class RenewedContext:
    """Asked by Twisted for each connection."""

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._files = CertificateFiles(cert_file, key_file, tls_context)

    def getContext(self) -> SSL.Context:  # noqa: N802  # Twisted's name
        """Return the context with the certificate of now."""
        return self._files.current()


def tls_context(cert_file: str, key_file: str) -> SSL.Context:
    """Return a server context with Twisted's settings and the whole chain of a PEM file.

    Raises:
        OSError, ValueError, SSL.Error: A file cannot be read or key and certificate differ.
    """
    own, *chain = x509.load_pem_x509_certificates(Path(cert_file).read_bytes())
    key = crypto.load_privatekey(crypto.FILETYPE_PEM, Path(key_file).read_bytes(), b"")
    options = twisted_ssl.CertificateOptions(
        privateKey=key,
        certificate=crypto.X509.from_cryptography(own),
        extraCertChain=[crypto.X509.from_cryptography(one) for one in chain],
    )
    context = options.getContext()
    context.check_privatekey()
    return context
