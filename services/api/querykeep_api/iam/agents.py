"""Agent sign-in: the login page's half and the wire's half, device codes, rotating tokens.

The code of a login is the wire half followed by the browser half. The wire half goes back over the
agent sign-in port, the browser half by redirect to the agent's own loopback port; in device mode
there is no browser half, and the wire half is the whole code. Both derive from the root key and the
login id, so that nothing that could be redeemed is stored.

What an agent signs with its Ed25519 key (UTF-8, no final newline):
    login:    ``querykeep-login\\n<login_id>\\n<code>``
    refresh:  ``querykeep-refresh\\n<sha256 hex of the refresh token>\\n<timestamp>``
    ticket:   ``querykeep-establish\\n<connection>\\n<timestamp>\\n<sha256 hex of access token>``
    redeem:   ``querykeep-ticket\\n<ticket>``
Timestamps are whole seconds since 1970 in decimal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction

from querykeep_api.iam.agent_keys import bad_agent_grant, public_key, verify_signature, wrong_field
from querykeep_api.iam.agent_tokens import AgentTokens, agent_subject, issue_tokens
from querykeep_api.iam.models import Agent, AgentLogin, DeviceCodeTry, User
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import NotFound, TooManyTries
from querykeep_api.kernel.ids import encode
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.secrets import keyed_hash

LOGIN_TIME = timedelta(minutes=10)
DEVICE_TIME = timedelta(minutes=5)
DEVICE_TRIES = 5
LOGINS_PER_ADDRESS = 300  # begun within LOGIN_TIME: anyone may begin one, and each is a row
_DEVICE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1: no vowels, no look-alikes
_LOGIN_ID = re.compile(r"[0-9a-f]{32}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def do_start_login(
    *,
    login_id: str,
    code_challenge: str,
    agent_key: str,
    mode: str,
    machine: str,
    address: str,
    redirect_port: int | None,
) -> tuple[AgentLogin, str]:
    """Note a login that an agent began; return it with the short code of device mode (or "").

    Raises:
        InvalidInput: A field has the wrong shape, or the login id is taken.
        TooManyTries: Too many were begun from this address.
    """
    if not _LOGIN_ID.fullmatch(login_id):
        raise wrong_field("login_id", "Expected 128 random bits as 32 hex digits.")
    if not _CHALLENGE.fullmatch(code_challenge):
        raise wrong_field("code_challenge", "Expected a PKCE S256 challenge (43 characters).")
    if mode not in ("browser", "device"):
        raise wrong_field("mode", "Expected browser or device.")
    if mode == "browser" and not (redirect_port and 1024 <= redirect_port <= 65535):
        raise wrong_field("redirect_port", "Expected the agent's loopback port (1024-65535).")
    public_key(agent_key)
    now = clock.now()
    recent = AgentLogin.objects.filter(address=address[:64], requested_at__gt=now - LOGIN_TIME)
    if recent.count() >= LOGINS_PER_ADDRESS:
        raise TooManyTries("Too many sign-ins were begun from this address. Try again later.")
    user_code = _new_user_code() if mode == "device" else ""
    try:
        with transaction.atomic():
            login = AgentLogin.objects.create(
                login_id=login_id,
                code_challenge=code_challenge,
                agent_key=agent_key,
                mode=mode,
                machine=machine[:200],
                address=address[:64],
                redirect_port=redirect_port if mode == "browser" else None,
                user_code_hash=_user_code_hash(user_code) if user_code else "",
                requested_at=now,
                expires_at=now + (DEVICE_TIME if mode == "device" else LOGIN_TIME),
            )
    except IntegrityError as error:
        raise wrong_field("login_id", "This login id was used already.") from error
    return login, user_code


def login_state(login: AgentLogin) -> str:
    """Return waiting, confirmed, denied, redeemed or expired."""
    waiting = login.state in (AgentLogin.State.WAITING, AgentLogin.State.CONFIRMED)
    if waiting and login.expires_at <= clock.now():
        return "expired"
    return login.state


def wire_half(login: AgentLogin) -> str:
    """Return the half that goes back over the agent sign-in port."""
    return _half(login, "wire")


def browser_half(login: AgentLogin) -> str:
    """Return the half that goes by redirect; empty in device mode."""
    return _half(login, "browser") if login.mode == "browser" else ""


def login_progress(login_id: str) -> tuple[str, str]:
    """Return (state, wire half once confirmed) for the agent that waits on its port."""
    login = AgentLogin.objects.filter(login_id=login_id).first()
    if login is None:
        raise NotFound("There is no such sign-in request. Run 'qk login' again.")
    state = login_state(login)
    if state == AgentLogin.State.REDEEMED:
        return "expired", ""  # the agent has its tokens; nothing is left to collect
    return state, wire_half(login) if state == AgentLogin.State.CONFIRMED else ""


def access_login(login_id: str, person: User) -> AgentLogin:
    """Return a login that still waits for its person.

    In device mode the code that goes back over the wire is whole: whoever confirms lets the agent
    in. So only who typed the short code of the terminal reaches it, and a link is worth nothing.

    Raises:
        NotFound: There is none, it is over, or it is not this person's to answer.
    """
    login = AgentLogin.objects.filter(login_id=login_id).first()
    if login is None or login_state(login) in ("expired", "redeemed"):
        raise NotFound("This sign-in request is over. Run 'qk login' again.")
    if login.mode == "device" and login.user_id != person.pk:
        raise NotFound("Type the code that your terminal shows.")
    return login


@transaction.atomic
def do_confirm_login(login: AgentLogin, *, acting_user: User) -> None:
    """Confirm a login for a person; once, and only while it waits.

    Raises:
        NotFound: It was answered already, or is over.
    """
    waiting = AgentLogin.objects.filter(
        pk=login.pk, state=AgentLogin.State.WAITING, expires_at__gt=clock.now()
    )
    if login.mode == "device":
        waiting = waiting.filter(user=acting_user)
    confirmed = waiting.update(state=AgentLogin.State.CONFIRMED, user=acting_user)
    if not confirmed:
        raise NotFound("This sign-in request is over. Run 'qk login' again.")
    login.refresh_from_db()
    record(
        "agent_login.confirmed",
        actor=acting_user,
        subject=_login_subject(login),
        summary=f"{acting_user.username} confirmed the agent on {login.machine}",
        after={"machine": login.machine, "agent_address": login.address, "mode": login.mode},
    )


@transaction.atomic
def do_deny_login(login: AgentLogin, *, acting_user: User) -> None:
    """Turn a login down."""
    denied = AgentLogin.objects.filter(pk=login.pk, state=AgentLogin.State.WAITING).update(
        state=AgentLogin.State.DENIED
    )
    if denied:
        record(
            "agent_login.denied",
            actor=acting_user,
            subject=_login_subject(login),
            summary=f"{acting_user.username} turned down the agent on {login.machine}",
            after={"machine": login.machine, "agent_address": login.address},
        )


def do_find_device_login(user_code: str, *, acting_user: User) -> AgentLogin:
    """Return the waiting login of a short code that a person typed.

    Raises:
        TooManyTries: Five wrong codes within five minutes.
        NotFound: No such code waits.
    """
    now = clock.now()
    since = now - DEVICE_TIME
    with transaction.atomic():
        DeviceCodeTry.objects.filter(at__lt=since).delete()
        User.everything.select_for_update().get(pk=acting_user.pk)
        blocked = DeviceCodeTry.objects.filter(user=acting_user).count() >= DEVICE_TRIES
        login = None
        if not blocked:
            login = AgentLogin.objects.filter(
                user_code_hash=_user_code_hash(user_code),
                mode="device",
                state=AgentLogin.State.WAITING,
                expires_at__gt=now,
            ).first()
            if login is None:
                DeviceCodeTry.objects.create(user=acting_user, at=now)
            else:
                login.user = acting_user  # his to answer now, and nobody else's
                login.save(update_fields=["user"])
    if blocked:
        raise TooManyTries(
            f"Too many wrong codes. Try again in {int(DEVICE_TIME.total_seconds() // 60)} minutes."
        )
    if login is None:
        raise NotFound("No agent waits with this code. Compare it with your terminal.")
    return login


def do_redeem_login(
    *, login_id: str, code: str, code_verifier: str, signature: bytes
) -> AgentTokens:
    """Give an agent its first tokens for a confirmed login, once.

    Raises:
        NotSignedIn: Anything about it is wrong; the text does not say what.
    """
    login = AgentLogin.objects.select_related("user").filter(login_id=login_id).first()
    if login is None or login.user is None or not login.user.is_active:
        raise bad_agent_grant()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest())
    whole = wire_half(login) + browser_half(login)
    fits = (
        hmac.compare_digest(code.encode(), whole.encode())
        and hmac.compare_digest(challenge.rstrip(b"="), login.code_challenge.encode())
        and verify_signature(login.agent_key, f"querykeep-login\n{login_id}\n{code}", signature)
    )
    if not fits:
        raise bad_agent_grant()
    with transaction.atomic():
        redeemed = AgentLogin.objects.filter(
            pk=login.pk, state=AgentLogin.State.CONFIRMED, expires_at__gt=clock.now()
        ).update(state=AgentLogin.State.REDEEMED)
        if not redeemed:
            raise bad_agent_grant()
        agent = Agent.everything.create(
            user=login.user,
            machine=login.machine,
            address=login.address,
            agent_key=login.agent_key,
            last_used_at=clock.now(),
        )
        login.user.last_sign_in_at = clock.now()
        login.user.save(update_fields=["last_sign_in_at"])
        record(
            "agent.signed_in",
            actor=login.user,
            subject=agent_subject(agent),
            summary=f"{login.user.username} signed in with the agent on {agent.machine}",
            address=agent.address,
        )
        return issue_tokens(agent)


def _half(login: AgentLogin, which: str) -> str:
    digest = keyed_hash("agent-login", f"{which}\n{login.login_id}".encode(), 20)
    return encode(int.from_bytes(digest, "big"), 32)


def _new_user_code() -> str:
    letters = "".join(secrets.choice(_DEVICE_ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def _user_code_hash(user_code: str) -> str:
    plain = "".join(c for c in user_code.upper() if c.isalpha())
    return keyed_hash("device-code", plain.encode()).hex()


def _login_subject(login: AgentLogin) -> SubjectRef:
    return SubjectRef("agent_login", login.login_id, login.machine)
