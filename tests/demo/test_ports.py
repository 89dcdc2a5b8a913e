"""Ports are the documented ones, move when taken, and stay as they were chosen."""

from dataclasses import asdict
from pathlib import Path

import pytest

from querykeep_demo.ports import CONNECTIONS_SPAN, Ports
from querykeep_demo.processes import ProcessError


def every_port(ports: Ports) -> list[int]:
    single = [port for name, port in asdict(ports).items() if name != "connections"]
    return [*single, *range(ports.connections, ports.connections + CONNECTIONS_SPAN)]


def test_documented_ports_when_all_are_free() -> None:
    ports = Ports.choose(lambda _port: True)
    assert (ports.web, ports.agent_signin, ports.api, ports.tool) == (8888, 6000, 8080, 3000)
    assert (ports.establish, ports.data, ports.connections) == (8000, 9000, 40000)
    assert ports.last_connection == 40010


def test_taken_port_moves_to_the_next_free_one() -> None:
    ports = Ports.choose(lambda port: port not in {8888, 8889, 6000})
    assert ports.web == 8890
    assert ports.agent_signin == 6001
    assert ports.api == 8080


def test_moved_port_does_not_take_a_documented_one_of_another() -> None:
    ports = Ports.choose(lambda port: port != 8080)
    assert ports.internal == 8081
    assert ports.api == 8082


def test_range_of_connections_moves_as_a_whole() -> None:
    ports = Ports.choose(lambda port: port != 40003)
    assert ports.connections == 40000 + CONNECTIONS_SPAN


@pytest.mark.parametrize("seed", range(20))
def test_ports_never_meet(seed: int) -> None:
    ports = Ports.choose(lambda port: hash((port, seed)) % 3 != 0 or port > 41_000)
    numbers = every_port(ports)
    assert len(set(numbers)) == len(numbers)


def test_two_checkouts_side_by_side_share_no_port() -> None:
    first = Ports.choose(lambda _port: True)
    second = Ports.choose(lambda port: port not in every_port(first))
    assert not set(every_port(first)) & set(every_port(second))


def test_no_free_port_is_an_error_that_names_it() -> None:
    with pytest.raises(ProcessError, match="no free port for web from 8888 on"):
        Ports.choose(lambda _port: False)


def test_choice_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    assert Ports.read(path) is None
    chosen = Ports.choose(lambda port: port != 3000)
    chosen.write(path)
    assert Ports.read(path) == chosen


@pytest.mark.parametrize("content", ["", "{}", '{"web": 0}', "[1]"])
def test_edited_file_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(content)
    with pytest.raises(ProcessError, match=r"ports\.json cannot be read"):
        Ports.read(path)
