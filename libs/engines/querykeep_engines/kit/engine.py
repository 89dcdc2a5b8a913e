"""Engine: what ``registry`` returns; the only door from services and relay into an engine."""

from __future__ import annotations

from typing import Protocol

from querykeep_engines.kit.driver import Driver
from querykeep_engines.kit.session import EngineSession, SessionConfig
from querykeep_engines.kit.spec import EngineSpec
from querykeep_guard.sql.analyzer import Analyzer


class Engine(Protocol):
    """An engine (or one flavour of it). Loading one imports its driver only when asked."""

    @property
    def spec(self) -> EngineSpec:
        """The engine's description."""
        ...

    def analyzer(self) -> Analyzer:
        """Return the analyzer (stateless, shared)."""
        ...

    def session(self, config: SessionConfig) -> EngineSession:
        """Return a new session state machine."""
        ...

    def driver(self) -> Driver:
        """Return the native driver; imports its library."""
        ...
