"""TLS towards a MySQL or MariaDB target, by mode."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from querykeep_engines.kit.tls import target_context
from querykeep_guard.contracts.session import Target, TlsMode


def client_context(target: Target) -> ssl.SSLContext | None:
    """Return the TLS context for a target's mode; None for ``disable``.

    Raises:
        ssl.SSLError, ValueError: A certificate or key of the target cannot be read.
    """
    if target.tls_mode is TlsMode.DISABLE:
        return None
    context = target_context(target)
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
