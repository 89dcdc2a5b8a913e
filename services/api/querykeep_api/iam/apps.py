"""iam as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class IamConfig(AppConfig):
    """People, groups, roles, web sessions, API tokens, agents."""

    name = "querykeep_api.iam"
    label = "iam"
