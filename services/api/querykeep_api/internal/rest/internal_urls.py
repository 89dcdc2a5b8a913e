"""Paths below ``/internal/v1/``."""

from __future__ import annotations

from django.urls import path

from querykeep_api.internal.rest import views

urlpatterns = [
    path("connections", views.ConnectionsView.as_view()),
    path("connections/<str:connection_id>/catalog", views.CatalogView.as_view()),
    path("connections/<str:connection_id>/target", views.TargetView.as_view()),
    path("signin/challenge", views.ChallengeView.as_view()),
    path("signin/prove", views.ProveView.as_view()),
    path("tickets", views.TicketsView.as_view()),
    path("tickets/redeem", views.RedeemView.as_view()),
    path("sessions/editor", views.EditorSessionView.as_view()),
    path("web-sessions/resolve", views.ResolveView.as_view()),
    path("heartbeat", views.HeartbeatView.as_view()),
    path("policies", views.PoliciesView.as_view()),
    path("agent-logins", views.AgentLoginsView.as_view()),
    path("agent-logins/<str:login_id>", views.AgentLoginView.as_view()),
    path("agent-tokens", views.AgentTokensView.as_view()),
    path("agent-tokens/revoke", views.AgentRevokeView.as_view()),
    path("agent-connections", views.AgentConnectionsView.as_view()),
]
