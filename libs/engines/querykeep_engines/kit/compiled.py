"""Compiled twins: the same function twice, in Python and in Cython.

The Python twin is the specification, what runs where there is no compiler, and what the compiled
one is compared with on random input. An engine's compiled twins stand in its ``_fast`` folder;
``fast_build.py`` beside this package compiles them. ``QUERYKEEP_PURE_PYTHON=1`` leaves them out.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType


def compiled(name: str) -> ModuleType | None:
    """Return the compiled module of that full name, or None where the Python twin is to run.

    Raises:
        ImportError: It is there but cannot be loaded: that is no reason to go on without.
    """
    if os.environ.get("QUERYKEEP_PURE_PYTHON", "") not in ("", "0"):
        return None
    if importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name)
