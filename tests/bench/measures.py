"""What a measurement is, and how a process's memory is watched."""

import os
import statistics
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SAMPLE_INTERVAL_S = 0.02
KIB_PER_MB = 1_024


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value on one road. `value` is the median of `rounds`."""

    figure: str
    road: str
    unit: str
    rounds: tuple[float, ...]
    detail: dict[str, object]

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    def as_line(self, others: Sequence["Figure"]) -> dict[str, object]:
        """Return the JSON line, with the ratio to every other road of the same figure."""
        ratios = {
            f"ratio_to_{other.road}": round(self.value / other.value, 4)
            for other in others
            if other.road != self.road and other.value
        }
        return {
            "figure": self.figure,
            **self.detail,
            "road": self.road,
            "value": round(self.value, 4),
            "unit": self.unit,
            "rounds": [round(value, 4) for value in self.rounds],
            **ratios,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    seconds: int
    rounds: int


class MemoryUse:
    """The most memory a process held above what it held at first. `peak_mb` is final at the end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._idle = self._resident_mb()
        self.peak_mb = 0.0

    def sample(self) -> None:
        """Look once."""
        self.peak_mb = max(self.peak_mb, self._resident_mb() - self._idle)

    def now_mb(self) -> float:
        """Return how much it holds above what it held at first."""
        return self._resident_mb() - self._idle

    def _resident_mb(self) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / KIB_PER_MB


def processor_time_s(pid: int) -> float:
    """Return the processor time that a process has used, its threads included."""
    status = Path(f"/proc/{pid}/stat").read_text()
    fields = status[status.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def memory_above_idle(pid: int) -> Iterator[MemoryUse]:
    """Watch a process while something runs."""
    use, ended = MemoryUse(pid), threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_INTERVAL_S):
            use.sample()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield use
    finally:
        ended.set()
        thread.join()
