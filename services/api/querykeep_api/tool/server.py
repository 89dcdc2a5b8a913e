"""Starts Tool: one gunicorn process, so that a migration's progress is known to every request."""

from __future__ import annotations

from dataclasses import replace

import structlog
from django.conf import settings

from querykeep_api.config.servers import Server, gunicorn_command, serve
from querykeep_api.tool.access import token_file, tool_token

_THREADS = 8

log = structlog.get_logger(__name__)


def serve_tool() -> int:
    """Serve until SIGTERM; makes the token file on the first start."""
    environment = replace(settings.QUERYKEEP, api_workers=1, api_threads=_THREADS)
    tool_token()
    log.info("Tool's sign-in is in a file", file=str(token_file()))
    server = Server("tool", "querykeep_api.tool.wsgi:application", environment.tool_bind)
    return serve([gunicorn_command(server, environment)], ["tool"])
