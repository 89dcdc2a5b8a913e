"""Envelope encryption: bound to its row, rotated by key id, never readable without the root key."""

from __future__ import annotations

import base64
import dataclasses
import secrets
from pathlib import Path
from typing import Any

import pytest

from querykeep_api.config.roots import RootKeyError
from querykeep_api.kernel.secrets import SealError, is_sealed_by_current, seal, unseal


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "root.key"
    path.write_text(new_key())
    settings.QUERYKEEP = dataclasses.replace(settings.QUERYKEEP, secret_file=path)
    return path


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode() + "\n"


def test_round_trip_and_fresh_each_time(root: Path) -> None:
    first, second = seal("비밀", "row:1"), seal("비밀", "row:1")
    assert unseal(first, "row:1") == unseal(second, "row:1") == "비밀"
    assert first != second
    assert "비밀" not in first
    assert seal("", "row:1") == ""


def test_a_sealed_value_does_not_open_in_another_row(root: Path) -> None:
    with pytest.raises(SealError, match="row:2"):
        unseal(seal("x", "row:1"), "row:2")


def test_changed_bytes_do_not_open(root: Path) -> None:
    sealed = seal("x", "row:1")
    at = sealed.index('"data":"') + 30
    changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    with pytest.raises(SealError):
        unseal(changed, "row:1")


def test_rotation_keeps_the_older_key_on_a_further_line(root: Path) -> None:
    sealed, old = seal("x", "row:1"), root.read_text()
    root.write_text(new_key() + old)
    assert unseal(sealed, "row:1") == "x"
    assert not is_sealed_by_current(sealed)
    assert is_sealed_by_current(seal("x", "row:1"))
    root.write_text(new_key() + "\n")
    with pytest.raises(SealError, match="QUERYKEEP_SECRET_FILE"):
        unseal(sealed, "row:1")


@pytest.mark.parametrize("content", ["", "not base64!\n", "AAAA\n"])
def test_a_bad_root_key_names_the_setting(root: Path, content: str) -> None:
    root.write_text(content)
    with pytest.raises(RootKeyError, match="QUERYKEEP_SECRET_FILE"):
        seal("x", "row:1")
    root.unlink()
    with pytest.raises(RootKeyError, match="QUERYKEEP_SECRET_FILE"):
        seal("x", "row:1")
