"""TLS towards a MySQL or MariaDB target, by mode."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from querykeep_guard.contracts.session import Target, TlsMode


def client_context(target: Target) -> ssl.SSLContext | None:
    """Return the TLS context for a target's mode; None for ``disable``.

    Raises:
        ssl.SSLError, ValueError: A certificate or key of the target cannot be read.
    """
    if target.tls_mode is TlsMode.DISABLE:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    verifies = target.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
    if verifies or (target.tls_mode is TlsMode.REQUIRE and target.ca_pem):
        context.verify_mode = ssl.CERT_REQUIRED
        if target.ca_pem:
            context.load_verify_locations(cadata=target.ca_pem)
        else:
            context.load_default_certs()
        context.check_hostname = target.tls_mode is TlsMode.VERIFY_FULL or not target.ca_pem
    if target.client_cert_pem:
        _load_client_certificate(context, target)
    return context


def _load_client_certificate(context: ssl.SSLContext, target: Target) -> None:
    with tempfile.TemporaryDirectory(prefix="qk-tls-") as folder:
        certificate, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        certificate.write_text(target.client_cert_pem, encoding="ascii")
        key.touch(mode=0o600)
        key.write_text(target.client_key_pem, encoding="ascii")
        context.load_cert_chain(certificate, key if target.client_key_pem else None)


def is_tls_required(mode: TlsMode) -> bool:
    """True when a mode may not fall back to plain text."""
    return mode not in (TlsMode.DISABLE, TlsMode.PREFER)
