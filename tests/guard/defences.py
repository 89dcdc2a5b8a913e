"""The mutation check: each defence is switched off in turn, and something must notice.

A defence is a place in the code (an attribute that a test may replace). An engine lists its own;
the shared ones are here. A defence that nothing misses when it is gone is not tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from querykeep_guard.policy import masks
from querykeep_guard.sql.facts import ColumnRole

Off = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Defence:
    """Something that keeps a hidden value hidden, and how to switch it off."""

    name: str
    off: Off


@contextmanager
def switched_off(defence: Defence) -> Iterator[None]:
    """Run a block without a defence."""
    with pytest.MonkeyPatch.context() as patch:
        defence.off(patch)
        yield


def replaced(owner: Any, attribute: str, value: Any) -> Off:
    """Return how to put another value in place of an attribute."""

    def off(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, attribute, value)

    return off


def without_item(owner: Any, attribute: str, item: Any) -> Off:
    """Return how to take one item out of a set, tuple or dict of constants."""

    def off(patch: pytest.MonkeyPatch) -> None:
        whole = getattr(owner, attribute)
        assert item in whole, f"{attribute} has no {item!r}: the list of defences is out of date"
        if isinstance(whole, dict):
            patch.setattr(owner, attribute, {k: v for k, v in whole.items() if k != item})
        else:
            patch.setattr(owner, attribute, type(whole)(x for x in whole if x != item))

    return off


def _blind_to(role: ColumnRole) -> Off:
    """Return how to make the guard overlook a masked column in one role."""

    def off(patch: pytest.MonkeyPatch) -> None:
        check = masks._check_use

        def blind(use: Any, *rest: Any) -> None:
            if use.role is not role:
                check(use, *rest)

        patch.setattr(masks, "_check_use", blind)

    return off


SHARED = (
    *(
        Defence(f"masked columns in the role {role.value}", _blind_to(role))
        for role in ColumnRole
        if role is not ColumnRole.PROJECTED
    ),
    Defence("masks on output columns", replaced(masks, "_mask_output", lambda *_args: None)),
    Defence("whole kinds of statement", replaced(masks, "_check_kind", lambda *_args: None)),
    Defence("the mask written back", replaced(masks, "_check_placeholders", lambda *_args: None)),
    Defence(
        "an expression hides whole",
        replaced(masks, "_effective_masker", lambda _output, masking: masking[0].masker),
    ),
)
"""Defences of ``policy/masks.py``, which every engine's cases must miss when they are gone."""
