"""Paths of iam below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from querykeep_api.iam.rest import auth, credentials, people

router = SimpleRouter(trailing_slash=False)
router.register("users", people.UserView, basename="users")
router.register("groups", people.GroupView, basename="groups")
router.register("roles", people.RoleView, basename="roles")
router.register("api-tokens", credentials.ApiTokenView, basename="api-tokens")
router.register("agents", credentials.AgentView, basename="agents")

urlpatterns = [
    path("auth/csrf", auth.CsrfView.as_view()),
    path("auth/sign-in", auth.SignInView.as_view()),
    path("auth/sign-out", auth.SignOutView.as_view()),
    path("auth/password", auth.PasswordView.as_view()),
    path("auth/owner-link", auth.OwnerLinkView.as_view()),
    path("me", auth.MeView.as_view()),
    path("me/web-sessions", credentials.WebSessionsView.as_view()),
    path("me/web-sessions/<str:session_id>", credentials.WebSessionView.as_view()),
    path("agent-logins/device", credentials.DeviceLoginView.as_view()),
    path("agent-logins/<str:login_id>", credentials.AgentLoginView.as_view()),
    path("agent-logins/<str:login_id>/confirm", credentials.AgentLoginConfirmView.as_view()),
    path("agent-logins/<str:login_id>/deny", credentials.AgentLoginDenyView.as_view()),
    *router.urls,
]
