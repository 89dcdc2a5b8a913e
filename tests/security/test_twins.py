"""Noninterference: what a person with masks can observe is the same in both worlds."""

from __future__ import annotations

import pytest
from tests.fix_system import DemoConnection, System
from tests.security.corpus import statements, tricks
from tests.security.twins import twins

ENGINES = {"postgresql": "postgresql", "mysql": "mariadb"}


def shop_of(system: System, engine: str) -> DemoConnection:
    return system.postgresql if engine == "postgresql" else system.mariadb


@pytest.mark.timeout(240)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_no_trick_tells_the_worlds_apart(system: System, engine: str) -> None:
    road = "simple" if engine == "postgresql" else "text"
    texts = tricks(engine)
    with twins(shop_of(system, engine), "developer", road) as pair:
        told, _ = pair.differences(texts)
    assert pair.ran == len(set(texts))
    assert not told, "\n".join(map(str, told))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("user", ["analyst", "developer"])
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_no_statement_on_any_road_tells_the_worlds_apart(
    system: System, engine: str, user: str
) -> None:
    with twins(shop_of(system, engine), user) as pair:
        told, _ = pair.differences(statements(engine, random_queries=400))
    assert not told, "\n".join(map(str, told))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_the_twins_do_differ_for_whom_no_mask_binds(system: System, engine: str) -> None:
    """Without this the tests above could not fail."""
    road = "simple" if engine == "postgresql" else "text"
    with twins(shop_of(system, engine), "dba", road) as pair:
        told, _ = pair.differences(
            [
                "SELECT email FROM customers WHERE id = 1",
                "SELECT count(*) FROM payroll",
                "SELECT id FROM customers WHERE rrn = '!' ORDER BY id",
            ]
        )
    assert len(told) == 3
