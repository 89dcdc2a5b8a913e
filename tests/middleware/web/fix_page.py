"""The built web UI in Chromium, with the API and the editor's WebSocket answered by the test.

The page, its chunks, styles and CSP are the real ones; only what the server would say is scripted,
so that states which are hard to bring about (line down, access revoked) can be shown.
"""

from __future__ import annotations

import http.server
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect, sync_playwright
from tests.chromium import chromium_program

DIST = Path(__file__).parents[3] / "services" / "middleware" / "web" / "dist"
expect.set_options(timeout=20_000)  # a machine under load draws late; nothing waits in vain
Answer = dict[str, Any] | list[Any] | tuple[int, dict[str, Any]]


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the build as the gateway does: index.html for pages, with a nonce and a strict CSP."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if (DIST / path.lstrip("/")).is_file():
            super().do_GET()
            return
        nonce = secrets.token_urlsafe(16)
        body = (DIST / "index.html").read_text("utf-8").replace("__CSP_NONCE__", nonce).encode()
        policy = (
            "default-src 'self'; script-src 'self'; font-src 'self'; img-src 'self' data: blob:; "
            f"style-src 'self' 'nonce-{nonce}'; connect-src 'self'; frame-ancestors 'none'"
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def web_address() -> Iterator[str]:
    """Where the built UI is served."""
    assert (DIST / "index.html").exists(), "the web UI is not built: run `make spa`"
    handler = partial(_Handler, directory=str(DIST))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class WebPage:
    """A browser page with scripted answers. ``errors`` collects what the console complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.sent: list[tuple[str, str, Any]] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )
        page.route(re.compile(r".*/api/v1/.*"), self._answer)

    def me(self, *permissions: str, **fields: Any) -> None:
        """Sign someone in with these permissions."""
        self.answers["GET me"] = {
            "id": "u1",
            "username": "kim",
            "display_name": "김민수",
            "email": "kim@example.com",
            "language": "ko",
            "theme": "light",
            "permissions": list(permissions),
            "scopes": [*permissions, "own.change", "own.tokens", "own.view"],
            "groups": [],
            "must_change_password": False,
            "session_expires_at": None,
            **fields,
        }

    def prefer(self, language: str, theme: str) -> None:
        """Choose language and theme before the page starts."""
        self.page.add_init_script(
            f"localStorage.setItem('querykeep.language', '{language}');"
            f"localStorage.setItem('querykeep.theme', '{theme}')"
        )

    def open(self, path: str) -> None:
        """Go to a path."""
        self.page.goto(self.address + path)

    def editor(self, script: Callable[[WebSocketRoute, dict[str, Any]], None]) -> None:
        """Answer the editor's WebSocket: ``script`` gets each message of the browser."""

        def connect(socket: WebSocketRoute) -> None:
            socket.on_message(lambda text: script(socket, json.loads(text)))

        self.page.route_web_socket(re.compile(r".*/ws/editor$"), connect)

    def _answer(self, route: Route) -> None:
        request = route.request
        path = re.sub(r"^.*/api/v1/", "", request.url).split("?")[0]
        body = request.post_data_json if request.post_data else None
        self.sent.append((request.method, path, body))
        found = self.answers.get(f"{request.method} {path}")
        if path == "auth/csrf":
            found = {"token": "csrf"}
        if found is None and request.method == "GET":
            if path == "me":
                found = (401, {"code": "not_signed_in", "title": "Not signed in", "detail": ""})
            else:
                found = {"results": [], "next": None, "previous": None}
        status, data = found if isinstance(found, tuple) else (200, found)
        route.fulfill(status=status, content_type="application/json", body=json.dumps(data or {}))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One Chromium for the tests of a file.

    Not longer: Playwright keeps an event loop in this thread, where tests of Django refuse to run.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_program(),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def web(chromium: Any, web_address: str) -> Iterator[WebPage]:
    """A fresh page; what the console complained of fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    page = WebPage(context.new_page(), web_address)
    yield page
    context.close()
