"""``/healthz`` (alive) and ``/readyz`` (ready, by part)."""

from __future__ import annotations

import asyncio

from querykeep_middleware.gateway.asgi import Receive, Scope, Send, respond_json
from querykeep_middleware.internal import ApiAwayError, InternalApi
from querykeep_middleware.settings import MiddlewareSettings


class Health:
    """Answers probes; tells states only, no names or addresses."""

    def __init__(self, settings: MiddlewareSettings, api: InternalApi) -> None:
        self._settings = settings
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one probe."""
        _ = receive
        if scope["path"] == "/healthz":
            await respond_json(send, 200, {"status": "ok"})
            return
        parts = {
            "api": {"ok": await self._api_answers()},
            "runner": {"ok": await self._runner_answers()},
            "web_ui": {"ok": (self._settings.static_dir / "index.html").is_file()},
        }
        ready = all(part["ok"] for part in parts.values())
        await respond_json(
            send, 200 if ready else 503, {"status": "ok" if ready else "failed", "parts": parts}
        )

    async def _api_answers(self) -> bool:
        try:
            answer = await self._api.call("GET", "connections")
        except ApiAwayError:
            return False
        return answer.status == 200

    async def _runner_answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self._settings.runner_socket))
        except OSError:
            return False
        writer.close()
        return True
