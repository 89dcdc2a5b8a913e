"""The ASGI application of the web process: sends each request to the part that answers it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from channels.routing import ProtocolTypeRouter

from querykeep_middleware.agentauth.app import AgentSignIn
from querykeep_middleware.editor.consumer import EditorConsumer
from querykeep_middleware.gateway.asgi import (
    Application,
    Receive,
    Scope,
    Send,
    client_scheme,
    header,
    respond,
)
from querykeep_middleware.gateway.downloads import PREFIX, Downloads
from querykeep_middleware.gateway.health import Health
from querykeep_middleware.gateway.pages import Pages
from querykeep_middleware.gateway.passing import ApiGateway
from querykeep_middleware.internal import InternalApi
from querykeep_middleware.settings import MiddlewareSettings

_HTTPS_PORT = 443
_PASSED = ("/api/", "/scim/")


class WebApplication:
    """HTTP by path and by port; the agent's port answers agents only, and only it does."""

    def __init__(self, settings: MiddlewareSettings, api: InternalApi) -> None:
        self._settings = settings
        self._agent = AgentSignIn(settings, api)
        self._health = Health(settings, api)
        self._downloads = Downloads(settings, api)
        self._pages = Pages(settings.static_dir)
        self._gateway = ApiGateway(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path: str = scope["path"]
        if _port(scope) == self._settings.agent[1]:
            await self._agent(scope, receive, send)
        elif path in ("/healthz", "/readyz"):
            await self._health(scope, receive, send)
        elif self._is_plain_beside_tls(scope):
            await self._to_tls(scope, send)
        elif path.startswith(_PASSED):
            await self._gateway(scope, receive, send)
        elif path.startswith(PREFIX):
            await self._downloads(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    def _is_plain_beside_tls(self, scope: Scope) -> bool:
        scheme = client_scheme(scope, self._settings.trusted_proxies)
        return self._settings.web_tls is not None and scheme == "http"

    async def _to_tls(self, scope: Scope, send: Send) -> None:
        host = _without_port(header(scope, b"host"))
        port = self._tls_port()
        suffix = "" if port == _HTTPS_PORT else f":{port}"
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        query: bytes = scope.get("query_string", b"")
        location = f"https://{host}{suffix}".encode("latin-1") + raw
        location += b"?" + query if query else b""
        await respond(send, 308, b"", "text/plain", [(b"location", location)])

    def _tls_port(self) -> int:
        """Return the port as people see it: containers publish ours under another one."""
        public = urlsplit(self._settings.public_url)
        if public.scheme == "https":
            return public.port or _HTTPS_PORT
        return self._settings.web_tls[1] if self._settings.web_tls else _HTTPS_PORT


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host)


def _port(scope: Scope) -> int | None:
    server = scope.get("server")
    return int(server[1]) if server and server[1] is not None else None


def application(settings: MiddlewareSettings) -> Application:
    """Return the whole application."""
    api = InternalApi(settings)
    router: Application = ProtocolTypeRouter(
        {
            "http": WebApplication(settings, api),
            "websocket": EditorConsumer.as_asgi(settings=settings, api=api),
        }
    )
    return router
