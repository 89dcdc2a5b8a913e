"""``/healthz`` (alive) and ``/readyz`` (ready, by part)."""

from __future__ import annotations

import asyncio
import json

from querykeep_guard.contracts.codec import dumps
from querykeep_middleware.gateway.asgi import Receive, Scope, Send, respond_json
from querykeep_middleware.internal import ApiAwayError, InternalApi
from querykeep_middleware.link import HEADER, Hello, body_length, frame
from querykeep_middleware.settings import MiddlewareSettings

_RUNNER_TIMEOUT_S = 3.0


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
        runner = await self._runner_parts()
        parts: dict[str, dict[str, object]] = {
            "api": {"ok": await self._api_answers()},
            "runner": {"ok": runner is not None},
            "web_ui": {"ok": (self._settings.static_dir / "index.html").is_file()},
            **{f"runner_{name}": part for name, part in (runner or {}).items()},
        }
        ready = all(part["ok"] is True for part in parts.values())
        await respond_json(
            send, 200 if ready else 503, {"status": "ok" if ready else "failed", "parts": parts}
        )

    async def _api_answers(self) -> bool:
        try:
            answer = await self._api.call("GET", "connections")
        except ApiAwayError:
            return False
        return answer.status == 200

    async def _runner_parts(self) -> dict[str, dict[str, object]] | None:
        """Return what the runner says of its own parts, None when it does not answer."""
        try:
            async with asyncio.timeout(_RUNNER_TIMEOUT_S):
                path = str(self._settings.runner_socket)
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(frame(dumps(Hello("health", "", "", "", ""))))
                    header = await reader.readexactly(HEADER.size)
                    body = await reader.readexactly(body_length(header))
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None
        parts: dict[str, dict[str, object]] = json.loads(body)
        return parts
