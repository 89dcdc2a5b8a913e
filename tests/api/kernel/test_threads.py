"""Many threads at once: sign-ins, heartbeats and policy writes on one database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.fix_api import ApiCaller

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)
THREADS = 8
ROUNDS = 6


def test_readers_and_writers_do_not_fail_each_other(
    internal_urls: None, service_key: Any, new_user: Any
) -> None:
    from django.db import connections

    from querykeep_api.dbam.actions.rules import do_create_rule
    from querykeep_api.dbam.models import AccessRule, EnforcementPoint
    from querykeep_api.kernel.models import OutboxEvent, PolicyChange
    from querykeep_api.kernel.policy_version import current_version

    headers = {"Authorization": service_key("proxy")}
    before, events = current_version(), OutboxEvent.objects.count()
    barrier = threading.Barrier(THREADS)

    def work(number: int) -> list[int]:
        call = ApiCaller(headers)
        statuses = []
        try:
            barrier.wait(60)
            for turn in range(ROUNDS):
                if number % 2:
                    do_create_rule(
                        AccessRule,
                        {"name": f"{number}-{turn}", "objects_json": [{"table": "t"}]},
                        acting_user=None,
                    )
                body = {"ep": f"proxy-{number}", "since": 0, "sessions": [], "ended": []}
                statuses.append(call("POST", "/internal/v1/heartbeat", body).status_code)
        finally:
            connections.close_all()
        return statuses

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = [status for found in pool.map(work, range(THREADS)) for status in found]
    writes = THREADS // 2 * ROUNDS
    assert statuses == [200] * THREADS * ROUNDS
    assert current_version() == before + writes
    assert PolicyChange.objects.filter(version__gt=before).count() == writes
    assert OutboxEvent.objects.count() == events + writes
    assert sorted(AccessRule.objects.values_list("number", flat=True)) == list(range(1, writes + 1))
    assert EnforcementPoint.objects.count() == THREADS
