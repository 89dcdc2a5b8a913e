"""The calls of docs/seams.md, "Internal API", but for the audit records (app auditlog)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework import status
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.dbam import facade as dbam
from querykeep_api.iam import facade as iam
from querykeep_api.internal import bodies
from querykeep_api.kernel.errors import InvalidInput, NotFound, NotSignedIn
from querykeep_api.kernel.policy_version import current_version
from querykeep_api.kernel.service_auth import IsService, Service, ServiceAuthentication
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.codec import dumps, to_json
from querykeep_guard.contracts.session import Route


class InternalView(APIView):
    """Base: only services, each by its own key; hidden from the public schema."""

    authentication_classes = (ServiceAuthentication,)
    parser_classes = (JSONParser,)
    permission_classes = (IsService,)
    schema = None
    services: ClassVar[tuple[str, ...]] = ("proxy", "middleware")


def _service(request: Request) -> str:
    service = request.auth
    assert isinstance(service, Service)
    return service.name


class ConnectionsView(InternalView):
    """Ports to listen on."""

    def get(self, request: Request) -> Response:
        """Return every connection with the policy version."""
        version = current_version()
        infos = [to_json(info) for info in dbam.connection_infos()]
        return Response({"version": version, "connections": infos})


class ChallengeView(InternalView):
    """A mechanism's challenge."""

    services = ("proxy",)

    def post(self, request: Request) -> Response:
        """Return the server's first message; unknown users get a steady fake one."""
        body = bodies.read_body(bodies.ChallengeBody, request)
        challenge_id, data = dbam.make_challenge(
            dbam.access_connection(body.connection_id),
            mechanism=body.mechanism,
            username=body.username,
            data=body.data,
            gs2_header=body.gs2_header,
            channel_binding=body.channel_binding,
            tls=body.tls,
        )
        return Response({"challenge_id": challenge_id, "data": to_json(data)})


class ProveView(InternalView):
    """A client's proof."""

    services = ("proxy",)

    def post(self, request: Request) -> Response:
        """Open the session that the proof earns."""
        body = bodies.read_body(bodies.ProveBody, request)
        if body.route is not Route.AGENTLESS:
            raise InvalidInput("Only agentless sessions sign in with a proxy token.")
        grant, data = dbam.prove(
            dbam.access_connection(body.connection_id),
            username=body.username,
            proof=dbam.Proof(body.mechanism, body.data, body.nonce, body.challenge_id),
            database=body.database,
            client=body.client,
            tls=body.tls,
            ep=body.ep,
        )
        return Response({"grant": to_json(grant), "data": to_json(data)})


class TicketsView(InternalView):
    """Tickets for agents."""

    services = ("proxy",)

    def post(self, request: Request) -> Response:
        """Give a ticket for one session."""
        body = bodies.read_body(bodies.TicketBody, request)
        ticket, expires_at, connection = dbam.make_ticket(
            access_token=body.access_token,
            connection_ref=body.connection,
            verifiers=body.verifiers,
            timestamp=str(body.proof.timestamp),
            signature=body.proof.signature,
        )
        return Response(
            {
                "ticket": ticket,
                "expires_at": to_json(expires_at),
                "connection": to_json(dbam.connection_info(connection)),
            }
        )


class RedeemView(InternalView):
    """Redeems a ticket."""

    services = ("proxy",)

    def post(self, request: Request) -> Response:
        """Open the ticket's session, once."""
        body = bodies.read_body(bodies.RedeemBody, request)
        grant = dbam.redeem_ticket(
            ticket=body.ticket, signature=body.signature, client=body.client, ep=body.ep
        )
        return Response({"grant": to_json(grant)})


class EditorSessionView(InternalView):
    """Sessions of the web editor."""

    services = ("middleware",)

    def post(self, request: Request) -> Response:
        """Open a session for a person who is signed in to the web UI."""
        body = bodies.read_body(bodies.EditorBody, request)
        session = iam.resolve_web_session(body.cookie)
        if session is None or session.user.must_change_password:
            raise NotSignedIn("Your web session has ended: sign in again.", code="signed_out")
        grant = dbam.open_session(
            session.user,
            dbam.access_connection(body.connection_id),
            route=Route.EDITOR,
            client=body.client,
            ep=body.ep,
            web_session=session,
        )
        return Response({"grant": to_json(grant)})


class ResolveView(InternalView):
    """Who is behind a browser's cookie."""

    services = ("middleware",)

    def post(self, request: Request) -> Response:
        """Return the person of a live web session; its idle time begins anew where he was seen."""
        body = bodies.read_body(bodies.ResolveBody, request)
        session = iam.resolve_web_session(body.cookie, seen=body.seen)
        if session is None:
            raise NotSignedIn("The web session has ended.", code="signed_out")
        user = session.user
        return Response(
            {
                "user": {
                    "id": user.pk,
                    "username": user.username,
                    "display_name": user.display_name,
                    "language": user.language,
                },
                "permissions": sorted(iam.permissions_of(user)),
                "session_id": session.pk,
                "expires_at": to_json(iam.ends_at(session)),
            }
        )


