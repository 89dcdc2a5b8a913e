"""JSON lines on stderr. A processor drops what could be a secret, whoever logs it."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_WORDS = (
    "password", "secret", "token", "cookie", "authorization", "api_key", "private", "verifier",
    "credential", "proof", "signature",
)  # fmt: skip


def drop_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the value of every field whose name sounds like a secret."""
    for key in list(event):
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
    return event


def configure_logs(level: str) -> None:
    """Send structlog and the standard library's loggers to stderr as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [old for old in root.handlers if not getattr(old, "_querykeep", False)]
    handler._querykeep = True  # type: ignore[attr-defined]  # marks ours, so that a reload replaces it
    root.addHandler(handler)
    root.setLevel(level)
    # A 4xx is an answer, not a warning of ours; 5xx are logged by the exception handler.
    logging.getLogger("django.request").setLevel(logging.ERROR)
