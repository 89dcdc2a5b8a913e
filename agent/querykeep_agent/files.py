"""Private files of the agent: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from querykeep_agent.errors import AgentError

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter; return it.

    Raises:
        AgentError: It cannot be made, or it was there before and others may enter it. Its mode is
            not changed: it may serve something else as well.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        if os.name == "posix":
            found = path.stat()
            if found.st_uid != os.getuid():
                raise AgentError(
                    f"{path} belongs to another user. Choose a folder of your own with "
                    "QUERYKEEP_AGENT_HOME."
                )
            if found.st_mode & 0o077:
                raise AgentError(
                    f"other users may enter {path}. Close it (chmod 700), or choose another folder "
                    "with QUERYKEEP_AGENT_HOME."
                )
    except OSError as error:
        raise AgentError(
            f"the folder {path} cannot be used: {error.strerror}. Choose another with "
            "QUERYKEEP_AGENT_HOME."
        ) from error
    return path


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step; it is on the disk when this returns.

    Raises:
        AgentError: It cannot be written; the old content stands.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a file's JSON object, None when there is no such file.

    Raises:
        AgentError: It cannot be read, or holds something else.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AgentError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise AgentError(f"{path} is damaged. Move it away and sign in again: qk login")
    return data


def write_json(path: Path, data: object) -> None:
    """Write JSON privately, in one step."""
    write_private(path, json.dumps(data, ensure_ascii=False, indent=1).encode() + b"\n")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[IO[bytes]]:
    """Hold a lock file that all processes of this person share; waits for the one that has it."""
    file = open_lock(path)
    try:
        _lock(file, wait=True)
        yield file
    finally:
        file.close()


def open_lock(path: Path) -> IO[bytes]:
    """Open a lock file without locking it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as error:
        raise AgentError(f"{path} cannot be opened: {error.strerror}") from error
    return os.fdopen(descriptor, "r+b", buffering=0)


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file if nobody has it; it stays locked until it is closed."""
    return _lock(file, wait=False)


if sys.platform == "win32":
    import msvcrt
    import time

    _FAR = 1 << 30  # a byte beyond the content, so that a locked file can still be read

    def _lock(file: IO[bytes], *, wait: bool) -> bool:
        while True:
            file.seek(_FAR)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.05)
            else:
                return True

else:
    import fcntl

    def _lock(file: IO[bytes], *, wait: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
