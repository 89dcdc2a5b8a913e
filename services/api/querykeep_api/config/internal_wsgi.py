"""WSGI entry of the internal API (``QUERYKEEP_INTERNAL_BIND``): never the public URLs."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "querykeep_api.config.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import set_urlconf

settings.ROOT_URLCONF = settings.INTERNAL_URLCONF
settings.MIDDLEWARE = list(settings.INTERNAL_MIDDLEWARE)
set_urlconf(None)

application = get_wsgi_application()
