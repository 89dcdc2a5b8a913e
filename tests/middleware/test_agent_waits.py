"""How many agents may wait for their person at once, by the sign-in application itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from querykeep_middleware.agentauth.app import WAITING_PER_ADDRESS, AgentSignIn
from querykeep_middleware.internal import Answer, InternalApi
from querykeep_middleware.settings import MiddlewareSettings


class Waiting:
    """The API, with a login that waits until somebody answers it."""

    def __init__(self) -> None:
        self.asked = asyncio.Semaphore(0)
        self.state = "waiting"

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        """Tell the login's state."""
        self.asked.release()
        return Answer(200, {"state": self.state})


def settings(folder: Path) -> MiddlewareSettings:
    """Settings of a middleware whose API is elsewhere."""
    (folder / "key").write_text("key")
    return MiddlewareSettings.from_environment(
        {
            "QUERYKEEP_HOME": str(folder),
            "QUERYKEEP_API_URL": "http://api:8080",
            "QUERYKEEP_INTERNAL_URL": "http://api:8081",
            "QUERYKEEP_INTERNAL_KEY_FILE": str(folder / "key"),
        }
    )


def test_one_address_does_not_take_every_place(tmp_path: Path) -> None:
    async def run() -> None:
        api = Waiting()
        app = AgentSignIn(settings(tmp_path), cast("InternalApi", api))

        async def ask(address: str) -> int:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "GET",
                "path": "/v1/logins/" + "0" * 32,
                "query_string": b"wait=25",
                "headers": [],
                "client": (address, 50_000),
            }
            await app(scope, cast("Any", None), send)
            return int(sent[0]["status"])

        waiting = [asyncio.ensure_future(ask("192.0.2.7")) for _ in range(WAITING_PER_ADDRESS)]
        for _ in waiting:
            await api.asked.acquire()
        assert await ask("192.0.2.7") == 429
        other = asyncio.ensure_future(ask("192.0.2.8"))
        await api.asked.acquire()
        api.state = "confirmed"
        assert set(await asyncio.gather(*waiting, other)) == {200}
        assert await ask("192.0.2.7") == 200

    asyncio.run(run())
