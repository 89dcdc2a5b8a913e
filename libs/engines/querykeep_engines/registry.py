"""Finds engines: each folder beside this file with a ``spec.py`` is one.

A folder's ``spec.py`` holds ``SPECS`` (one per flavour); its ``engine.py`` holds ``load(spec)``,
which returns the Engine. Adding an engine is adding a folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import querykeep_engines
from querykeep_engines.kit.engine import Engine
from querykeep_engines.kit.spec import EngineSpec

_NOT_ENGINES = frozenset({"kit", "registry"})


class UnknownEngineError(LookupError):
    """No engine of that name is installed; the text lists those that are."""


@cache
def specs() -> dict[str, EngineSpec]:
    """Return every installed engine's description by name, sorted."""
    found: dict[str, EngineSpec] = {}
    for module in pkgutil.iter_modules(querykeep_engines.__path__):
        if module.name in _NOT_ENGINES or not module.ispkg:
            continue
        description = importlib.import_module(f"querykeep_engines.{module.name}.spec")
        for spec in description.SPECS:
            found[spec.name] = spec
    return dict(sorted(found.items()))


@cache
def engine(name: str) -> Engine:
    """Return the engine ``name``.

    Raises:
        UnknownEngineError: No folder registers that name.
    """
    spec = specs().get(name)
    if spec is None:
        raise UnknownEngineError(f"no engine {name!r}; installed: {', '.join(specs())}")
    loader = importlib.import_module(f"querykeep_engines.{spec.folder}.engine")
    loaded: Engine = loader.load(spec)
    return loaded