class HeartbeatView(InternalView):
    """Heartbeats of enforcement points."""

    def post(self, request: Request) -> Response:
        """Take a report, answer with what must change."""
        beat = bodies.read_body(dbam.Heartbeat, request)
        answer = dbam.take_heartbeat(beat, service=_service(request))
        return Response(
            {
                "version": answer.version,
                "changes": [{"kind": change.kind, "id": change.id} for change in answer.changes],
                "end": [
                    {
                        "session_id": session_id,
                        "reason": end.reason.value,
                        "message": end.message,
                    }
                    for session_id, end in answer.end
                ],
                "cancel": list(answer.cancel),
            }
        )


class PoliciesView(InternalView):
    """Fresh policies of live sessions."""

    def post(self, request: Request) -> Response:
        """Return each session's policy, or why it has none any more."""
        body = bodies.read_body(bodies.PoliciesBody, request)
        policies, ended = dbam.policies_of(body.sessions, service=_service(request))
        return Response(
            {
                "policies": {key: to_json(policy) for key, policy in policies.items()},
                "ended": {
                    key: {"reason": end.reason.value, "message": end.message}
                    for key, end in ended.items()
                },
            }
        )


class CatalogView(InternalView):
    """The catalog of a connection."""

    def get(self, request: Request, connection_id: str) -> HttpResponse:
        """Return the newest catalog (or ``?version=FINGERPRINT``), 304 when it is known."""
        stored = dbam.catalog_payload(connection_id, request.query_params.get("version", ""))
        if stored is None:
            raise NotFound("The connection was never crawled.")
        fingerprint, payload = stored
        etag = f'"{fingerprint}"'
        if request.META.get("HTTP_IF_NONE_MATCH", "") in (etag, fingerprint):
            return HttpResponse(status=304, headers={"ETag": etag})
        return HttpResponse(payload, content_type="application/json", headers={"ETag": etag})

    def put(self, request: Request, connection_id: str) -> Response:
        """Store a catalog as an enforcement point re-crawled it."""
        connection = dbam.access_connection(connection_id)
        catalog = bodies.read_body(Catalog, request)
        stored = dbam.do_store_catalog(connection, catalog)
        return Response({"version": stored.fingerprint})


class TargetView(InternalView):
    """The target of a connection, for catalog watch and cancel."""

    def get(self, request: Request, connection_id: str) -> HttpResponse:
        """Return it while the asking service runs a live session there."""
        target = dbam.target_for_watch(connection_id, service=_service(request))
        return HttpResponse(dumps(target), content_type="application/json")


class AgentLoginsView(InternalView):
    """Agent sign-ins."""

    services = ("middleware",)

    def post(self, request: Request) -> Response:
        """Note a login that an agent began."""
        body = bodies.read_body(bodies.AgentLoginBody, request)
        login, user_code = iam.do_start_login(
            login_id=body.login_id,
            code_challenge=body.code_challenge,
            agent_key=body.agent_key,
            mode=body.mode,
            machine=body.machine,
            address=body.address,
            redirect_port=body.redirect_port,
        )
        answer: dict[str, Any] = {"expires_at": to_json(login.expires_at)}
        if user_code:
            answer["user_code"] = user_code
        return Response(answer, status=status.HTTP_201_CREATED)


class AgentLoginView(InternalView):
    """One agent sign-in."""

    services = ("middleware",)

    def get(self, request: Request, login_id: str) -> Response:
        """Return its state, and the wire half once it is confirmed."""
        state, half = iam.login_progress(login_id)
        answer = {"state": state}
        if half:
            answer["code_half"] = half
        return Response(answer)


class AgentTokensView(InternalView):
    """Tokens of agents."""

    services = ("middleware",)

    def post(self, request: Request) -> Response:
        """Give tokens for a confirmed login or a refresh token."""
        body = bodies.read_body(bodies.AgentTokenBody, request)
        if body.grant == "login":
            tokens = iam.do_redeem_login(
                login_id=body.login_id,
                code=body.code,
                code_verifier=body.code_verifier,
                signature=body.signature,
            )
        elif body.grant == "refresh":
            tokens = iam.do_refresh(
                refresh_token=body.refresh_token,
                timestamp=body.timestamp,
                signature=body.signature,
            )
        else:
            raise InvalidInput("grant: expected login or refresh")
        user = tokens.agent.user
        return Response(
            {
                "access_token": tokens.access_token,
                "access_expires_at": to_json(tokens.access_expires_at),
                "refresh_token": tokens.refresh_token,
                "refresh_expires_at": to_json(tokens.refresh_expires_at),
                "user": {
                    "id": user.pk,
                    "username": user.username,
                    "display_name": user.display_name,
                    "language": user.language,
                },
            }
        )


class AgentRevokeView(InternalView):
    """Signs an agent out."""

    services = ("middleware",)

    def post(self, request: Request) -> Response:
        """Revoke the agent of a refresh token."""
        iam.do_revoke_by_token(bodies.read_body(bodies.RevokeBody, request).refresh_token)
        return Response({})


class AgentConnectionsView(InternalView):
    """What an agent's person may use."""

    services = ("proxy",)

    def get(self, request: Request) -> Response:
        """Return the connections, with label and client program."""
        agent = iam.agent_of_access_token(request.META.get("HTTP_X_QUERYKEEP_ACCESS", ""))
        if agent is None:
            raise NotSignedIn(
                "The agent's sign-in does not hold any more. Run 'qk login' again.",
                code="bad_agent_token",
            )
        return Response({"connections": dbam.agent_connections(agent.user)})
