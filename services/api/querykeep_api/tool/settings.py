"""Settings of the Tool process: those of the API with URLs and middleware of its own.

Tool answers while the databases are unmigrated or away, so nothing here may need them.
"""

from __future__ import annotations

from querykeep_api.config.settings import *  # noqa: F403 - a settings module extends another

ROOT_URLCONF = "querykeep_api.tool.urls"
# Tool is reached by whatever name the operator's network gives it; it makes no links from Host.
ALLOWED_HOSTS = ["*"]
CSRF_COOKIE_NAME = "querykeep_tool_csrf"
MIDDLEWARE = [
    "querykeep_api.kernel.context.RequestContextMiddleware",
    "querykeep_api.kernel.rest.headers.HeadersMiddleware",
]
