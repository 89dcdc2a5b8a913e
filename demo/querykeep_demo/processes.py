"""Detached processes that outlive the command that started them, found again by pid and start time.

A pid alone is not an identity: after a crash or a restart of the machine another process may carry
it. A pid file therefore names the pid, the kernel's start time of that process and the boot, and a
process counts as ours only while all three agree. Nothing here ends a process that is not proven to
be ours.

Linux only: start times come from `/proc/<pid>/stat` (proc(5), field 22).
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOG_TAIL_BYTES = 4_000
POLL_INTERVAL_S = 0.05


class ProcessError(Exception):
    """A process could not be started, made ready or ended; the text says what to do."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of this boot, distinguishable from a later one with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of a running process, None when there is none (or only a zombie)."""
        start_ticks = _start_ticks(pid)
        if start_ticks is None:
            return None
        return cls(pid=pid, start_ticks=start_ticks, boot_id=_boot_id())

    def is_running(self) -> bool:
        """Return whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def write(self, path: Path) -> None:
        """Write the identity to a pid file, in one step so that a reader never sees half of it."""
        new_path = path.with_name(path.name + ".new")
        new_path.write_text(
            json.dumps({"pid": self.pid, "start_ticks": self.start_ticks, "boot_id": self.boot_id})
            + "\n"
        )
        new_path.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a pid file; None when it is missing or not one of ours."""
        try:
            fields = json.loads(path.read_text())
            return cls(
                pid=int(fields["pid"]),
                start_ticks=int(fields["start_ticks"]),
                boot_id=str(fields["boot_id"]),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def running(pid_file: Path) -> ProcessIdentity | None:
    """Return the process that a pid file names when it still runs, else None."""
    identity = ProcessIdentity.read(pid_file)
    return identity if identity is not None and identity.is_running() else None


def start_detached(
    command: Sequence[str],
    *,
    log_file: Path,
    pid_file: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> ProcessIdentity:
    """Start a process in its own session, output to a log file, without inherited pipes.

    Args:
        command: Program and arguments.
        log_file: Appended to; standard output and error.
        pid_file: Where the identity is kept.
        env: The whole environment, None for this process's own.
        cwd: Working folder, None for this process's own.

    Raises:
        ProcessError: The program is missing, or it ended before its identity could be read.
    """
    with log_file.open("ab") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            raise ProcessError(f"{command[0]} cannot be started: {error}") from error
    identity = ProcessIdentity.of(process.pid)
    # The process is meant to outlive this object: from here on it is known by its identity alone,
    # and is_running/reap look after it. Popen would warn when collected.
    process.returncode = 0
    if identity is None:
        reap(process.pid)
        raise ProcessError(f"{command[0]} ended at once:\n{log_tail(log_file)}")
    identity.write(pid_file)
    return identity


def stop(
    identity: ProcessIdentity, *, timeout_s: float, first_signal: signal.Signals = signal.SIGTERM
) -> bool:
    """End a process and wait for it; SIGKILL to its whole group after the deadline.

    Returns:
        True when it ended by itself after the first signal, False when it had to be killed.

    Raises:
        ProcessError: It still runs five seconds after SIGKILL.
    """
    if not _signal(identity, first_signal):
        return True
    if wait_for(lambda: not _is_there(identity), timeout_s=timeout_s):
        return True
    _signal_group(identity, signal.SIGKILL)
    if not wait_for(lambda: not _is_there(identity), timeout_s=5.0):
        raise ProcessError(f"process {identity.pid} does not end, not even by SIGKILL")
    return False


def end_session(identity: ProcessIdentity, *, cwd: Path, timeout_s: float) -> None:
    """End what is left of the session of a process that is gone itself (children of a killed one).

    Only members that still work in the folder where the process was started are ours: once a
    session is empty, its number may come back as somebody else's.
    """
    if identity.boot_id != _boot_id() or identity.is_running():
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _session_members(identity.pid, cwd):
            _kill(pid, number)
        if wait_for(lambda: not _session_members(identity.pid, cwd), timeout_s=timeout_s):
            return


def wait_for(
    condition: Callable[[], bool], *, timeout_s: float, interval_s: float = POLL_INTERVAL_S
) -> bool:
    """Poll a condition until it holds; False when the deadline passed first."""
    deadline = time.monotonic() + timeout_s
    while True:
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        # An empty select is a sleep that a signal handler can end early.
        select.select([], [], [], interval_s)


def log_tail(log_file: Path, *, limit_bytes: int = LOG_TAIL_BYTES) -> str:
    """Return the last whole lines of a log file; a short sentence when there is nothing to show."""
    try:
        with log_file.open("rb") as log:
            log.seek(0, os.SEEK_END)
            size = log.tell()
            log.seek(max(0, size - limit_bytes))
            tail = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return f"(no log at {log_file})"
    if size > limit_bytes:
        tail = tail.partition("\n")[2]
    return tail.rstrip() or f"(nothing in {log_file})"


def reap(pid: int) -> None:
    """Collect a dead child of ours, so that no zombie stays; other processes are left alone."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _is_there(identity: ProcessIdentity) -> bool:
    reap(identity.pid)
    return identity.is_running()


def _signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal through a pidfd, so that a pid reused in between is never hit; False when gone."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not _is_there(identity):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _signal_group(identity: ProcessIdentity, number: signal.Signals) -> None:
    """Send a signal to the session that `start_detached` made for the process."""
    if not _is_there(identity):
        return
    try:
        if os.getpgid(identity.pid) == identity.pid:
            os.killpg(identity.pid, number)
        else:
            os.kill(identity.pid, number)
    except ProcessLookupError:
        return


def _session_members(session: int, cwd: Path) -> list[int]:
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    members = [pid for pid in pids if (stat := _stat(pid)) is not None and int(stat[3]) == session]
    return [pid for pid in members if _works_in(pid, cwd)]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _start_ticks(pid: int) -> int | None:
    stat = _stat(pid)
    return None if stat is None else int(stat[19])


def _stat(pid: int) -> list[str] | None:
    """Return proc(5)'s stat fields from the third (state) on, None for a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
