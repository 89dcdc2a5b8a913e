"""The single-page application: its files, and its page with a fresh nonce for each request."""

from __future__ import annotations

import gzip
import mimetypes
import secrets
from dataclasses import dataclass
from pathlib import Path

from querykeep_middleware.gateway.asgi import Receive, Scope, Send, header, respond

_NONCE_MARK = "__CSP_NONCE__"
_FOR_EVER = b"public, max-age=31536000, immutable"
_COMPRESSED = ("text/", "application/javascript", "application/json", "image/svg+xml")
_NOT_BUILT = (
    "<!doctype html><title>Querykeep</title><p>The web UI is not built on this machine: "
    "run <code>make spa</code>.</p>"
)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    zipped: bytes | None
    media_type: str


class Pages:
    """Serves the built files from memory; they are read once."""

    def __init__(self, folder: Path, ws_origins: str = "'self'") -> None:
        self._files: dict[str, _File] = {}
        self._page = _NOT_BUILT
        self._connect = ws_origins
        index = folder / "index.html"
        if not index.is_file():
            return
        self._page = index.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path != index:
                self._files["/" + path.relative_to(folder).as_posix()] = _load(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD for a file or a page."""
        _ = receive
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b"", "text/plain", [(b"allow", b"GET, HEAD")])
            return
        path: str = scope["path"]
        found = self._files.get(path)
        if found is not None:
            await self._file(scope, send, path, found)
        elif path.startswith("/assets/") or "." in path.rsplit("/", 1)[-1]:
            await respond(send, 404, b"not found", "text/plain")
        else:
            await self._html(scope, send)

    async def _file(self, scope: Scope, send: Send, path: str, found: _File) -> None:
        is_hashed = path.startswith("/assets/")
        headers = [
            (b"cache-control", _FOR_EVER if is_hashed else b"no-cache"),
            (b"vary", b"accept-encoding"),
        ]
        body = found.body
        if found.zipped is not None and "gzip" in header(scope, b"accept-encoding"):
            body = found.zipped
            headers.append((b"content-encoding", b"gzip"))
        await respond(
            send, 200, b"" if scope["method"] == "HEAD" else body, found.media_type, headers
        )

    async def _html(self, scope: Scope, send: Send) -> None:
        nonce = secrets.token_urlsafe(18)
        body = self._page.replace(_NONCE_MARK, nonce).encode("utf-8")
        policy = (
            "default-src 'none'; script-src 'self'; "
            f"style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; font-src 'self'; "
            f"connect-src {self._connect}; worker-src 'self' blob:; manifest-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        headers = [
            (b"content-security-policy", policy.encode("ascii")),
            (b"cache-control", b"no-store"),
        ]
        await respond(
            send,
            200,
            b"" if scope["method"] == "HEAD" else body,
            "text/html; charset=utf-8",
            headers,
        )


def _load(path: Path) -> _File:
    body = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".js":
        media_type = "text/javascript"
    zipped = None
    if media_type.startswith(_COMPRESSED) and len(body) > 1024:
        zipped = gzip.compress(body, 6)
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return _File(body, zipped, media_type)
