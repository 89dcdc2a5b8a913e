"""TLS towards a PostgreSQL target for the short connections that the driver makes itself.

Used by *Test* (to tell TLS failures from the rest) and by cancel requests. libpq does TLS for all
other connections; ``material`` gives it the files that it wants.
"""

from __future__ import annotations

import socket
import ssl
import struct
import tempfile
from pathlib import Path

from querykeep_engines.kit.tls import target_context
from querykeep_guard.contracts.session import Target, TlsMode

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class TlsRefusedError(Exception):
    """The server speaks no TLS although the target's mode requires it, or its answer is no
    PostgreSQL answer."""


class TlsMaterial:
    """The target's PEM texts as files in a private folder (0700), while a connection lives.

    libpq reads them again when it cancels over TLS, so they are removed by ``close`` and not
    before.
    """

    def __init__(self, target: Target) -> None:
        self.parameters: dict[str, str] = {"sslmode": target.tls_mode.value}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        texts = {
            "sslrootcert": target.ca_pem,
            "sslcert": target.client_cert_pem,
            "sslkey": target.client_key_pem,
        }
        if any(texts.values()):
            self._folder = tempfile.TemporaryDirectory(prefix="qk-tls-")
        for name, text in texts.items():
            if text and self._folder is not None:
                path = Path(self._folder.name) / name
                path.touch(mode=0o600)
                path.write_text(text, encoding="ascii")
                self.parameters[name] = str(path)
        if target.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL) and not target.ca_pem:
            self.parameters["sslrootcert"] = "system"
            # libpq allows the system's trust store with verify-full only: stricter, never weaker.
            self.parameters["sslmode"] = TlsMode.VERIFY_FULL.value

    def close(self) -> None:
        """Remove the files; may be called twice."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def start_tls(raw: socket.socket, target: Target) -> socket.socket:
    """Ask for TLS as the target's mode says and return the socket to go on with.

    Raises:
        TlsRefusedError: The server offers no TLS and the mode requires it.
        ssl.SSLError: The handshake or the certificate failed.
        OSError: The connection broke.
    """
    if target.tls_mode is TlsMode.DISABLE:
        return raw
    raw.sendall(_SSL_REQUEST)
    answer = raw.recv(1)
    if answer == b"S":
        context = _context(target)
        name = target.host if context.check_hostname or not _is_address(target.host) else None
        return context.wrap_socket(raw, server_hostname=name)
    if answer == b"N" and target.tls_mode is TlsMode.PREFER:
        return raw
    if answer == b"N":
        raise TlsRefusedError(
            f"the server at {target.host}:{target.port} offers no TLS, "
            f"but mode {target.tls_mode.value} requires it"
        )
    raise TlsRefusedError(f"{target.host}:{target.port} did not answer as a PostgreSQL server does")


def _context(target: Target) -> ssl.SSLContext:
    context = target_context(target)
    if target.client_cert_pem:
        material = TlsMaterial(target)
        try:
            context.load_cert_chain(
                material.parameters["sslcert"], material.parameters.get("sslkey")
            )
        finally:
            material.close()
    return context


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
