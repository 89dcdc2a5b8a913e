"""Django settings of the API service, made from ``QUERYKEEP_*`` variables only."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from querykeep_api.config.databases import django_database
from querykeep_api.config.discovery import local_apps
from querykeep_api.config.environment import read_environment
from querykeep_api.config.logs import configure_logs
from querykeep_api.config.roots import derived_text

QUERYKEEP = read_environment(os.environ)

# Empty when there is no root key yet: Django then refuses to sign anything.
SECRET_KEY = derived_text(QUERYKEEP.secret_file, "django")
DEBUG = False
ALLOWED_HOSTS = list(QUERYKEEP.allowed_hosts)
ROOT_URLCONF = "querykeep_api.config.urls"
INTERNAL_URLCONF = "querykeep_api.config.internal_urls"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["django_celery_beat", "rest_framework", "drf_spectacular", *local_apps()]

MIDDLEWARE = [
    "querykeep_api.kernel.rest.health.HealthMiddleware",
    "querykeep_api.kernel.context.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "querykeep_api.kernel.rest.headers.HeadersMiddleware",
    "django.middleware.common.CommonMiddleware",
]

# No cookies and no CSRF on the internal port: each call carries its service's key.
INTERNAL_MIDDLEWARE = MIDDLEWARE[:2]

DATABASES = {
    "default": django_database(QUERYKEEP.database),
    "audit": django_database(QUERYKEEP.audit_database),
}
DATABASE_ROUTERS = ["querykeep_api.config.databases.AuditRouter"]

TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}
]

# The web session is table-backed (iam); this is its cookie.
WEB_SESSION_COOKIE = "querykeep_session"
CSRF_COOKIE_NAME = "querykeep_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = QUERYKEEP.https
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(QUERYKEEP.public_url))]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "querykeep_api.iam.authentication.BearerAuthentication",
        "querykeep_api.iam.authentication.WebSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["querykeep_api.kernel.permissions.HasPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["querykeep_api.kernel.rest.parsing.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "querykeep_api.kernel.rest.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": [
        "querykeep_api.kernel.rest.filters.FieldFilter",
        "querykeep_api.kernel.rest.filters.TextSearch",
        "querykeep_api.kernel.rest.filters.Ordering",
    ],
    "DEFAULT_SCHEMA_CLASS": "querykeep_api.kernel.rest.schema.ResourceSchema",
    "EXCEPTION_HANDLER": "querykeep_api.kernel.rest.handler.problem_response",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "iso-8601",
}

API_DESCRIPTION = """People, connections, grants, rules, live sessions, jobs and the audit log.

- **Sign in** with `Authorization: Bearer TOKEN`, an API token made in the web UI (*Profile and
  tokens*) or by `POST api-tokens`; or with the web session's cookie, where writes need
  `X-CSRFToken` (`GET auth/csrf`). No credentials: 401. A scope or permission is lacking: 403.
  Not in reach: 404.
- **Lists** are `{"results": [], "next": url, "previous": url}`: follow `next` until it is null.
  Filters take an id or a name, given twice they mean either; an unknown parameter is an error.
- **References** are `{"id": "", "name": ""}` when read; an id, a name or such an object when
  written.
- **Changes**: what a GET shows can be sent back, read-only fields are ignored. Each entry's `etag`
  can be sent as `If-Match`; 412 then says that someone else was faster.
- **Times** are RFC 3339 in UTC. Ids are opaque.
- **Errors** are `application/problem+json`, see the schema *Problem*.
"""
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Querykeep API",
    "DESCRIPTION": API_DESCRIPTION,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "SORT_OPERATIONS": True,
    "ENUM_NAME_OVERRIDES": {
        "PermissionEnum": "querykeep_api.kernel.permissions.PERMISSION_NAMES",
        "ScopeEnum": "querykeep_api.kernel.permissions.SCOPE_NAMES",
    },
}

LOGGING_CONFIG = None
configure_logs(QUERYKEEP.log_level)
