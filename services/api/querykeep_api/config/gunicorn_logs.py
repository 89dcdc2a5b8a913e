"""gunicorn's own messages as JSON lines on stderr, like everything else; no access log."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger

from querykeep_api.config.logs import configure_logs


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no stubs
    """Hands gunicorn's records to the root logger."""

    def setup(self, cfg: Any) -> None:
        """Configure once per process."""
        configure_logs("INFO")
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = True
        self.error_log.handlers = []
        self.access_log = logging.getLogger("gunicorn.access")
        self.access_log.handlers = []
        self.access_log.propagate = False
