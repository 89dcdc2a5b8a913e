"""Deletes credentials that have run out; called by the clean-up job."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from querykeep_api.iam.models import (
    AgentCredential,
    AgentLogin,
    ApiToken,
    DeviceCodeTry,
    OwnerLink,
    WebSession,
)
from querykeep_api.kernel import clock

# Ended web sessions and old logins stay a day, so that a page can still say what became of them.
_GRACE = timedelta(days=1)


def do_clean_up_expired() -> dict[str, int]:
    """Delete run-out rows in one short transaction per table; return the counts."""
    now = clock.now()
    old = now - _GRACE
    idle = old - timedelta(seconds=settings.QUERYKEEP.session_idle_s)
    sessions = WebSession.objects.filter(
        Q(expires_at__lt=old) | Q(ended_at__lt=old) | Q(last_seen_at__lt=idle)
    )
    tables = {
        "web_sessions": sessions,
        "api_tokens": ApiToken.everything.filter(expires_at__lt=old),
        "agent_logins": AgentLogin.objects.filter(expires_at__lt=old),
        "agent_credentials": AgentCredential.objects.filter(expires_at__lt=old),
        "device_code_tries": DeviceCodeTry.objects.filter(at__lt=old),
        "owner_links": OwnerLink.objects.filter(expires_at__lt=old),
    }
    counts = {}
    for name, rows in tables.items():
        with transaction.atomic():
            counts[name] = rows.delete()[1].get(rows.model._meta.label, 0)
    return counts
