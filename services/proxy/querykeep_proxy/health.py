"""Health and metrics of the proxy: ``/healthz``, ``/readyz`` (JSON by part), ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from querykeep_proxy.accept import AddressGate, Place
from querykeep_proxy.http import Request, Response, json_response, problem, serve_http
from querykeep_relay.services import RelayServices
from querykeep_relay.transport import Transport

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """The handler of the health listener. ``parts`` adds the proxy's own parts to the relay's."""

    def __init__(
        self,
        services: RelayServices,
        gate: AddressGate,
        parts: Mapping[str, Callable[[], dict[str, object]]],
    ) -> None:
        self._services = services
        self._parts = parts
        self.is_draining = False
        self._registry = CollectorRegistry()
        for name, text, read in (
            ("sessions", "Live sessions", lambda: len(services.live)),
            ("spool_bytes", "Audit spool on disk", lambda: services.spool.size_bytes),
            ("spool_waiting", "Unacknowledged records", lambda: services.shipper.waiting),
            ("policy_version", "Policy version in force", lambda: services.feed.version),
            ("api_reachable", "1 while heartbeats are answered", lambda: services.feed.reachable),
            ("connections_refused", "Closed unauthenticated", lambda: gate.refused),
        ):
            gauge = Gauge(f"querykeep_proxy_{name}", text, registry=self._registry)
            gauge.set_function(read)

    async def __call__(self, transport: Transport, place: Place) -> None:
        """Serve one connection."""
        await serve_http(transport, self._answer)

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Return whether new sessions can be taken, and the state of each part."""
        parts: dict[str, dict[str, object]] = dict(self._services.health())
        parts.update((name, read()) for name, read in self._parts.items())
        if self.is_draining:
            parts["listeners"] = {"ok": False, "state": "draining"}
        ready = all(part["ok"] for part in parts.values())
        return ready, {"ok": ready, "service": "proxy", "parts": parts}

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return problem(405, "method_not_allowed", "only GET has a meaning here")
        if request.path == "/healthz":
            return json_response(200, {"ok": True, "service": "proxy"})
        if request.path == "/readyz":
            ready, data = self.readiness()
            return json_response(200 if ready else 503, data)
        if request.path == "/metrics":
            return Response(200, generate_latest(self._registry), _METRICS_TYPE)
        return problem(404, "not_found", f"{request.path} does not exist")
