"""The web port over TLS takes clients that ask for a protocol (ALPN), as browsers do."""

import datetime
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port

from querykeep_demo.certificates import make_certificates
from querykeep_demo.processes import wait_for

# The factory itself on Twisted's TLS endpoint: no API and no runner are needed for a handshake.
SERVER = """
import sys
from querykeep_middleware.gateway import server
from twisted.internet import endpoints, reactor
factory = server._HttpFactory(None)
endpoints.serverFromString(reactor, sys.argv[1]).listen(factory)
reactor.run()
"""


@pytest.mark.parametrize("offered", [[], ["http/1.1"], ["h2", "http/1.1"]])
def test_client_that_asks_for_a_protocol_gets_http_1_1(tmp_path: Path, offered: list[str]) -> None:
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "ca-key", "cert", "key")}
    make_certificates(
        ca_file=files["ca"],
        ca_key_file=files["ca-key"],
        cert_file=files["cert"],
        key_file=files["key"],
        now=datetime.datetime.now(datetime.UTC),
    )
    port = free_port()
    endpoint = f"ssl:{port}:interface=127.0.0.1:certKey={files['cert']}:privateKey={files['key']}"
    process = subprocess.Popen([sys.executable, "-c", SERVER, endpoint], env=os.environ)
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        assert wait_for(listens, timeout_s=40)
        context = ssl.create_default_context(cafile=str(files["ca"]))
        context.set_alpn_protocols(offered)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == ("http/1.1" if offered else None)
    finally:
        process.terminate()
        process.wait(20)
