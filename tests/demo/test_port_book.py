"""No two living installations hold the same port, however close to each other they start."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from querykeep_demo.port_book import PortBook
from querykeep_demo.ports import Ports
from querykeep_demo.processes import ProcessError, ProcessIdentity


def always_free(_port: int) -> bool:
    return True


def make_home(path: Path) -> Path:
    (path / "pid").mkdir(parents=True)
    return path


def test_installations_that_start_at_once_share_no_port(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "book")
    homes = [make_home(tmp_path / name) for name in ("one", "two", "three", "four")]
    with ThreadPoolExecutor() as pool:
        chosen = list(
            pool.map(lambda home: book.choose(home.name, home, always_free, wanted=Ports()), homes)
        )
    numbers = [port for ports in chosen for port in ports.all()]
    assert len(set(numbers)) == len(numbers)
    assert [Ports.read(home / "ports.json") for home in homes] == chosen


def entry_by_a_process_that_ended(book: Path, home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from querykeep_demo.port_book import PortBook;"
        "from querykeep_demo.ports import Ports;"
        "PortBook(Path(sys.argv[1])).choose('one', Path(sys.argv[2]), lambda _: True,"
        " wanted=Ports())"
    )
    subprocess.run([sys.executable, "-c", program, book, home], check=True)


def test_stopped_installation_gives_its_ports_back(tmp_path: Path) -> None:
    entry_by_a_process_that_ended(tmp_path / "book", make_home(tmp_path / "one"))
    book, two = PortBook(tmp_path / "book"), make_home(tmp_path / "two")
    assert book.choose("two", two, always_free, wanted=Ports()) == Ports()


def test_installation_whose_services_run_keeps_its_ports(tmp_path: Path) -> None:
    one = make_home(tmp_path / "one")
    entry_by_a_process_that_ended(tmp_path / "book", one)
    service = ProcessIdentity.of(os.getpid())
    assert service is not None
    service.write(one / "pid/api.json")
    book, two = PortBook(tmp_path / "book"), make_home(tmp_path / "two")
    chosen = book.choose("two", two, always_free, wanted=Ports())
    assert not chosen.all() & Ports().all()


def test_deleted_installation_and_damaged_entry_are_forgotten(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "book")
    book.choose("one", make_home(tmp_path / "one"), always_free, wanted=Ports())
    (tmp_path / "one/ports.json").unlink()
    (tmp_path / "book/other.json").write_text("{")
    two = make_home(tmp_path / "two")
    assert book.choose("two", two, always_free, wanted=Ports()) == Ports()
    assert {path.stem for path in (tmp_path / "book").glob("*.json")} == {"two"}


def test_only_what_is_taken_moves_from_what_was_wanted(tmp_path: Path) -> None:
    book, home = PortBook(tmp_path / "book"), make_home(tmp_path / "one")
    first = book.choose("one", home, always_free, wanted=Ports(web=20_000, api=20_100))
    again = book.choose("one", home, lambda port: port != 20_000, wanted=first)
    assert (again.web, again.api) == (20_001, 20_100)
    assert json.loads((home / "ports.json").read_text())["web"] == 20_001


def test_book_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "book").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProcessError, match="belongs to somebody else"):
        PortBook(tmp_path / "book").enter("one", tmp_path, Ports())
