"""The frames of the editor's WebSocket: messages as text, and back."""

from __future__ import annotations

import json
import re
from typing import TypeVar, get_args

from querykeep_guard.contracts.codec import ContractError, from_json, to_json
from querykeep_middleware.editor.messages import ClientMessage, ServerMessage

M = TypeVar("M")


class MessageError(ValueError):
    """A frame is not a message of this schema; the socket closes with 4400. ``request`` is the id
    it carried, where it could be read."""

    def __init__(self, text: str, request: str = "") -> None:
        super().__init__(text)
        self.request = request


def type_name(cls: type) -> str:
    """Return the ``type`` of a message class: its name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


_CLIENT_TYPES: dict[str, type[ClientMessage]] = {
    type_name(cls): cls for cls in get_args(ClientMessage)
}
_SERVER_TYPES: dict[str, type[ServerMessage]] = {
    type_name(cls): cls for cls in get_args(ServerMessage)
}


def encode(message: ClientMessage | ServerMessage) -> str:
    """Return a message as the text of one frame."""
    body = {"type": type_name(type(message)), **to_json(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def decode_client(frame: str) -> ClientMessage:
    """Read a frame from the browser.

    Raises:
        MessageError: Not JSON, an unknown type, or fields that do not fit.
    """
    data, cls = _open_frame(frame, _CLIENT_TYPES)
    return _build(cls, data)


def decode_server(frame: str) -> ServerMessage:
    """Read a frame from the server (used by tests and by programs that speak as a browser).

    Raises:
        MessageError: As ``decode_client``.
    """
    data, cls = _open_frame(frame, _SERVER_TYPES)
    return _build(cls, data)


def _open_frame(frame: str, types: dict[str, type[M]]) -> tuple[dict[str, object], type[M]]:
    try:
        data = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise MessageError("the frame is not JSON") from error
    if not isinstance(data, dict):
        raise MessageError("the frame is not an object")
    name = data.get("type")
    cls = types.get(name) if isinstance(name, str) else None
    if cls is None:
        raise MessageError(f"no message of type {name!r}", _request_of(data))
    return data, cls


def _build(cls: type[M], data: dict[str, object]) -> M:
    try:
        return from_json(cls, data)
    except ContractError as error:
        raise MessageError(str(error), _request_of(data)) from error


def _request_of(data: dict[str, object]) -> str:
    request = data.get("request")
    return request if isinstance(request, str) else ""
