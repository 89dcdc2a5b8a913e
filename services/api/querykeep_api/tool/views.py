"""Tool's pages and JSON. States of parts are public; details and actions need the token."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from querykeep_api.config.migrate import pending_migrations
from querykeep_api.kernel import clock
from querykeep_api.tool.access import (
    COOKIE,
    has_csrf,
    is_token,
    may_act,
    sign_in,
    token_file,
)
from querykeep_api.tool.backup import BackupError, write_backup
from querykeep_api.tool.diagnostics import bundle
from querykeep_api.tool.migrating import AlreadyRunningError, runner
from querykeep_api.tool.parts import Part, look
from querykeep_api.tool.texts import PART_NAMES, TEXTS, language_of

_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_STYLE = Path(__file__).parent / "templates" / "tool.css"


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer for all parts: 200 when each is alive, else 503."""
    return _parts_answer(request, look(alive_only=True), "ok", "down")


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer for all parts: 200 when each is ready, else 503."""
    return _parts_answer(request, look(alive_only=False), "ready", "not_ready")


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    return _page(request)


@require_GET
def style(request: HttpRequest) -> HttpResponse:
    """Return the page's style sheet."""
    return HttpResponse(_STYLE.read_bytes(), content_type="text/css; charset=utf-8")


@require_POST
def sign_in_view(request: HttpRequest) -> HttpResponse:
    """Take the token and remember it in a cookie."""
    if not settings.SECRET_KEY or not has_csrf(request):
        return _refused("The form is out of date: open the page again.")
    if not is_token(request.POST.get("token", "")):
        return _page(request, is_wrong=True, status=403)
    response = _back(request)
    sign_in(response, is_secure=request.is_secure())
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Forget the cookie."""
    if not has_csrf(request):
        return _refused("The form is out of date: open the page again.")
    response = _back(request)
    response.delete_cookie(COOKIE)
    return response


@require_http_methods(["GET", "POST"])
def migrations(request: HttpRequest) -> HttpResponse:
    """GET: pending migrations and progress as JSON. POST: run them."""
    if not may_act(request):
        return _refused(f"Sign in with the token in {token_file()}, or as an owner.", 401)
    if request.method == "GET":
        progress = runner.progress()
        body = {"state": progress.state, "lines": progress.lines, "pending": _pending()}
        return JsonResponse(body)
    if not has_csrf(request):
        return _refused("The form is out of date: open the page again.")
    try:
        runner.start()
    except AlreadyRunningError as error:
        return _refused(f"{error}.", 409)
    if request.META.get("HTTP_AUTHORIZATION"):
        return JsonResponse({"state": "running"}, status=202)
    return _back(request)


@require_POST
def backup(request: HttpRequest) -> HttpResponseBase:
    """Write a backup of metadata and audit log, and send it."""
    if not may_act(request):
        return _refused(f"Sign in with the token in {token_file()}, or as an owner.", 401)
    if not has_csrf(request):
        return _refused("The form is out of date: open the page again.")
    path = token_file().with_name(f"backup-{secrets.token_hex(8)}.zip")
    try:
        write_backup(path)
        file = path.open("rb")
    except (BackupError, OSError) as error:
        return _refused(f"The backup could not be written: {error}.", 503)
    finally:
        path.unlink(missing_ok=True)  # what is open can be read all the same
        connections.close_all()
    name = f"querykeep-backup-{clock.now():%Y%m%dT%H%M%SZ}.zip"
    return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")


@require_GET
def diagnostics(request: HttpRequest) -> HttpResponse:
    """Return the diagnostics bundle."""
    if not may_act(request):
        return _refused(f"Sign in with the token in {token_file()}, or as an owner.", 401)
    response = HttpResponse(bundle(), content_type="application/zip")
    response["Content-Disposition"] = 'attachment; filename="querykeep-diagnostics.zip"'
    return response


def _parts_answer(request: HttpRequest, parts: list[Part], good: str, bad: str) -> HttpResponse:
    is_good = all(part.ok for part in parts)
    # Messages name addresses and files of the installation: not for everyone who reaches the port.
    shown = ("ok", "message", "duration_ms", "details") if may_act(request) else ("ok",)
    body = {
        "status": good if is_good else bad,
        "parts": {part.name: {key: getattr(part, key) for key in shown} for part in parts},
    }
    return JsonResponse(body, status=200 if is_good else 503)


def _page(request: HttpRequest, *, is_wrong: bool = False, status: int = 200) -> HttpResponse:
    language = language_of(
        request.GET.get("lang", ""), request.META.get("HTTP_ACCEPT_LANGUAGE", "")
    )
    texts, names = TEXTS[language], PART_NAMES[language]
    parts = look(alive_only=False)
    context = {
        "language": language,
        "other": "en" if language == "ko" else "ko",
        "t": texts,
        "parts": [{**dataclasses.asdict(part), "label": names[part.name]} for part in parts],
        "ready": all(part.ok for part in parts),
        "allowed": may_act(request),
        "pending": _pending_in(parts),
        "empty": [],
        "progress": runner.progress(),
        "csrf": get_token(request) if settings.SECRET_KEY else "",
        "can_sign_in": bool(settings.SECRET_KEY),
        "why": texts["sign_in_why"].format(file=token_file()),
        "wrong": is_wrong,
    }
    response = render(request, "tool.html", context, status=status)
    response["Content-Security-Policy"] = _POLICY
    response["Content-Language"] = language
    if settings.SECRET_KEY:
        response.set_cookie(
            settings.CSRF_COOKIE_NAME,
            request.META["CSRF_COOKIE"],
            httponly=True,
            samesite="Strict",
            secure=request.is_secure(),
        )
    return response


def _pending() -> list[str] | None:
    try:
        return pending_migrations()
    except DatabaseError:
        return None
    finally:
        connections.close_all()


def _pending_in(parts: list[Part]) -> list[str] | None:
    part = next(part for part in parts if part.name == "migrations")
    return [str(name) for name in part.details] if isinstance(part.details, list) else None


def _back(request: HttpRequest) -> HttpResponse:
    language = request.GET.get("lang", "")
    return HttpResponseRedirect(f"/?lang={language}" if language in TEXTS else "/", status=303)


def _refused(detail: str, status: int = 403) -> HttpResponse:
    body = {"type": "urn:querykeep:problem:refused", "status": status, "detail": detail}
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="querykeep-tool"'
    return response
