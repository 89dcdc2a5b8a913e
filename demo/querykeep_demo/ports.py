"""The ports of one installation: the documented ones, or the next free ones when those are taken.

Chosen once, at the first run, and kept; people bookmark them and tools are configured with them.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from querykeep_demo.processes import ProcessError

CONNECTIONS_SPAN = 11  # one port per connection: 40000–40010
HIGHEST_PORT = 65_535


class PortTakenError(ProcessError):
    """Another program holds a port; at a first run the supervisor chooses again."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port that `make run` listens on, with its documented value as default.

    `connections` is the first of `CONNECTIONS_SPAN` consecutive ports.
    """

    web: int = 8888
    agent_signin: int = 6000
    api: int = 8080
    internal: int = 8081
    tool: int = 3000
    establish: int = 8000
    data: int = 9000
    proxy_health: int = 3001
    connections: int = 40000
    redis: int = 6380
    postgresql: int = 5433
    mariadb: int = 3307

    @property
    def last_connection(self) -> int:
        """Last port of the range for connections."""
        return self.connections + CONNECTIONS_SPAN - 1

    def all(self) -> set[int]:
        """Return every port, the range of connections written out."""
        return _spread(asdict(self))

    @classmethod
    def choose(cls, is_free: Callable[[int], bool], *, wanted: Self | None = None) -> Self:
        """Take each wanted port, or the next one that is free and nobody else's here.

        Args:
            is_free: Whether this installation may listen on a port.
            wanted: Where to look first; None for the documented ports.

        Raises:
            ProcessError: No port above the wanted one is free.
        """
        start = wanted or cls()
        chosen: dict[str, int] = {}
        for name, first in asdict(start).items():
            span = CONNECTIONS_SPAN if name == "connections" else 1
            others = _all_of(start, without=name) | _spread(chosen)
            port = first
            # The range moves as a whole: a neighbour that holds two of its ports wants the rest.
            while not all(
                candidate not in others and is_free(candidate)
                for candidate in range(port, port + span)
            ):
                port += span
                if port + span - 1 > HIGHEST_PORT:
                    raise ProcessError(f"no free port for {name} from {first} on")
            chosen[name] = port
        return cls(**chosen)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the ports kept at an earlier run, None when there was none.

        Raises:
            ProcessError: The file was edited into something else; it names what is wrong.
        """
        if not path.exists():
            return None
        try:
            kept = json.loads(path.read_text())
            return cls(**{field.name: _port(field.name, kept) for field in fields(cls)})
        except (ValueError, TypeError, KeyError) as error:
            raise ProcessError(
                f"{path} cannot be read: {error!r}; `make reset` starts anew"
            ) from error

    def write(self, path: Path) -> None:
        """Keep the ports for the next runs."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def _port(name: str, kept: dict[str, object]) -> int:
    value = kept[name]
    if not isinstance(value, int) or not 1 <= value <= HIGHEST_PORT:
        raise ValueError(f"{name} is {value!r}, not a port")
    return value


def _all_of(ports: Ports, *, without: str) -> set[int]:
    return _spread({name: port for name, port in asdict(ports).items() if name != without})


def _spread(ports: dict[str, int]) -> set[int]:
    """Return the single ports, the connections' range written out."""
    single = {port for name, port in ports.items() if name != "connections"}
    if "connections" in ports:
        single |= set(range(ports["connections"], ports["connections"] + CONNECTIONS_SPAN))
    return single
