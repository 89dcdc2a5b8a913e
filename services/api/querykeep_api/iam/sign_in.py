"""Sign-in with a password: lockout, equal answers for known and unknown people, password change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from querykeep_api.iam import web_sessions
from querykeep_api.iam.actions import (
    do_create_user,
    do_set_role_holders,
    lock_user,
    user_subject,
)
from querykeep_api.iam.models import OwnerLink, PasswordRecord, Role, User, WebSession
from querykeep_api.iam.passwords import (
    check_new_password,
    hash_password,
    needs_rehash,
    temporary_password,
    verify_password,
)
from querykeep_api.iam.permissions_of import OWNER_ROLE
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import InvalidInput, NotSignedIn
from querykeep_api.kernel.ids import random_text
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.policy_version import raise_version
from querykeep_api.kernel.secrets import token_hash

MAX_TRIES = 5
LOCK_TIME = timedelta(minutes=60)
TEMPORARY_TIME = timedelta(hours=24)
OWNER_LINK_TIME = timedelta(hours=24)

# One text for an unknown name, a wrong password, a locked and a deactivated account: a different
# one would tell which names exist, or whether a guess was right while the account is locked.
_REFUSED = (
    "Wrong user name or password, or the account is locked for now "
    f"(after {MAX_TRIES} wrong tries, for {int(LOCK_TIME.total_seconds() // 60)} minutes). "
    "An administrator can unlock it or give a temporary password."
)


def do_sign_in(
    username: str, password: str, *, address: str, program: str
) -> tuple[WebSession, str]:
    """Sign a person in and return his new web session with the cookie's key.

    Raises:
        NotSignedIn: With one text for every reason.
    """
    key = username.casefold()[:150]
    user = None if "\x00" in key else User.everything.filter(username_key=key).first()
    # Hashing takes tens of milliseconds: it stays outside of the write transaction.
    fits = verify_password(user.password_hash if user is not None else "", password)
    with transaction.atomic():
        session = _judge(user, fits, password, username, address, program)
    if session is None:
        raise NotSignedIn(_REFUSED, code="bad_credentials")
    return session


def _judge(
    found: User | None, fits: bool, password: str, username: str, address: str, program: str
) -> tuple[WebSession, str] | None:
    """Return the new session, or None; both are recorded."""
    now = clock.now()
    if found is None:
        stranger = _Stranger(username[:150])
        _refused(SubjectRef("user", "", stranger.username), stranger, "unknown user")
        return None
    user = User.everything.select_for_update().get(pk=found.pk)
    if user.password_hash != found.password_hash:
        fits = False  # changed since it was verified
    if user.is_locked(now):
        _refused(user_subject(user), user, "account locked")
        return None
    if not fits or not user.is_active or _temporary_over(user):
        if not fits:
            _count_failure(user)
        why = "wrong password" if not fits else "account inactive or temporary password over"
        _refused(user_subject(user), user, why)
        return None
    user.failed_sign_ins = 0
    user.failing_since = None
    user.locked_until = None
    user.last_sign_in_at = now
    if needs_rehash(user.password_hash):
        user.password_hash = hash_password(password)
    user.save()
    session = web_sessions.open_session(user, address=address, program=program)
    record(
        "sign_in.succeeded",
        actor=user,
        subject=user_subject(user),
        summary=f"{user.username} signed in",
        after={"program": program[:300]},
    )
    return session


def _temporary_over(user: User) -> bool:
    until = user.temporary_password_until
    return user.must_change_password and until is not None and until <= clock.now()


def _count_failure(user: User) -> None:
    now = clock.now()
    if user.failing_since is None or now - user.failing_since > LOCK_TIME:
        user.failing_since = now
        user.failed_sign_ins = 0
    user.failed_sign_ins += 1
    if user.failed_sign_ins >= MAX_TRIES:
        user.locked_until = now + LOCK_TIME
        user.failed_sign_ins = 0
        user.failing_since = None
        record(
            "user.locked",
            actor=None,
            subject=user_subject(user),
            summary=f"Locked {user.username} after {MAX_TRIES} wrong passwords",
            after={"locked_until": user.locked_until.isoformat()},
        )
    user.save(update_fields=["failing_since", "failed_sign_ins", "locked_until"])


@dataclass(frozen=True, slots=True)
class _Stranger:
    """Whoever tried a name that nobody has: events say which, and alerts count it by that."""

    username: str
    id: str = ""


def _refused(subject: SubjectRef, actor: User | _Stranger, why: str) -> None:
    record(
        "sign_in.refused",
        actor=actor,
        subject=subject,
        summary=f"Sign-in of {subject.name} refused: {why}",
    )


def do_sign_out(session_id: str, *, acting_user: User) -> None:
    """End the present web session."""
    with transaction.atomic():
        web_sessions.end_sessions(acting_user, only_id=session_id)
        record(
            "sign_out",
            actor=acting_user,
            subject=user_subject(acting_user),
            summary=f"{acting_user.username} signed out",
        )


def do_change_password(
    user: User, *, current: str, new: str, keep_session_id: str, acting_user: User
) -> None:
    """Change one's own password; every other web session ends.

    Raises:
        InvalidInput: The current password is wrong (it counts as a failed sign-in), or the new one
            breaks the policy.
        NotSignedIn: The account is locked by too many wrong tries, or an administrator gave it
            another password or deactivated it meanwhile.
    """
    if user.is_locked(clock.now()):
        raise NotSignedIn(_REFUSED, code="bad_credentials")
    if not verify_password(user.password_hash, current):
        with transaction.atomic():
            locked = User.everything.select_for_update().get(pk=user.pk)
            _count_failure(locked)
        text = "The current password is wrong."
        raise InvalidInput(text, code="bad_credentials", fields={"current": [text]})
    check_new_password(user, new)
    verified = user.password_hash
    with transaction.atomic():
        lock_user(user)
        if user.password_hash != verified or not user.is_active or user.is_locked(clock.now()):
            raise NotSignedIn(_REFUSED, code="bad_credentials")
        _store_password(user, new)
        user.must_change_password = False
        user.temporary_password_until = None
        user.save()
        user.raise_revision()
        web_sessions.end_sessions(user, except_id=keep_session_id)
        record(
            "user.password_changed",
            actor=acting_user,
            subject=user_subject(user),
            summary=f"{user.username} changed his password",
        )


@transaction.atomic
def do_set_temporary_password(user: User, *, acting_user: User | None) -> str:
    """Give a temporary password (valid 24 hours, to be changed at once), end all sessions, unlock.

    Returns:
        The password, which is stored as a hash only.
    """
    password = temporary_password()
    _store_password(user, password)
    user.must_change_password = True
    user.temporary_password_until = clock.now() + TEMPORARY_TIME
    user.locked_until = None
    user.failed_sign_ins = 0
    user.save()
    user.raise_revision()
    web_sessions.end_sessions(user)
    record(
        "user.temporary_password_set",
        actor=acting_user,
        subject=user_subject(user),
        summary=f"Gave {user.username} a temporary password",
    )
    return password


def _store_password(user: User, password: str) -> None:
    if user.password_hash:
        PasswordRecord.objects.create(user=user, password_hash=user.password_hash)
    user.password_hash = hash_password(password)
    user.password_changed_at = clock.now()


@transaction.atomic
def do_make_owner_link() -> str:
    """Return the secret of a new one-time link that makes an owner (24 hours, once)."""
    secret = random_text(200)
    link = OwnerLink.objects.create(
        secret_hash=token_hash(secret), expires_at=clock.now() + OWNER_LINK_TIME
    )
    record(
        "owner_link.created",
        actor=None,
        subject=SubjectRef("owner_link", link.pk, "owner link"),
        summary="Made a one-time link for an owner",
    )
    return secret


def do_use_owner_link(
    secret: str, *, username: str, display_name: str, password: str, address: str, program: str
) -> tuple[WebSession, str]:
    """Make an owner account through a one-time link and sign it in.

    Raises:
        NotSignedIn: The link is unknown, used or too old.
        InvalidInput: The name is taken or the password breaks the policy.
    """
    now = clock.now()
    check_new_password(
        User(username=username, display_name=display_name), password, field="password"
    )
    with transaction.atomic():
        used = OwnerLink.objects.filter(
            secret_hash=token_hash(secret), used_at=None, expires_at__gt=now
        ).update(used_at=now)
        if not used:
            raise NotSignedIn(
                "This link was used already or is too old. Run 'querykeep create-owner' again.",
                code="bad_link",
            )
        user = do_create_user(
            username=username, display_name=display_name, password=password, acting_user=None
        )
        owner = Role.objects.get(name=OWNER_ROLE)
        do_set_role_holders(owner, users=[*owner.users.all(), user], acting_user=None)
        raise_version("user", user.pk)
        return web_sessions.open_session(user, address=address, program=program)
