"""Jobs of the API on this runner's own disk: asked for over Redis, reported to the API."""

from __future__ import annotations

import json
import logging

import trio

from querykeep_middleware.execution.hub import Hub
from querykeep_relay.api_client import ApiProblemError, ApiRefusedError, ApiUnavailableError
from querykeep_relay.hints import HintSubscriber

_LOG = logging.getLogger(__name__)
CHANNEL = "querykeep:jobs"
_REPORT_TRIES = 5
_RETRY_S = 2.0


class CleaningJobs:
    """Listens for ``result_store_cleanup``; anything else on the channel is not for us."""

    def __init__(self, redis_url: str, hub: Hub, nursery: trio.Nursery) -> None:
        self._hub = hub
        self._nursery = nursery
        self._subscriber = HintSubscriber(redis_url, channel=CHANNEL, on_message=self._asked)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._subscriber.run()

    def _asked(self, message: bytes) -> None:
        try:
            body = json.loads(message)
        except ValueError:
            return
        if not isinstance(body, dict) or body.get("job") != "result_store_cleanup":
            return
        run_id = body.get("run_id")
        if isinstance(run_id, str) and run_id:
            self._nursery.start_soon(self._clean, run_id)

    async def _clean(self, run_id: str) -> None:
        count, freed = self._hub.clean()
        used = self._hub.store.used_bytes
        summary = f"{count} results removed ({freed:,} bytes); {used:,} bytes were in use"
        changes = []
        if count:
            changes = [{"kind": "removed", "subject": "results", "detail": summary}]
        for attempt in range(1, _REPORT_TRIES + 1):
            try:
                await self._hub.services.api.report_job(
                    run_id, ok=True, summary=summary, changes=changes
                )
                return
            except ApiUnavailableError:
                if attempt < _REPORT_TRIES:
                    await trio.sleep(_RETRY_S)
            except (ApiProblemError, ApiRefusedError) as error:
                _LOG.error("the API does not take the report of job run %s: %s", run_id, error)
                return
        _LOG.error("the report of job run %s could not be delivered", run_id)
