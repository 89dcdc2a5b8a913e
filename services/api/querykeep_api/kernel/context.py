"""Who asks, from where, in which request: known to logs and to the outbox without passing it on."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

REQUEST_ID_HEADER = "X-Request-ID"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request being served; outside of one, both are empty (a job, the command line)."""

    request_id: str = ""
    address: str = ""


_OUTSIDE = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request", default=_OUTSIDE)


def current_request() -> RequestContext:
    """Return the context of the request being served."""
    return _current.get()


def client_address(peer: str, forwarded_for: str) -> str:
    """Return the client's true address.

    ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it: from the right, the
    first address that is not a trusted proxy is the client. An unreadable entry ends the walk.
    """
    address = peer
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    while hops and _is_trusted(address):
        candidate = hops.pop().strip("[]")
        try:
            address = str(ipaddress.ip_address(candidate))
        except ValueError:
            break
    return address


def _is_trusted(address: str) -> bool:
    if not address:  # a Unix socket has no peer address; only the gateway can reach it
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.QUERYKEEP.trusted_proxies)


class RequestContextMiddleware:
    """Gives each request an id and its client address, for the length of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve one request within its context."""
        if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponseBadRequest("NUL is not a character of any name here.")
        request_id = secrets.token_hex(8)
        address = client_address(
            request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
        )
        request.META["QUERYKEEP_CLIENT_ADDRESS"] = address
        token = _current.set(RequestContext(request_id, address))
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                response = self._get_response(request)
        finally:
            _current.reset(token)
        response[REQUEST_ID_HEADER] = request_id
        return response
