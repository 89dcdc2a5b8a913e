"""Signing in for real: TLS and SCRAM (with channel binding) at both ends, refusals, start-up."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import shutil
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.engines.postgresql.harness import PASSWORD, Governed, governed_by, plain_target
from tests.fix_servers import start_private

from querykeep_demo.servers import PostgresqlServer
from querykeep_engines.postgresql.errors import sign_in_error
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import ErrorResponse, read_backend
from querykeep_engines.postgresql.wire.codes import GSSENC_REQUEST, Backend
from querykeep_engines.postgresql.wire.startup import encode_request, encode_startup
from querykeep_guard.contracts.audit import SessionOpened, SignInRefused
from querykeep_guard.contracts.session import SignInRefusal, Target, TlsMode

ACCOUNTS = ("scram", "md5", "password", "trust")


def make_certificate(folder: Path) -> bytes:
    """Write server.crt and server.key; return the certificate's SHA-256 hash."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


@pytest.fixture(scope="module")
def strict_server(servers_folder: Path) -> Iterator[PostgresqlServer]:
    """A PostgreSQL with TLS and one account per authentication method."""
    folder = servers_folder / "signin"
    folder.mkdir()
    folder.chmod(0o755)
    server = start_private(PostgresqlServer, folder)
    data = server.data_folder
    make_certificate(data)
    for name in ("server.crt", "server.key"):
        if data.owner() == "postgres":
            shutil.chown(data / name, "postgres", "postgres")
        (data / name).chmod(0o600)
    rules = "".join(f"host all {name} all {name}\n" for name in ACCOUNTS if name != "scram")
    hba = data / "pg_hba.conf"
    hba.write_text(rules + "host all all all scram-sha-256\n")
    with psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute("alter system set ssl = on")
        for name in ACCOUNTS:
            encryption = "md5" if name == "md5" else "scram-sha-256"
            connection.execute(f"set password_encryption = '{encryption}'".encode())
            connection.execute(f"create role {name} login password 'geheim-ß'".encode())
        connection.execute("create database shop")
        connection.execute("select pg_reload_conf()")
    yield server
    server.stop()


def target_of(server: PostgresqlServer, account: str, mode: TlsMode) -> Target:
    plain = plain_target(server.host, server.port, account, "geheim-ß", "shop")
    return dataclasses.replace(plain, tls_mode=mode)


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(server: Governed, **options: object) -> psycopg.Connection[tuple[object, ...]]:
    words = {"host": "127.0.0.1", "port": server.port, "user": "ana", "dbname": "shop"}
    words |= {"sslmode": "disable", "password": PASSWORD}
    return psycopg.connect(**{**words, **options})


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER, TlsMode.REQUIRE])
def test_every_method_towards_the_target(
    strict_server: PostgresqlServer, account: str, mode: TlsMode
) -> None:
    target = target_of(strict_server, account, mode)
    with governed_by(target, client_tls=unverified()) as server:
        if account == "password" and mode is TlsMode.DISABLE:
            with pytest.raises(psycopg.OperationalError, match="in clear"):
                connect(server)
            return
        with connect(server, autocommit=True) as connection:
            row = connection.execute(
                "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
            ).fetchone()
            assert row == (mode is not TlsMode.DISABLE,)
            assert connection.execute("select current_user").fetchone() == (account,)


