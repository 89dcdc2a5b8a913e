"""The book of ports that this user's installations hold, so that no two choose the same ones.

Looking for a free port and listening on it later is a race: two checkouts whose first `make run`
start at the same moment would both find 8888 free. So ports are chosen under a lock, and each
choice is written down before the lock is left. An entry counts while its installation is alive: it
is just being started, or any of its services runs. Ports of a stopped installation are free to
others (its next start says so when they are taken).

Programs that know nothing of the book can still take a port in between; for those the supervisor
chooses again at a first run.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from querykeep_demo.ports import Ports
from querykeep_demo.processes import ProcessError, ProcessIdentity, running


class PortBook:
    """The ports of all installations of one user on this machine; every method takes the lock."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or (
            Path(tempfile.gettempdir()) / f"querykeep-installations-{os.getuid()}"
        )

    def choose(
        self, identity: str, home: Path, is_free: Callable[[int], bool], *, wanted: Ports
    ) -> Ports:
        """Choose ports that are free and nobody else's, keep them in the home folder and the book.

        Raises:
            ProcessError: No port above a wanted one is free, or the book is not ours to write.
        """
        with self._lock():
            held = self._held_by_others(identity)
            ports = Ports.choose(lambda port: port not in held and is_free(port), wanted=wanted)
            ports.write(home / "ports.json")
            self._write(identity, home, ports)
            return ports

    def enter(self, identity: str, home: Path, ports: Ports) -> None:
        """Write down what an installation holds that this process is about to start."""
        with self._lock():
            self._write(identity, home, ports)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # The folder's name is known to everybody on the machine.
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ProcessError(f"{self._folder} belongs to somebody else: remove it, or set TMPDIR")
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, identity: str, home: Path, ports: Ports) -> None:
        starter = ProcessIdentity.of(os.getpid())
        entry = {
            "home": str(home),
            "ports": asdict(ports),
            "starter": asdict(starter) if starter else None,
        }
        path = self._folder / f"{identity}.json"
        path.with_suffix(".new").write_text(json.dumps(entry))
        path.with_suffix(".new").replace(path)

    def _held_by_others(self, identity: str) -> set[int]:
        held: set[int] = set()
        for path in self._folder.glob("*.json"):
            if path.stem == identity:
                continue
            try:
                entry = json.loads(path.read_text())
                home, ports = Path(entry["home"]), Ports(**entry["ports"])
                starter = ProcessIdentity(**entry["starter"]) if entry["starter"] else None
            except (ValueError, TypeError, KeyError):
                path.unlink(missing_ok=True)
                continue
            if not (home / "ports.json").exists():
                path.unlink(missing_ok=True)
            elif (starter and starter.is_running()) or any(
                running(pid_file) for pid_file in (home / "pid").glob("*.json")
            ):
                held |= ports.all()
        return held
