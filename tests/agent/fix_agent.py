"""The agent against the whole demo system: `qk` as a process, and a person at the web UI."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fix_system import System

PROGRAM = Path(sys.executable).parent / "qk"
DEADLINE_S = 60


class Person:
    """Somebody signed in to the web UI, as a browser does it."""

    def __init__(self, system: System, username: str) -> None:
        self._web = system.web
        self.client = httpx.Client(base_url=system.web, trust_env=False, timeout=DEADLINE_S)
        account = system.accounts[username]
        answer = self.post("auth/sign-in", username=username, password=account.password)
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        self.client.close()

    def post(self, path: str, **body: str) -> httpx.Response:
        token = self.client.get("/api/v1/auth/csrf").json()["token"]
        headers = {"X-CSRFToken": token, "Origin": self._web}
        return self.client.post(f"/api/v1/{path}", json=body, headers=headers)

    def delete(self, path: str) -> httpx.Response:
        token = self.client.get("/api/v1/auth/csrf").json()["token"]
        headers = {"X-CSRFToken": token, "Origin": self._web}
        return self.client.delete(f"/api/v1/{path}", headers=headers)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/api/v1/{path}")

    def confirm(self, login_id: str) -> str:
        """Confirm an agent; return where the browser is sent ("" for a device)."""
        answer = self.post(f"agent-logins/{login_id}/confirm")
        assert answer.status_code == 200, answer.text
        return answer.json()["redirect"]


class Running:
    """A `qk` that runs; its lines can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (process.stdout, process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream) -> None:
        with stream:
            for line in stream:
                self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of a pattern in what it has said or will say."""
        ended = 0
        for line in self.lines:
            if found := re.search(pattern, line):
                return found
        while ended < 2:
            fresh = self._queue.get(timeout=DEADLINE_S)
            if fresh is None:
                ended += 1
                continue
            self.lines.append(fresh)
            if found := re.search(pattern, fresh):
                return found
        raise AssertionError(f"{pattern!r} does not stand in:\n{''.join(self.lines)}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit code and everything it said."""
        code = self.process.wait(DEADLINE_S)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        while not self._queue.empty():
            line = self._queue.get()
            if line is not None:
                self.lines.append(line)
        return code, "".join(self.lines)


@dataclass
class Qk:
    """`qk` with a home of its own."""

    system: System
    home: Path
    stack: contextlib.ExitStack
    username: str = ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "BROWSER"}
        return {
            **kept,
            "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home.parent),
            "QUERYKEEP_AGENT_HOME": str(self.home),
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def json(self, *arguments: str):
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> Running:
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(_stop, process)
        return Running(process)

    def begin_login(self, *arguments: str) -> tuple[Running, str]:
        """Start a login; return it with its login id."""
        running = self.start("login", "--server", self.system.agent_signin, *arguments)
        login = running.wait_for(r"/agent/confirm\?login=([0-9a-f]{32})")
        return running, login[1]

    def login(self, person: Person) -> None:
        """Sign in through the browser, the person being the browser."""
        running, login_id = self.begin_login()
        page = follow(person.confirm(login_id))
        code, said = running.end()
        assert (code, page.status_code) == (0, 200), said

    def secrets(self) -> dict[str, Any]:
        """Return the stored secrets."""
        (file,) = self.home.glob("secrets-*.json")
        return json.loads(file.read_text())

    def tokens(self) -> dict[str, str]:
        return self.secrets()["tokens"]


def follow(redirect: str, language: str = "en") -> httpx.Response:
    """Go where the browser is sent."""
    headers = {"Accept-Language": language}
    return httpx.get(redirect, headers=headers, trust_env=False, timeout=DEADLINE_S)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture
def make_qk(system: System, tmp_path: Path) -> Iterator[Callable[[str], Qk]]:
    """Make a `qk` with a new home under a name."""
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Qk:
            folder = tmp_path / name
            folder.mkdir()
            return Qk(system, folder / "agent", stack)

        yield make


@pytest.fixture
def qk(make_qk: Callable[[str], Qk]) -> Qk:
    """A `qk` that is not signed in."""
    return make_qk("machine")


@pytest.fixture
def analyst(system: System) -> Iterator[Person]:
    """The analyst at the web UI."""
    with contextlib.closing(Person(system, "analyst")) as person:
        yield person


@pytest.fixture
def signed_in(qk: Qk, analyst: Person) -> Qk:
    """A `qk` that the analyst signed in with."""
    qk.login(analyst)
    return qk