def test_target_without_tls_is_refused_where_tls_is_required(
    strict_server: PostgresqlServer,
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    target = dataclasses.replace(target_of(strict_server, "scram", TlsMode.REQUIRE), port=port)
    with governed_by(target) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(encode_startup((("user", "ana"), ("database", "shop"))))
        accepted, _ = listener.accept()
        assert len(accepted.recv(8)) == 8
        accepted.sendall(b"N")
        assert b"does not offer TLS" in read_all(client)
        accepted.close()
    listener.close()
    client.close()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


@pytest.fixture
def tls_folder(tmp_path: Path) -> tuple[ssl.SSLContext, bytes]:
    binding = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    return context, binding


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_client_signs_in_with_scram_over_tls(
    strict_server: PostgresqlServer, tls_folder: tuple[ssl.SSLContext, bytes], binding: str
) -> None:
    context, digest = tls_folder
    target = target_of(strict_server, "scram", TlsMode.DISABLE)
    with (
        governed_by(target, client_auth=True, server_tls=context, binding=digest) as server,
        connect(server, sslmode="require", channel_binding=binding) as connection,
    ):
        assert connection.execute("select 1").fetchone() == (1,)
    mechanisms = [c.mechanism for c in server.commands if hasattr(c, "mechanism")]
    plus = "" if binding == "disable" else "-PLUS"
    assert mechanisms == [f"SCRAM-SHA-256{plus}"] * 2
    opened = [event for event in server.events if isinstance(event, SessionOpened)]
    assert opened[0].tls


def test_wrong_binding_is_refused(
    strict_server: PostgresqlServer, tls_folder: tuple[ssl.SSLContext, bytes]
) -> None:
    context, _ = tls_folder
    target = target_of(strict_server, "scram", TlsMode.DISABLE)
    with (
        governed_by(target, client_auth=True, server_tls=context, binding=b"x" * 32) as server,
        pytest.raises(psycopg.OperationalError, match="password authentication failed"),
    ):
        connect(server, sslmode="require", channel_binding="require")


def test_wrong_password_is_28p01_and_recorded(strict_server: PostgresqlServer) -> None:
    target = target_of(strict_server, "scram", TlsMode.DISABLE)
    with governed_by(target, client_auth=True) as server:
        with pytest.raises(
            psycopg.OperationalError, match='password authentication failed for user "ana"'
        ):
            connect(server, password="wrong")
        server.wait_for(lambda: bool(server.events))
    refused = server.events[0]
    assert isinstance(refused, SignInRefused)
    assert (refused.code, refused.username) == ("bad_credentials", "ana")


@pytest.mark.parametrize(
    ("code", "sqlstate"),
    [
        ("locked", "28000"),
        ("outside_zone", "28000"),
        ("outside_hours", "28000"),
        ("no_grant", "28000"),
        ("tls_required", "28000"),
        ("unknown_database", "3D000"),
        ("policy_unreachable", "57P03"),
        ("bad_credentials", "28P01"),
    ],
)
def test_refusals_have_their_code(
    strict_server: PostgresqlServer, code: str, sqlstate: str
) -> None:
    target = target_of(strict_server, "scram", TlsMode.DISABLE)
    refusal = SignInRefusal(code, f"because of {code}")
    with (
        governed_by(target, client_auth=True, refuse=refusal) as server,
        pytest.raises(psycopg.OperationalError) as caught,
    ):
        connect(server)
    server.wait_for(lambda: bool(server.events))
    if code != "bad_credentials":
        assert f"because of {code}" in str(caught.value)
    refused = server.events[0]
    assert isinstance(refused, SignInRefused)
    assert refused.code == code
    assert sign_in_error(refusal, "ana").code == sqlstate


def startup_error(server: Governed, *parameters: tuple[str, str]) -> ErrorResponse:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(encode_startup((("user", "ana"), ("database", "shop"), *parameters)))
        data = read_all(client)
    index = data.index(bytes((Backend.ERROR_RESPONSE,))) if data[:1] != b"E" else 0
    (length,) = struct.unpack_from("!i", data, index + 1)
    message = read_backend(data[index], data[index + 5 : index + 1 + length])
    assert isinstance(message, ErrorResponse)
    return message


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (("replication", "database"), "replication"),
        (("client_encoding", "LATIN1"), "client_encoding"),
        (("options", "-c session_preload_libraries=x"), "session_preload_libraries"),
        (("options", "--role=postgres"), "role"),
        (("options", "-B 3"), "-B"),
        (("standard_conforming_strings", "off"), "standard_conforming_strings"),
        (("session_authorization", "postgres"), "session_authorization"),
    ],
)
def test_start_up_settings_are_refused_by_name(
    strict_server: PostgresqlServer, parameter: tuple[str, str], words: str
) -> None:
    with governed_by(target_of(strict_server, "scram", TlsMode.DISABLE)) as server:
        error = startup_error(server, parameter)
    assert error.get("C") == "08P01"
    assert words in error.get("M")


def test_other_database_is_3d000(strict_server: PostgresqlServer) -> None:
    with (
        governed_by(target_of(strict_server, "scram", TlsMode.DISABLE)) as server,
        pytest.raises(psycopg.OperationalError, match='database "postgres" is not behind'),
    ):
        connect(server, dbname="postgres")


def test_start_up_options_are_passed_on(strict_server: PostgresqlServer) -> None:
    with (
        governed_by(target_of(strict_server, "scram", TlsMode.DISABLE)) as server,
        connect(
            server,
            options=r"-c search_path=pg_catalog,\ public --statement-timeout=12345",
            application_name="tests",
        ) as connection,
    ):
        assert connection.execute("show statement_timeout").fetchone() == ("12345ms",)
        assert connection.execute("show search_path").fetchone() == ("pg_catalog, public",)
        assert server.contexts[0][1].search_path == ("pg_catalog", "public")
        assert connection.info.parameter_status("application_name") == "tests"
        assert connection.execute("select 1").fetchone() == (1,)
    assert server.started()[0].client.program == "tests"


@pytest.mark.parametrize(
    ("minor", "options", "negotiated", "key_bytes"),
    [(0, (), None, 4), (2, (), None, 32), (9999, (), 2, 32), (0, ("_pq_.test",), 0, 4)],
)
def test_protocol_versions(
    strict_server: PostgresqlServer,
    minor: int,
    options: tuple[str, ...],
    negotiated: int | None,
    key_bytes: int,
) -> None:
    with (
        governed_by(target_of(strict_server, "scram", TlsMode.DISABLE)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(encode_request(GSSENC_REQUEST))
        assert client.recv(1) == b"N"
        parameters = (("user", "ana"), ("database", "shop"))
        client.sendall(encode_startup((*parameters, *((name, "1") for name in options)), minor))
        client.sendall(encode.query("select 1") + encode.TERMINATE)
        data = read_all(client)
    found = []
    pos = 0
    while pos < len(data):
        (length,) = struct.unpack_from("!i", data, pos + 1)
        found.append((data[pos], data[pos + 5 : pos + 1 + length]))
        pos += 1 + length
    kinds = [kind for kind, _ in found]
    if negotiated is None:
        assert Backend.NEGOTIATE_PROTOCOL_VERSION not in kinds
    else:
        body = dict(found)[Backend.NEGOTIATE_PROTOCOL_VERSION]
        assert struct.unpack("!HHi", body[:8]) == (3, negotiated, len(options))
        assert body[8:] == b"".join(name.encode() + b"\0" for name in options)
    assert len(dict(found)[Backend.BACKEND_KEY_DATA]) == 4 + key_bytes
    assert kinds[-4:] == [
        Backend.ROW_DESCRIPTION,
        Backend.DATA_ROW,
        Backend.COMMAND_COMPLETE,
        Backend.READY_FOR_QUERY,
    ]
