"""The target's end of one session: reaching it, TLS, what waits to be sent, cancelling there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from querykeep_engines.kit.driver import DriverError
from querykeep_guard.contracts.codec import ContractError
from querykeep_guard.contracts.session import SessionGrant, Target
from querykeep_relay import upstream
from querykeep_relay.api_client import ApiProblemError, ApiRefusedError, ApiUnavailableError
from querykeep_relay.outbound import Outbound
from querykeep_relay.services import RelayServices
from querykeep_relay.transport import Transport

_LOG = logging.getLogger(__name__)
TLS_TIMEOUT_S = 15.0
_CANCEL_TIMEOUT_S = 30.0


class TargetSide:
    """Holds the transport to the target once there is one."""

    def __init__(self, services: RelayServices) -> None:
        self._services = services
        self._out: Outbound | None = None
        self.transport: Transport | None = None

    async def reach(self, target: Target) -> Transport:
        """Open a plain transport.

        Raises:
            UpstreamError: Which stage failed.
        """
        return await upstream.connect(target, timeout_s=self._services.settings.connect_timeout_s)

    def adopt(
        self,
        transport: Transport,
        nursery: trio.Nursery,
        *,
        on_broken: Callable[[str], None],
        on_room: Callable[[], None],
    ) -> None:
        """Use this transport from now on; an older one is closed."""
        old, self.transport = self.transport, transport
        if old is not None:
            old.close()
        self._out = Outbound(transport, nursery, on_broken=on_broken, on_room=on_room)

    def put(self, data: bytes) -> None:
        """Send behind what waits; nothing where there is no target (any more)."""
        if self._out is not None:
            self._out.put(data)

    @property
    def has_room(self) -> bool:
        """True while input that leads to output here may be taken."""
        return self._out is None or self._out.has_room

    async def drained(self) -> None:
        """Wait until nothing waits to be sent."""
        if self._out is not None:
            await self._out.drained()

    async def start_tls(self, target: Target) -> bytes:
        """Run the handshake; return the target's channel binding.

        Raises:
            UpstreamError: It failed.
        """
        if self.transport is None:
            raise RuntimeError("a session asked for TLS to a target that it has not reached")
        await self.drained()
        await upstream.start_tls(self.transport, target, timeout_s=TLS_TIMEOUT_S)
        return self.transport.channel_binding

    def close(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.send_eof()
            self.transport.close()


async def cancel_at_target(services: RelayServices, grant: SessionGrant, native_id: bytes) -> None:
    """Cancel at the target over a connection of its own; once more with a fresh account where the
    stored password has changed meanwhile. A failure is logged: the statement then runs on."""
    target = grant.target
    for is_last in (False, True):
        try:
            with trio.move_on_after(_CANCEL_TIMEOUT_S):
                await trio.to_thread.run_sync(
                    services.engine(target.engine).driver().cancel,
                    target,
                    native_id,
                    abandon_on_cancel=True,
                    limiter=services.cancel_limiter,
                )
            return
        except DriverError as error:
            _LOG.warning("session %s: cancel at the target: %s", grant.session_id, error.message)
            if is_last or error.stage != "authentication":
                return
        except Exception as error:
            _LOG.error("session %s: cancel: %s", grant.session_id, type(error).__name__)
            return
        try:
            target = await services.api.target(grant.policy.connection_id)
        except (ApiUnavailableError, ApiProblemError, ApiRefusedError, ContractError):
            return
