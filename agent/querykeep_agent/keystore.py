"""Where secrets rest: the keychain of the operating system, else a file that only its owner reads.

One entry holds all secrets of one server as JSON. The keychain is chosen at sign-in, once: a
keychain that is locked or gone later is an error, never a reason to read or write somewhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Protocol

import keyring
import keyring.errors

from querykeep_agent.errors import AgentError, UsageError
from querykeep_agent.files import read_json, write_json

SETTING = "QUERYKEEP_AGENT_KEYSTORE"
_SERVICE = "querykeep-agent"
_REAL_BACKENDS = ("macOS", "Windows", "SecretService", "libsecret", "kwallet")
_PROBE = "probe"


class Keystore(Protocol):
    """Keeps one JSON object per server. ``kind`` is ``keychain`` or ``file``."""

    kind: str

    def read(self, server: str) -> dict[str, Any] | None:
        """Return a server's secrets, None where there are none."""

    def write(self, server: str, secrets: dict[str, Any]) -> None:
        """Replace a server's secrets; they are stored when this returns."""

    def delete(self, server: str) -> None:
        """Forget a server's secrets."""


class FileKeystore:
    """One file of mode 0600 per server in the agent's own folder (0700)."""

    kind = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, server: str) -> Path:
        return self._folder / f"secrets-{short_hash(server)}.json"

    def read(self, server: str) -> dict[str, Any] | None:
        """Return a server's secrets; raises AgentError where others could have read them."""
        path = self._path(server)
        if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
            raise AgentError(
                f"{path} can be read by other users: its sign-in may be known to them. "
                "Sign out and in again: qk logout, then qk login"
            )
        return read_json(path)

    def write(self, server: str, secrets: dict[str, Any]) -> None:
        """Replace a server's secrets."""
        write_json(self._path(server), secrets)

    def delete(self, server: str) -> None:
        """Forget a server's secrets."""
        self._path(server).unlink(missing_ok=True)


class KeychainKeystore:
    """The operating system's keychain, through ``keyring``."""

    kind = "keychain"

    def __init__(self, folder: Path) -> None:
        self._prefix = short_hash(str(folder.resolve()))

    def _entry(self, server: str) -> str:
        return f"{server} ({self._prefix})"

    def read(self, server: str) -> dict[str, Any] | None:
        """Return a server's secrets."""
        try:
            text = keyring.get_password(_SERVICE, self._entry(server))
            data = None if text is None else json.loads(text)
        except keyring.errors.KeyringError as error:
            raise _locked(error) from error
        except ValueError:
            data = []
        if data is not None and not isinstance(data, dict):
            raise AgentError("the entry in the keychain is damaged. Sign in again: qk login")
        return data

    def write(self, server: str, secrets: dict[str, Any]) -> None:
        """Replace a server's secrets."""
        try:
            keyring.set_password(_SERVICE, self._entry(server), json.dumps(secrets))
        except keyring.errors.KeyringError as error:
            raise _locked(error) from error

    def delete(self, server: str) -> None:
        """Forget a server's secrets."""
        try:
            keyring.delete_password(_SERVICE, self._entry(server))
        except keyring.errors.PasswordDeleteError:
            return
        except keyring.errors.KeyringError as error:
            raise _locked(error) from error


def open_keystore(kind: str, folder: Path) -> Keystore:
    """Return the keystore of a kind that ``choose_kind`` once gave."""
    return KeychainKeystore(folder) if kind == KeychainKeystore.kind else FileKeystore(folder)


def choose_kind(folder: Path) -> str:
    """Return ``keychain`` where a real one works, else ``file``; the setting decides over both.

    Raises:
        UsageError: The setting names no keystore.
        AgentError: The setting asks for a keychain that does not work.
    """
    wanted = os.environ.get(SETTING, "")
    if wanted not in ("", KeychainKeystore.kind, FileKeystore.kind):
        raise UsageError(f"{SETTING}={wanted!r}: expected keychain or file")
    if wanted == FileKeystore.kind:
        return wanted
    works = _is_real() and _works(KeychainKeystore(folder))
    if works:
        return KeychainKeystore.kind
    if wanted:
        raise AgentError(
            f"{SETTING}=keychain, but this machine has no keychain that is open. Unlock it, or "
            f"set {SETTING}=file"
        )
    return FileKeystore.kind


def short_hash(text: str) -> str:
    """Return 12 hex digits that name a server in a file name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_real() -> bool:
    """Tell the keychains of operating systems from keyring's null, failing and plain-text ones."""
    backend = keyring.get_keyring()
    chained = getattr(backend, "backends", None)
    first = next(iter(chained), None) if chained is not None else backend
    return type(first).__module__.removeprefix("keyring.backends.").split(".")[0] in _REAL_BACKENDS


def _works(store: KeychainKeystore) -> bool:
    try:
        store.write(_PROBE, {"probe": 1})
        works = store.read(_PROBE) == {"probe": 1}
        store.delete(_PROBE)
    except AgentError:
        return False
    return works


def _locked(error: Exception) -> AgentError:
    return AgentError(
        f"the keychain does not answer ({type(error).__name__}). Unlock it and try again, or "
        f"sign in anew with {SETTING}=file"
    )
