"""One run at a time: a row per job, taken by one conditional UPDATE, renewed while the run lives.

A lease in Redis could vanish with Redis; this row is in the database that all workers share, and
the time is the database's own, so that clocks of workers do not matter. A worker that is killed
stops renewing; after ``LEASE_S`` another takes over, and the dead run is marked.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType

import structlog
from django.db import DatabaseError, connections
from django.db.models import Q
from django.db.models.functions import Now

from querykeep_api.jobs.models import JobLease, JobRun, RunState
from querykeep_api.kernel import clock
from querykeep_api.kernel.ids import new_id

LEASE_S = 60.0
_RENEWALS_PER_LEASE = 4
DIED = "Its worker died or lost the database; another took over."

log = structlog.get_logger(__name__)


class LeaseLostError(RuntimeError):
    """Another worker runs this job by now; this run must stop without another step."""


class BusyError(RuntimeError):
    """The job is running already."""


class Lease:
    """A job's lease, held within ``with``.

    Raises:
        BusyError: On entering, when another run holds it.
    """

    def __init__(self, key: str, run_id: str, *, lease_s: float = LEASE_S) -> None:
        self.key = key
        self._run_id = run_id
        self._owner = new_id()
        self._lease_s = lease_s
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {key}", daemon=True)

    def __enter__(self) -> Lease:
        JobLease.objects.bulk_create([JobLease(key=self.key)], ignore_conflicts=True)
        before = JobLease.objects.filter(key=self.key).values_list("run_id", flat=True).first()
        free = Q(owner="") | Q(lease_until__lt=Now())
        taken = JobLease.objects.filter(free, key=self.key).update(
            owner=self._owner, run_id=self._run_id, lease_until=self._until()
        )
        if not taken:
            raise BusyError(f"job {self.key} is running already")
        if before and before != self._run_id:
            JobRun.objects.filter(pk=before, state=RunState.RUNNING).update(
                state=RunState.FAILED, error=DIED, finished_at=clock.now()
            )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        JobLease.objects.filter(key=self.key, owner=self._owner).update(owner="", lease_until=None)

    def check(self) -> None:
        """Raise LeaseLostError when the lease is not ours any more."""
        if self._lost.is_set():
            raise LeaseLostError(f"job {self.key}: {DIED}")

    def holds(self) -> bool:
        """Ask the database whether the lease is still ours."""
        return JobLease.objects.filter(key=self.key, owner=self._owner).exists()

    def _until(self) -> object:
        return Now() + timedelta(seconds=self._lease_s)

    def _renew(self) -> None:
        renewed_at = time.monotonic()
        while not self._done.wait(self._lease_s / _RENEWALS_PER_LEASE):
            try:
                rows = JobLease.objects.filter(key=self.key, owner=self._owner)
                if not rows.update(lease_until=self._until()):
                    self._lost.set()
                    break
                renewed_at = time.monotonic()
            except DatabaseError as error:
                log.warning("lease not renewed", job=self.key, error=str(error))
                connections.close_all()
                if time.monotonic() - renewed_at > self._lease_s * 0.8:
                    self._lost.set()
                    break
        connections.close_all()


def is_busy(key: str) -> bool:
    """Return whether a live run holds this lease."""
    return JobLease.objects.filter(key=key, lease_until__gte=Now()).exclude(owner="").exists()
