"""TLS towards a target: what its mode verifies, the same for every engine."""

from __future__ import annotations

import ssl

from querykeep_guard.contracts.session import Target, TlsMode


def target_context(target: Target) -> ssl.SSLContext:
    """Return a client context that verifies what the target's mode asks for, without a client
    certificate.

    Raises:
        ssl.SSLError, ValueError: The target's CA certificates cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    verifies = target.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
    # libpq verifies with mode "require" too when a CA is given; so does this.
    if verifies or (target.tls_mode is TlsMode.REQUIRE and target.ca_pem):
        context.verify_mode = ssl.CERT_REQUIRED
        if target.ca_pem:
            context.load_verify_locations(cadata=target.ca_pem)
        else:
            context.load_default_certs()
        context.check_hostname = target.tls_mode is TlsMode.VERIFY_FULL or not target.ca_pem
    return context
