"""REST shapes of iam that other apps may use."""

from __future__ import annotations

from querykeep_api.iam.rest.serializers import group_reference, user_reference

__all__ = ["group_reference", "user_reference"]
