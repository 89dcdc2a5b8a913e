"""The loopback listener that takes the browser's half of a login's code (RFC 8252, section 7.3).

It listens on a random port of 127.0.0.1, answers one path, and only when the Host header is its own
address. Any local program or web page can reach it, so a half is merely a proposal: it is tried
against the server, and a wrong one ends nothing.
"""

from __future__ import annotations

import hmac
import html
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import h11
import trio

PATH = "/callback"
_HEAD_LIMIT_BYTES = 8 * 1024
_TIMEOUT_S = 15.0
_HALF_LIMIT = 256
_MAX_CONNECTIONS = 16

Try = Callable[[str], Awaitable[bool]]
"""Tries a half; True when the sign-in is complete."""

_TEXTS = {
    "ko": {
        "done": ("로그인했습니다", "터미널로 돌아가세요. 이 창은 닫아도 됩니다."),
        "wrong": ("로그인하지 못했습니다", "이 주소는 기다리는 로그인과 맞지 않습니다. "
                  "터미널에서 qk login 을 다시 실행하세요."),
        "lost": ("찾을 수 없습니다", "qk login 이 이 주소를 기다리지 않습니다."),
    },
    "en": {
        "done": ("You are signed in", "Return to your terminal. This window can be closed."),
        "wrong": ("Not signed in", "This address does not fit the sign-in that waits. "
                  "Run qk login in your terminal again."),
        "lost": ("Not found", "qk login does not wait at this address."),
    },
}  # fmt: skip
_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;margin:0;display:grid;place-items:center;"
    "min-height:100vh;background:#f5f6f8;color:#1c2430}main{background:#fff;border:1px solid "
    "#d9dee6;border-radius:12px;padding:2rem 3rem;text-align:center}@media(prefers-color-scheme:"
    "dark){body{background:#12161d;color:#e6eaf0}main{background:#1b212b;border-color:#303846}}"
)


class CallbackListener:
    """Bound at once; serves while ``serve`` runs."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.port: int = listener.socket.getsockname()[1]
        self._slots = trio.CapacityLimiter(_MAX_CONNECTIONS)
        self._accepted = ""
        self.answered = trio.Event()
        """Set once a browser has been told that the sign-in is complete."""

    @staticmethod
    async def open() -> CallbackListener:
        """Listen on a free port of 127.0.0.1."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=_MAX_CONNECTIONS)
        return CallbackListener(listener)

    async def serve(self, attempt: Try) -> None:
        """Answer browsers until cancelled; each half goes to ``attempt``."""

        async def handle(stream: trio.SocketStream) -> None:
            async with self._slots, stream:
                with trio.move_on_after(_TIMEOUT_S):
                    await self._answer(stream, attempt)

        await trio.serve_listeners(handle, [self._listener])

    async def _answer(self, stream: trio.SocketStream, attempt: Try) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT_BYTES)
        try:
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(_HEAD_LIMIT_BYTES))
            if not isinstance(event, h11.Request):
                return
            status, kind = await self._judge(event, attempt)
            headers = {name: value.decode("latin-1") for name, value in event.headers}
            await stream.send_all(_page(connection, headers, status, kind))
            if kind == "done":
                self.answered.set()
        except (h11.ProtocolError, trio.BrokenResourceError):
            return

    async def _judge(self, request: h11.Request, attempt: Try) -> tuple[int, str]:
        hosts = [value for name, value in request.headers if name == b"host"]
        path, _, query = request.target.decode("ascii", "replace").partition("?")
        is_ours = hosts == [f"127.0.0.1:{self.port}".encode()]
        if not is_ours or request.method != b"GET" or path != PATH:
            return 404, "lost"
        halves = parse_qs(query).get("half", [])
        if len(halves) != 1 or len(halves[0]) > _HALF_LIMIT:
            return 400, "wrong"
        half = halves[0]
        if self._accepted:  # the browser asks again, for its reload
            same = hmac.compare_digest(half.encode(), self._accepted.encode())
            return (200, "done") if same else (400, "wrong")
        if not await attempt(half):
            return 400, "wrong"
        self._accepted = half
        return 200, "done"


def _page(connection: h11.Connection, headers: dict[bytes, str], status: int, kind: str) -> bytes:
    wanted = headers.get(b"accept-language", "").lower()
    language = "ko" if wanted.startswith("ko") or ",ko" in wanted.replace(" ", "") else "en"
    title, text = (html.escape(part) for part in _TEXTS[language][kind])
    body = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        f"<title>Querykeep — {title}</title><style>{_STYLE}</style>"
        f"<main><h1>{title}</h1><p>{text}</p></main></html>"
    ).encode()
    answer = h11.Response(
        status_code=status,
        headers=[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
             "frame-ancestors 'none'"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ],
    )  # fmt: skip
    parts = (answer, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(connection.send(part) or b"" for part in parts)
