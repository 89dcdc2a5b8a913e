"""Two real worker processes on one queue: a job runs once at a time, and outlives its worker."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

JOB = "result_store_cleanup"
CHANNEL = "querykeep:jobs"
DEADLINE_S = 120.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


class Installation:
    """A metadata database, a Redis and worker processes of this test's own."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        secret = folder / "api.key"
        secret.write_text(base64.b64encode(os.urandom(32)).decode())
        self.environment = {
            **os.environ,
            "QUERYKEEP_HOME": str(folder),
            "QUERYKEEP_SECRET_FILE": str(secret),
            "QUERYKEEP_DATABASE_URL": database_url,
            "QUERYKEEP_AUDIT_DATABASE_URL": f"sqlite:///{folder}/audit.sqlite3",
            "QUERYKEEP_REDIS_URL": redis_url,
        }
        self.database_url = database_url
        self.redis = redis.Redis.from_url(redis_url)
        self.folder = folder
        self.sqlite = folder / "metadata.sqlite3"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.querykeep("migrate")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "querykeep_api.cli", *arguments]

    def querykeep(self, *arguments: str) -> None:
        subprocess.run(self.command(*arguments), env=self.environment, check=True, timeout=100)

    def start(self, kind: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}-{len(self.workers)}.log").open("wb") as log:
            process = subprocess.Popen(self.command(kind), env=self.environment, stderr=log)
        self.workers.append(process)
        return process

    def sql(self, text: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.sqlite, timeout=30)) as file, file:
                return file.execute(text.replace("%s", "?"), values).fetchall()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description else []

    def send(self, count: int) -> None:
        script = (
            "import django; django.setup()\n"
            "from querykeep_api.config.celery import app\n"
            f"for _ in range({count}):\n"
            f"    app.send_task('querykeep_api.jobs.tasks.run_job', kwargs={{'name': '{JOB}'}})\n"
        )
        environment = {
            **self.environment,
            "DJANGO_SETTINGS_MODULE": "querykeep_api.config.settings",
        }
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=100)

    def runs(self) -> list[tuple[str, str, str, str]]:
        rows = self.sql("SELECT id, state, worker, error FROM jobs_jobrun WHERE job = %s", (JOB,))
        return sorted(rows)

    def report(self, run_id: str) -> None:
        self.sql(
            "INSERT INTO jobs_jobreport (id, run_id, service, ep, at, ok, summary, changes) "
            "VALUES (%s, %s, 'middleware', 'ep-1', CURRENT_TIMESTAMP, %s, 'cleaned', '[]')",
            (f"report-{run_id}"[:26], run_id, True),
        )

    def unfinished(self) -> int:
        return int(self.redis.llen("querykeep")) + int(self.redis.hlen("unacked"))

    def stop(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.terminate()
        for process in self.workers:
            process.wait(30)


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: Any
) -> Iterator[Installation]:
    url = f"sqlite:///{tmp_path}/metadata.sqlite3"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        base = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}"
        name = f"jobs_{os.urandom(4).hex()}"
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = f"{base}/{name}"
    made = Installation(tmp_path, url, redis_server.url)
    made.redis.delete("querykeep", "unacked", "unacked_index")
    yield made
    made.stop()
    made.redis.delete("querykeep", "unacked", "unacked_index")


def alive(installation: Installation, kind: str) -> int:
    rows = installation.sql("SELECT count(*) FROM jobs_processheartbeat WHERE kind = %s", (kind,))
    return int(rows[0][0])


@pytest.mark.timeout(400)
def test_two_workers_race_and_one_runs(installation: Installation) -> None:
    listener = installation.redis.pubsub()
    listener.subscribe(CHANNEL)
    asked: list[str] = []

    def hear() -> list[str]:
        message = listener.get_message(timeout=0.1)
        if message and message["type"] == "message":
            asked.append(json.loads(message["data"])["run_id"])
        return asked

    for _ in range(2):
        installation.start("worker")
    wait_for(lambda: alive(installation, "worker") == 2, "two workers alive")
    installation.send(8)
    wait_for(hear, "the job runs")
    # Seven of the eight messages are done with while the first still runs: they met its lease.
    wait_for(lambda: installation.unfinished() == 1, "the other messages are done with")
    hear()
    runs = installation.runs()
    assert [state for _, state, _, _ in runs] == ["running"]
    assert asked == [runs[0][0]]

    # Its worker is killed: another takes over once the lease has run out, and says so.
    owner = int(runs[0][2].rsplit(":", 1)[1])
    assert owner in {process.pid for process in installation.workers}
    os.kill(owner, signal.SIGKILL)
    next(p for p in installation.workers if p.pid == owner).wait(10)
    installation.send(1)
    wait_for(lambda: installation.redis.llen("querykeep") == 0, "the message is taken")
    installation.sql("UPDATE jobs_joblease SET lease_until = '2001-01-01' WHERE key = %s", (JOB,))
    installation.send(1)
    wait_for(lambda: len(hear()) == 2, "the other worker takes over")
    states = {run_id: (state, error) for run_id, state, _, error in installation.runs()}
    assert states[asked[0]][0] == "failed"
    assert "worker died" in states[asked[0]][1]
    assert states[asked[1]][0] == "running"
    installation.report(asked[1])
    wait_for(
        lambda: {r[0]: r[1] for r in installation.runs()}[asked[1]] == "ok", "the run ends well"
    )
    assert len(installation.runs()) == 2


@pytest.mark.timeout(400)
def test_beat_starts_jobs_and_worker_stops_on_term(installation: Installation) -> None:
    installation.start("worker")
    installation.start("beat")

    def done() -> bool:
        rows = installation.sql("SELECT job FROM jobs_jobrun WHERE state = 'ok'")
        return {"audit_checkpoint", "audit_outbox"} <= {row[0] for row in rows}

    wait_for(done, "beat and worker carry the minute jobs out")
    assert (installation.folder / "checkpoints" / "audit.jsonl").read_text().count("\n") == 1
    assert alive(installation, "beat") == 1
    for process in installation.workers:
        process.terminate()
    assert [process.wait(30) for process in installation.workers] == [0, 0]
