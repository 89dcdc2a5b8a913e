"""WSGI entry of Tool (``QUERYKEEP_TOOL_BIND``)."""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "querykeep_api.tool.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
