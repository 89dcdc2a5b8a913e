"""An installation is made once, keeps its secrets, and is deleted only when it is one."""

import datetime
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from querykeep_demo.installation import ACCOUNTS, Installation, delete
from querykeep_demo.processes import ProcessError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_second_opening_finds_everything_as_it_was(tmp_path: Path) -> None:
    first = Installation.open(tmp_path / "run", now=NOW)
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    second = Installation.open(tmp_path / "run", now=NOW)
    assert second == first
    assert files == {
        path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()
    }


def test_no_two_installations_share_a_secret(tmp_path: Path) -> None:
    one = Installation.open(tmp_path / "one", now=NOW)
    other = Installation.open(tmp_path / "other", now=NOW)
    assert one.id != other.id
    assert one.root_key_file.read_text() != other.root_key_file.read_text()
    passwords = [
        password
        for secrets in (one.secrets, other.secrets)
        for password in (
            secrets.redis,
            secrets.postgresql,
            secrets.mariadb,
            *secrets.accounts.values(),
        )
    ]
    assert len(set(passwords)) == len(passwords) == 2 * (3 + len(ACCOUNTS))


def test_secrets_are_for_the_owner_only_and_in_no_repr(tmp_path: Path) -> None:
    installation = Installation.open(tmp_path / "run", now=NOW)
    private = [*(tmp_path / "run/secrets").iterdir(), installation.cert_key_file]
    assert {path.stat().st_mode & 0o077 for path in private} == {0}
    assert installation.secrets.redis not in repr(installation)
    assert installation.secrets.accounts["admin"] not in repr(installation)


def test_certificate_is_accepted_by_a_client_that_trusts_the_ca(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    installation = Installation.open(tmp_path / "run", now=now)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(installation.cert_file, installation.cert_key_file)
    client = ssl.create_default_context(cafile=str(installation.ca_file))
    for name in ("127.0.0.1", "localhost"):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client_end = client.wrap_bio(to_client, to_server, server_hostname=name)
        server_end = server.wrap_bio(to_server, to_client, server_side=True)
        for _round in range(4):
            for end in (client_end, server_end):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        subject_names = dict(client_end.getpeercert() or {})["subjectAltName"]
        assert ("IP Address", "127.0.0.1") in subject_names


def test_certificate_is_renewed_before_it_ends_and_the_ca_stays(tmp_path: Path) -> None:
    installation = Installation.open(tmp_path / "run", now=NOW)
    ca = installation.ca_file.read_bytes()
    later = NOW + datetime.timedelta(days=820)
    Installation.open(tmp_path / "run", now=later)
    renewed = x509.load_pem_x509_certificate(installation.cert_file.read_bytes())
    assert renewed.not_valid_after_utc > later + datetime.timedelta(days=365)
    assert installation.ca_file.read_bytes() == ca


def test_service_keys_are_known_to_the_api_as_digests(tmp_path: Path) -> None:
    installation = Installation.open(tmp_path / "run", now=NOW)
    digests = json.loads(installation.service_keys_file.read_text())
    assert set(digests) == {"middleware", "proxy", "tool"}
    for service in digests:
        assert installation.key_file(service).read_text().strip() not in digests.values()


def test_folder_without_installation_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ProcessError, match="left alone"):
        delete(tmp_path)
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"id": "../.."}', '{"id": ""}', '{"id": 1}'])
def test_damaged_installation_file_deletes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "installation.json").write_text(content)
    with pytest.raises(ProcessError, match="damaged"):
        delete(tmp_path)
    assert tmp_path.exists()


def test_deleting_leaves_nothing(tmp_path: Path) -> None:
    installation = Installation.open(tmp_path / "run", now=NOW)
    delete(installation.home)
    assert not installation.home.exists()
    delete(installation.home)  # twice does no harm
