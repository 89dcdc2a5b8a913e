"""MySQL and MariaDB: analyzer, session and driver behind the one door of ``registry``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querykeep_engines.kit.engine import Engine
from querykeep_engines.kit.session import EngineSession, SessionConfig
from querykeep_engines.kit.spec import EngineSpec
from querykeep_guard.sql.analyzer import Analyzer

if TYPE_CHECKING:
    from querykeep_engines.kit.driver import Driver


class MysqlEngine:
    """One flavour. Parts are imported when first asked for, so that a service that only lists
    engines loads no parser and no client library."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._analyzer: Analyzer | None = None

    @property
    def spec(self) -> EngineSpec:
        """The engine's description."""
        return self._spec

    def analyzer(self) -> Analyzer:
        """Return the analyzer (stateless, shared)."""
        if self._analyzer is None:
            from querykeep_engines.mysql.analyzer import MysqlAnalyzer

            self._analyzer = MysqlAnalyzer()
        return self._analyzer

    def session(self, config: SessionConfig) -> EngineSession:
        """Return a new session state machine."""
        from querykeep_engines.mysql.session import MysqlSession

        return MysqlSession(config)

    def driver(self) -> Driver:
        """Return the native driver; imports PyMySQL."""
        from querykeep_engines.mysql.driver import MysqlDriver

        return MysqlDriver(self._spec.name)


def load(spec: EngineSpec) -> Engine:
    """Return the engine for one of this folder's specs."""
    return MysqlEngine(spec)
