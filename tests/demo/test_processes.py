"""Detached processes are found again, never mistaken for others, and ended whole."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from querykeep_demo.processes import (
    ProcessError,
    ProcessIdentity,
    end_session,
    log_tail,
    running,
    start_detached,
    stop,
    wait_for,
)

SLEEPER = (sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")
DEAF = (
    sys.executable,
    "-c",
    "import signal\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "while True: signal.pause()",
)
PARENT = (
    sys.executable,
    "-c",
    "import subprocess, sys, signal\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print(child.pid, flush=True)\n"
    "signal.pause()",
)


def start(folder: Path, command: tuple[str, ...] = SLEEPER) -> ProcessIdentity:
    """Start a process in the folder and wait for its first line."""
    identity = start_detached(command, log_file=folder / "log", pid_file=folder / "pid", cwd=folder)
    assert wait_for(lambda: (folder / "log").read_bytes() != b"", timeout_s=20)
    return identity


def test_process_is_found_by_its_pid_file_and_ended(tmp_path: Path) -> None:
    identity = start(tmp_path)
    assert running(tmp_path / "pid") == identity
    assert os.getsid(identity.pid) == identity.pid
    assert stop(identity, timeout_s=20) is True
    assert running(tmp_path / "pid") is None
    assert stop(identity, timeout_s=20) is True  # twice does no harm


def test_pid_of_another_process_is_not_taken_for_ours(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    try:
        identity = ProcessIdentity.of(stranger.pid)
        assert identity is not None
        for other in (
            replace(identity, start_ticks=identity.start_ticks - 1),
            replace(identity, boot_id="another boot"),
        ):
            other.write(tmp_path / "pid")
            assert running(tmp_path / "pid") is None
            assert stop(other, timeout_s=1) is True
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    identity = ProcessIdentity.of(child.pid)
    assert identity is not None
    child.kill()
    assert wait_for(lambda: not identity.is_running(), timeout_s=20)
    child.wait()


@pytest.mark.parametrize("content", ["", "123", "{}", '{"pid": "x"}', "\x00"])
def test_damaged_pid_file_names_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert running(tmp_path / "pid") is None


def test_deaf_process_is_killed_after_the_deadline(tmp_path: Path) -> None:
    identity = start(tmp_path, DEAF)
    assert stop(identity, timeout_s=0.2) is False
    assert not identity.is_running()


def test_children_of_a_killed_process_are_ended(tmp_path: Path) -> None:
    identity = start(tmp_path, PARENT)
    child = ProcessIdentity.of(int((tmp_path / "log").read_text()))
    assert child is not None
    os.kill(identity.pid, signal.SIGKILL)
    assert wait_for(lambda: not identity.is_running(), timeout_s=20)
    assert child.is_running()
    end_session(identity, cwd=tmp_path / "elsewhere", timeout_s=0.1)
    assert child.is_running()  # works in another folder: not ours
    end_session(identity, cwd=tmp_path.resolve(), timeout_s=20)
    assert not child.is_running()


def test_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="/nowhere/program cannot be started"):
        start_detached(["/nowhere/program"], log_file=tmp_path / "log", pid_file=tmp_path / "pid")


def test_no_pipe_of_the_caller_is_held_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    identity = start(tmp_path)
    try:
        os.close(writer)
        assert os.read(reader, 1) == b""  # end of file: nobody else holds the other end
    finally:
        os.close(reader)
        stop(identity, timeout_s=20)


def test_log_tail_is_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "no log at" in log_tail(log)
    log.write_text("")
    assert "nothing in" in log_tail(log)
    log.write_text("".join(f"line {number}\n" for number in range(1_000)))
    assert log_tail(log, limit_bytes=25) == "line 998\nline 999"
