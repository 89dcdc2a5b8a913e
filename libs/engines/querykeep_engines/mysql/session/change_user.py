"""COM_CHANGE_USER: connection pools send it to get a fresh session for the same person.

The person stays who signed in: another name is refused. His password is proved by the same answer
to the same nonce as at sign-in, which clients repeat here, so that nobody has to be asked. At the
target the stored account's session is reset, as COM_CHANGE_USER does it there.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.charsets import encoding_of
from querykeep_engines.mysql.session.client_signin import Proof
from querykeep_engines.mysql.session.results import Wire
from querykeep_engines.mysql.wire.auth import CACHING_SHA2
from querykeep_engines.mysql.wire.flags import Capability, Command
from querykeep_engines.mysql.wire.handshake import (
    ChangeUser,
    decode_change_user,
    encode_auth_more,
    encode_auth_switch,
)
from querykeep_engines.mysql.wire.messages import (
    OK,
    ErrorPacket,
    OkPacket,
    decode_ok,
    is_error,
)
from querykeep_engines.mysql.wire.packets import encode_packet
from querykeep_guard.contracts.audit import Outcome

_NAMES = {"utf-8": "utf8mb4", "cp1252": "latin1", "ascii": "ascii"}
_FAST_AUTH_OK = b"\x03"


@dataclass(slots=True)
class UserChange:
    """Checks who asks. ``waiting`` is the change whose proof was asked for once more."""

    proof: Proof
    capabilities: Capability
    waiting: ChangeUser | None = None

    def asked(self, payload: bytes, wire: Wire) -> ChangeUser | None:
        """Return the change when it may be done; else the client has been answered.

        Raises:
            RemoteProtocolError: Malformed.
        """
        change = decode_change_user(payload, self.capabilities)
        if change.username != self.proof.username:
            wire.own(
                errors.error(
                    errors.ER_ACCESS_DENIED,
                    "COM_CHANGE_USER to another user is not possible: open a new connection as "
                    f"'{change.username}'",
                ).encode()
            )
            return None
        if encoding_of(change.charset & 0xFF) is None:
            text = f"character set number {change.charset} is not spoken here: use utf8mb4"
            wire.own(errors.error(errors.ER_UNKNOWN_CHARSET, text).encode())
            return None
        if not self.proof.plugin or self._is_proof(change.plugin, change.response):
            return change
        self.waiting = change
        wire.own(encode_auth_switch(self.proof.plugin, self.proof.nonce))
        return None

    def answered(self, answer: bytes, wire: Wire) -> ChangeUser | None:
        """Take the answer to the second question; None when it is wrong and the client was told."""
        change, self.waiting = self.waiting, None
        wire.next_sequence = wire.next_sequence + 1 & 0xFF
        if change is not None and self._is_proof(self.proof.plugin, answer):
            return change
        text = f"Access denied for user '{self.proof.username}' (using password: YES)"
        wire.own(errors.error(errors.ER_ACCESS_DENIED, text).encode())
        return None

    def _is_proof(self, plugin: str, answer: bytes) -> bool:
        same = hmac.compare_digest(answer, self.proof.answer)
        return same and plugin in (self.proof.plugin, "")


def reset_steps(change: ChangeUser, database: str) -> list[bytes]:
    """Return the commands that leave the target as COM_CHANGE_USER would."""
    charset = _NAMES[encoding_of(change.charset & 0xFF) or "utf-8"]
    return [
        bytes([Command.RESET_CONNECTION]),
        bytes([Command.INIT_DB]) + database.encode("utf-8"),
        bytes([Command.QUERY]) + f"SET NAMES {charset}".encode("ascii"),
    ]


class ChangeUserExchange:
    """Sends the steps one by one; the client gets one answer for all of them."""

    def __init__(
        self, wire: Wire, run: RecordedStatement, steps: list[bytes], *, plugin: str
    ) -> None:
        self._wire = wire
        self._run: RecordedStatement | None = run
        self._steps = steps
        self._plugin = plugin

    @property
    def current(self) -> RecordedStatement | None:
        """The recorded change."""
        return self._run

    def start(self) -> None:
        """Send the first step."""
        self._wire.pipe.to_server(encode_packet(self._steps.pop(0), 0))

    def advance(self) -> bool:
        """Read what there is; True when all steps are answered."""
        while (packet := self._wire.reader.next()) is not None:
            if is_error(packet.payload):
                told = self._wire.told(packet.payload)
                self._wire.own(told.encode())
                self._complete(Outcome.ERROR, told.message, str(told.code))
                return True
            if packet.payload[:1] == bytes([OK]):
                self._wire.state.status = decode_ok(packet.payload).status
            if self._steps:
                self.start()
                continue
            if self._plugin == CACHING_SHA2:
                self._wire.own(encode_auth_more(_FAST_AUTH_OK))
            self._wire.own(OkPacket(0, 0, self._wire.state.status, 0).encode())
            self._complete(Outcome.OK)
            return True
        return False

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Nothing of it holds values."""

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Record how what still ran ended."""
        self._complete(outcome, error)

    def _complete(self, outcome: Outcome, error: str = "", code: str = "") -> None:
        if self._run is not None:
            run, self._run = self._run, None
            self._wire.recorder.completed(run, outcome, error, code)
