"""Reaches a target: name, address, TCP, and TLS when its session asks for it."""

from __future__ import annotations

import ipaddress
import socket

import trio

from querykeep_guard.contracts.session import Target
from querykeep_relay.tls import target_context
from querykeep_relay.transport import Transport, TransportError


class UpstreamError(Exception):
    """A target could not be reached. ``stage``: dns, tcp, tls or timeout."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message


async def connect(target: Target, *, timeout_s: float) -> Transport:
    """Open a plain transport to the target, trying its addresses with a head start each.

    Raises:
        UpstreamError: Which stage failed and how, without any secret.
    """
    place = f"{target.host}:{target.port}"
    try:
        with trio.fail_after(min(timeout_s, target.connect_timeout_s)):
            stream = await trio.open_tcp_stream(target.host, target.port)
    except trio.TooSlowError as error:
        raise UpstreamError("timeout", f"{place} did not answer in time") from error
    except socket.gaierror as error:
        raise UpstreamError("dns", f"host name {target.host!r}: {error.strerror}") from error
    except OSError as error:
        raise UpstreamError("tcp", f"{place}: {_reason(error)}") from error
    return Transport(socket.socket(fileno=stream.socket.detach()))


async def start_tls(transport: Transport, target: Target, *, timeout_s: float) -> None:
    """Run the TLS handshake towards a target as its mode demands.

    Raises:
        UpstreamError: With stage ``tls`` or ``timeout``.
    """
    try:
        context = target_context(target)
    except (OSError, ValueError) as error:
        raise UpstreamError("tls", f"the connection's certificates: {error}") from error
    try:
        with trio.fail_after(timeout_s):
            await transport.start_tls(
                context, server_side=False, server_name=_server_name(target, context.check_hostname)
            )
    except trio.TooSlowError as error:
        raise UpstreamError("timeout", "the target's TLS handshake took too long") from error
    except TransportError as error:
        raise UpstreamError("tls", str(error)) from error


def _server_name(target: Target, checks: bool) -> str | None:
    """SNI knows host names only; an address is passed on when it is to be verified."""
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        return target.host
    return target.host if checks else None


def _reason(error: OSError) -> str:
    """open_tcp_stream gathers one error per address in an exception group: name the causes."""
    group = error.__cause__
    if isinstance(group, BaseExceptionGroup):
        texts = {getattr(one, "strerror", None) or str(one) for one in group.exceptions}
        return ", ".join(sorted(texts))
    return error.strerror or str(error)
