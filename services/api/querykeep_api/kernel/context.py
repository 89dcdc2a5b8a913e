"""Who asks, from where, in which request: known to logs and to the outbox without passing it on."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

from querykeep_api.kernel.errors import ApiError
from querykeep_api.kernel.service_auth import service_keys
from querykeep_guard.contracts.passed_on import HEADER, PassedOnError, check_passed_on

_LOG = structlog.get_logger(__name__)
_PASSED_ON = "HTTP_" + HEADER.upper().replace("-", "_")
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


def client_address(peer: str, forwarded_for: str, *, is_passed_on: bool = False) -> str:
    """Return the client's true address.

    ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it: from the right, the
    first address that is not a trusted proxy is the client. An unreadable entry ends the walk.

    Args:
        peer: Who connected to us; empty for a Unix socket.
        forwarded_for: The header's value.
        is_passed_on: The peer proved to be a service of this installation, wherever it connects
            from.
    """
    address = peer
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    is_believed = is_passed_on or _is_trusted(peer)
    while hops and is_believed:
        candidate = hops.pop().strip("[]")
        try:
            address = str(ipaddress.ip_address(candidate))
        except ValueError:
            break
        is_believed = _is_trusted(address)
    return address


def _is_passed_on(request: HttpRequest, forwarded_for: str) -> bool:
    proof = request.META.get(_PASSED_ON, "")
    if not proof:
        return False
    try:
        check_passed_on(proof, service_keys(), forwarded_for, now_s=time.time())
    except (PassedOnError, ApiError) as error:
        _LOG.warning(
            "passed_on_proof_refused", peer=request.META.get("REMOTE_ADDR", ""), why=str(error)
        )
        return False
    return True


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
        forwarded_for = request.META.get("HTTP_X_FORWARDED_FOR", "")
        address = client_address(
            request.META.get("REMOTE_ADDR", ""),
            forwarded_for,
            is_passed_on=_is_passed_on(request, forwarded_for),
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
