"""Redis as a source of hints: a subscriber that wakes the feed, and nothing else.

A small RESP2 client: authenticate, SUBSCRIBE, read messages. What a message says is looked at only
to wake the feed; it never changes a policy by itself. When Redis is away the heartbeat goes on.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import trio

_LOG = logging.getLogger(__name__)
CHANNEL = "querykeep:policy"
_LINE_LIMIT = 64 * 1024
_RETRY_FIRST_S = 0.2
_RETRY_MOST_S = 5.0
_CONNECT_TIMEOUT_S = 5.0
_PING_S = 15.0


class RedisError(Exception):
    """Redis refused a command or broke the protocol; the text names no secret."""


class HintSubscriber:
    """Keeps one subscription alive. ``connected`` is for health."""

    def __init__(
        self,
        url: str,
        on_hint: Callable[[], None] | None = None,
        *,
        channel: str = CHANNEL,
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        """``url``: redis://[user:password@]host[:port], rediss://…, unix://[…@]/path. ``on_hint``
        is called whenever something may have changed (also on each new connection), ``on_message``
        with what each message says; both return at once."""
        self._url = urlsplit(url)
        self._on_hint = on_hint
        self._on_message = on_message
        self._channel = channel
        self.connected = False

    async def run(self) -> None:
        """Subscribe, and again whenever the connection is lost, until cancelled."""
        delay = _RETRY_FIRST_S
        while True:
            try:
                await self._listen()
            except (OSError, RedisError, trio.TooSlowError, trio.BrokenResourceError) as error:
                if self.connected or delay == _RETRY_FIRST_S:
                    _LOG.warning(
                        "messages of %s from Redis are lost: %s",
                        self._channel,
                        error or "no answer",
                    )
            was_connected, self.connected = self.connected, False
            delay = _RETRY_FIRST_S if was_connected else min(delay * 2, _RETRY_MOST_S)
            await trio.sleep(delay)

    async def _listen(self) -> None:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            stream = await self._connect()
        async with stream:
            reader = _Reader(stream)
            with trio.fail_after(_CONNECT_TIMEOUT_S):
                await self._prepare(stream, reader)
            self.connected = True
            # Anything may have changed while nobody listened.
            self._take(None)
            while True:
                with trio.move_on_after(_PING_S) as silence:
                    self._take(await reader.value())
                if silence.cancelled_caught:
                    with trio.fail_after(_CONNECT_TIMEOUT_S):
                        await stream.send_all(_command("PING"))
                        await reader.value()

    def _take(self, value: object) -> None:
        if self._on_hint is not None:
            self._on_hint()
        if self._on_message is None or not isinstance(value, list) or len(value) != 3:
            return
        kind, _, body = value
        if kind == b"message" and isinstance(body, bytes):
            self._on_message(body)

    async def _connect(self) -> trio.abc.Stream:
        if self._url.scheme == "unix":
            return await trio.open_unix_socket(self._url.path)
        host, port = self._url.hostname or "127.0.0.1", self._url.port or 6379
        if self._url.scheme == "rediss":
            return await trio.open_ssl_over_tcp_stream(
                host, port, ssl_context=ssl.create_default_context()
            )
        if self._url.scheme != "redis":
            raise RedisError(f"QUERYKEEP_REDIS_URL: scheme {self._url.scheme!r} is not known")
        return await trio.open_tcp_stream(host, port)

    async def _prepare(self, stream: trio.abc.Stream, reader: _Reader) -> None:
        if self._url.password:
            words = [unquote(self._url.password)]
            if self._url.username:
                words.insert(0, unquote(self._url.username))
            await stream.send_all(_command("AUTH", *words))
            await reader.value()
        await stream.send_all(_command("SUBSCRIBE", self._channel))
        await reader.value()


class _Reader:
    """Reads RESP2 values with bounded lengths."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def value(self) -> object:
        """Return one value; raises RedisError for ``-ERR`` and for broken protocol."""
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest.split(b" ")[0].decode("ascii", "replace"))
        if kind == b":":
            return self._number(rest)
        if kind == b"$":
            return await self._bulk(self._number(rest))
        if kind == b"*":
            count = self._number(rest)
            if count > 16:
                raise RedisError("an array longer than any that was asked for")
            return [await self.value() for _ in range(max(0, count))]
        raise RedisError("an answer that is not RESP")

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LINE_LIMIT:
                raise RedisError("a line without end")
            await self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        if length > _LINE_LIMIT:
            raise RedisError("a message longer than any hint")
        while len(self._buffer) < length + 2:
            await self._fill()
        data = bytes(self._buffer[:length])
        del self._buffer[: length + 2]
        return data

    async def _fill(self) -> None:
        data = await self._stream.receive_some(_LINE_LIMIT)
        if not data:
            raise RedisError("Redis closed the connection")
        self._buffer += data

    @staticmethod
    def _number(text: bytes) -> int:
        try:
            return int(text)
        except ValueError as error:
            raise RedisError("a length that is no number") from error


def _command(*words: str) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
