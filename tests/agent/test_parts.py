"""Small parts: files, keystores, ports, addresses, verifiers."""

from __future__ import annotations

import base64
import subprocess

import keyring
import keyring.backend
import pytest

from querykeep_agent import keystore
from querykeep_agent.clients.kind import Address
from querykeep_agent.clients.mysql import option_file
from querykeep_agent.console import table
from querykeep_agent.errors import AgentError, NotSignedInError, UsageError
from querykeep_agent.home import Home, Server
from querykeep_agent.login import read_address
from querykeep_agent.ports import FIRST, LAST, remembered_port
from querykeep_agent.proofs import new_password, verifiers
from querykeep_engines.kit.scram import make_verifiers
from querykeep_guard.contracts.codec import from_json
from querykeep_guard.contracts.session import ClientVerifiers


def server(name: str = "db.example:6000") -> Server:
    return Server(name, True, f"https://web.{name}", "https://x:8000", "", "me", "Me", "file")


def test_verifiers_are_those_that_our_listeners_check():
    password = new_password()
    made = from_json(ClientVerifiers, verifiers(password))
    assert made == make_verifiers(password, made.scram_salt, made.scram_iterations)
    assert len(base64.b64encode(made.scram_salt)) == 24


def test_passwords_need_no_quoting():
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(
        len(password) == 32 and password.isalnum() and password.isascii() for password in made
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db.example", ("db.example", 6000)),
        ("db.example:7000", ("db.example", 7000)),
        ("127.0.0.1:6001", ("127.0.0.1", 6001)),
        ("[::1]:6000", ("::1", 6000)),
        ("https://db.example", ("db.example", 6000)),
        ("http://db.example:8888/editor", ("db.example", 6000)),
    ],
)
def test_addresses(text, expected):
    assert read_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":6000", "ftp://x", "x:99999", "user:pw@x:1", "https://", "[x", "https://[x"]
)
def test_addresses_without_meaning(text):
    with pytest.raises(UsageError):
        read_address(text)


def test_home_is_private_and_knows_its_servers(tmp_path):
    folder = tmp_path / "deep" / "agent"
    home = Home(folder)
    with pytest.raises(NotSignedInError):
        home.server()
    home.remember(server("a.example:6000"))
    home.remember(server("b.example:6000"))
    assert home.server().name == "b.example:6000"
    assert home.server("a.ex").name == "a.example:6000"
    with pytest.raises(UsageError, match="signed in are"):
        home.server("example")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
    folder.chmod(0o755)
    with pytest.raises(AgentError, match="chmod 700"):
        Home(folder)
    assert folder.stat().st_mode & 0o777 == 0o755, "what is not ours is not changed"


def test_a_damaged_configuration_is_an_error(tmp_path):
    home = Home(tmp_path / "agent")
    home.remember(server())
    for content in ("{", "[]", '{"version": 9}', '{"version": 1, "servers": {"x": {}}}'):
        (home.folder / "config.json").write_text(content)
        with pytest.raises(AgentError):
            home.servers()


def test_ports_stay_and_are_nobody_elses(tmp_path):
    home = Home(tmp_path / "agent")
    home.remember(server())
    port = remembered_port(home, server(), "one")
    assert FIRST <= port <= LAST
    assert remembered_port(home, server(), "one") == port
    with pytest.raises(UsageError):
        home.set_port(server().name, "two", port)
    assert remembered_port(home, server(), "two") != port
    home.remember(server())
    assert remembered_port(home, server(), "one") == port, "signing in again keeps it"


def test_one_process_holds_a_tunnel(tmp_path):
    home = Home(tmp_path / "agent")
    assert home.open_tunnel("s", "c") is None
    with home.holding_tunnel("s", "c", 20000):
        seen = home.open_tunnel("s", "c")
        assert seen is not None
        assert seen.port == 20000
        with pytest.raises(AgentError, match="open already by process"):
            home.holding_tunnel("s", "c", 20001).__enter__()
    assert home.open_tunnel("s", "c") is None
    with home.holding_tunnel("s", "c", 20000):
        pass


def test_secrets_that_others_can_read_are_not_used(tmp_path):
    store = keystore.FileKeystore(tmp_path)
    store.write("s", {"a": 1})
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert store.read("s") == {"a": 1}
    file.chmod(0o644)
    with pytest.raises(AgentError, match="other users"):
        store.read("s")


class MemoryKeychain(keyring.backend.KeyringBackend):
    """A keychain for tests."""

    priority = 1

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service, username):
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service, username):
        self._check()
        if self.entries.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("no such entry")

    def _check(self) -> None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked("locked")


@pytest.fixture
def keychain(monkeypatch):
    before = keyring.get_keyring()
    monkeypatch.delenv(keystore.SETTING, raising=False)
    made = MemoryKeychain()
    monkeypatch.setattr(MemoryKeychain, "__module__", "keyring.backends.SecretService")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_real_keychain_is_used(keychain, tmp_path):
    assert keystore.choose_kind(tmp_path) == "keychain"
    assert keychain.entries == {}, "the probe leaves nothing"
    store = keystore.open_keystore("keychain", tmp_path)
    assert store.read("s") is None
    store.write("s", {"a": 1})
    assert store.read("s") == {"a": 1}
    other = tmp_path / "other"
    assert keystore.open_keystore("keychain", other).read("s") is None, "homes do not share"
    store.delete("s")
    store.delete("s")
    assert keychain.entries == {}


def test_a_locked_keychain_is_not_chosen_and_never_replaced(keychain, tmp_path, monkeypatch):
    store = keystore.open_keystore("keychain", tmp_path)
    store.write("s", {"a": 1})
    keychain.is_locked = True
    assert keystore.choose_kind(tmp_path) == "file"
    with pytest.raises(AgentError, match="Unlock it"):
        store.read("s")
    monkeypatch.setenv(keystore.SETTING, "keychain")
    with pytest.raises(AgentError, match="no keychain that is open"):
        keystore.choose_kind(tmp_path)
    monkeypatch.setenv(keystore.SETTING, "cloud")
    with pytest.raises(UsageError):
        keystore.choose_kind(tmp_path)


def test_a_plain_text_keychain_is_no_keychain(keychain, tmp_path, monkeypatch):
    monkeypatch.setattr(MemoryKeychain, "__module__", "keyrings.alt.file")
    assert keystore.choose_kind(tmp_path) == "file"


@pytest.mark.parametrize("name", ["plain", 'a"b', "back\\slash", "빈 칸", "semi;colon # hash"])
def test_the_option_file_is_read_as_it_was_meant(tmp_path, name):
    """MariaDB's own reader of option files says what it found; the person's own comes first."""
    (tmp_path / ".my.cnf").write_text("[client]\npassword=own\nconnect-timeout=7\n")
    address = Address("127.0.0.1", 20000, name, "secret", name)
    file = tmp_path / "client.cnf"
    file.write_text(option_file(address, is_mariadb=True, home=str(tmp_path)))
    shown = subprocess.run(
        ["my_print_defaults", f"--defaults-file={file}", "client", "mysql"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert f"--user={name}" in shown
    assert f"--database={name}" in shown
    assert "--connect-timeout=7" in shown
    assert [line for line in shown if line.startswith("--password=")][-1] == "--password=secret"
    assert "skip-ssl" in option_file(address, is_mariadb=True, home="")
    assert "ssl-mode=DISABLED" in option_file(address, is_mariadb=False, home="")


def test_tables_know_wide_letters():
    assert table(["A", "B"], [["주문", "1"], ["x", "2"]]).splitlines() == [
        "A     B",
        "주문  1",
        "x     2",
    ]
