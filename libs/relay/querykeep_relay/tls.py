"""TLS contexts of both roles and the ``tls-server-end-point`` channel binding (RFC 5929)."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from querykeep_guard.contracts.session import Target, TlsMode


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """What a listener needs to speak TLS to its clients."""

    context: ssl.SSLContext
    channel_binding: bytes


def load_listener_tls(cert_file: str, key_file: str, *, alpn: tuple[str, ...] = ()) -> ListenerTls:
    """Return a server context from PEM files; the first certificate is our own.

    Raises:
        OSError, ssl.SSLError, ValueError: A file cannot be read or key and certificate differ.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.load_cert_chain(cert_file, key_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with open(cert_file, "rb") as file:
        certificate = x509.load_pem_x509_certificates(file.read())[0]
    return ListenerTls(context, _binding_of(certificate))


def target_context(target: Target) -> ssl.SSLContext:
    """Return the client context for a target, verifying as its TLS mode says (libpq's meaning).

    Raises:
        ssl.SSLError, ValueError: The CA, client certificate or key is not usable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.check_hostname = target.tls_mode is TlsMode.VERIFY_FULL
    verifies = target.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    if verifies:
        if target.ca_pem:
            context.load_verify_locations(cadata=target.ca_pem)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if target.client_cert_pem:
        _load_client_certificate(context, target.client_cert_pem, target.client_key_pem)
    return context


def end_point_binding(certificate_der: bytes) -> bytes:
    """Return the channel binding of a peer's certificate; empty without one."""
    if not certificate_der:
        return b""
    return _binding_of(x509.load_der_x509_certificate(certificate_der))


def _binding_of(certificate: x509.Certificate) -> bytes:
    """RFC 5929 §4.1: the certificate's own signature hash, SHA-256 instead of MD5 and SHA-1.

    A signature without one hash (Ed25519) has no defined binding: then there is none.
    """
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return b""
    if isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _load_client_certificate(context: ssl.SSLContext, cert_pem: str, key_pem: str) -> None:
    """The ssl module reads keys from files only: give it memory that no path leads to."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        pem = f"{cert_pem.strip()}\n{key_pem.strip()}\n".encode()
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
