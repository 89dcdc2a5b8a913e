"""WSGI entry of the public API (``QUERYKEEP_API_BIND``)."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "querykeep_api.config.settings")

application = get_wsgi_application()

# gunicorn loads this module in each worker after the fork: one thread per worker moves admin
# events into the audit chain within a moment of their commit.
from querykeep_api.auditlog.facade import DeliveryThread  # noqa: E402 - needs Django set up

DeliveryThread().start()
