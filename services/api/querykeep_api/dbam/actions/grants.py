"""Makes, changes and deletes privileges and grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from querykeep_api.dbam.models import Connection, Grant, Privilege
from querykeep_api.dbam.models.grants import UNUSED
from querykeep_api.iam.facade import Group, User
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict, InvalidInput
from querykeep_api.kernel.outbox import SubjectRef, differences, record
from querykeep_api.kernel.policy_version import raise_version

PRIVILEGE_FIELDS = ("name", "description", "kinds", "functions")
GRANT_FIELDS = ("objects_json", "valid_from", "valid_until", "hours")


def grant_subject(grant: Grant) -> SubjectRef:
    """Return how events name a grant."""
    return SubjectRef("grant", grant.pk, grant_name(grant), grant.connection_id)


def grant_name(grant: Grant) -> str:
    """Return ``holder, privilege, connection`` for people."""
    holder = grant.user.username if grant.user is not None else f"group {grant.group}"
    return f"{holder}: {grant.privilege.name} on {grant.connection.name}"


@transaction.atomic
def do_create_privilege(data: Mapping[str, Any], *, acting_user: User | None) -> Privilege:
    """Make a privilege; raises InvalidInput when the name is taken."""
    _check_privilege_name(data["name"])
    privilege = Privilege.objects.create(
        **{name: data[name] for name in PRIVILEGE_FIELDS if name in data}
    )
    record(
        "privilege.created",
        actor=acting_user,
        subject=SubjectRef("privilege", privilege.pk, privilege.name),
        summary=f"Added the privilege {privilege.name}",
        after=_privilege_snapshot(privilege),
    )
    return privilege


@transaction.atomic
def do_change_privilege(
    privilege: Privilege, data: Mapping[str, Any], *, acting_user: User | None
) -> None:
    """Change a privilege of one's own; raises Conflict for a built-in one."""
    before = _privilege_snapshot(privilege)
    for name in PRIVILEGE_FIELDS:
        if name in data:
            setattr(privilege, name, data[name])
    changed_before, changed_after = differences(before, _privilege_snapshot(privilege))
    if not changed_after:
        return
    if privilege.is_builtin:
        raise Conflict(
            f"The privilege {before['name']} is built in: make a privilege of your own instead."
        )
    if "name" in changed_after:
        _check_privilege_name(privilege.name, except_pk=privilege.pk)
    privilege.save()
    privilege.raise_revision()
    raise_version("all")
    record(
        "privilege.changed",
        actor=acting_user,
        subject=SubjectRef("privilege", privilege.pk, privilege.name),
        summary=f"Changed the privilege {privilege.name}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_privilege(privilege: Privilege, *, acting_user: User | None) -> None:
    """Delete a privilege; raises Conflict for one that is built in or granted to someone."""
    if privilege.is_builtin:
        raise Conflict(f"The privilege {privilege.name} is built in and stays.")
    if Grant.everything.filter(privilege=privilege).exists():
        raise Conflict(f"The privilege {privilege.name} is granted: delete those grants first.")
    subject = SubjectRef("privilege", privilege.pk, privilege.name)
    before = _privilege_snapshot(privilege)
    privilege.delete()
    record(
        "privilege.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the privilege {subject.name}",
        before=before,
    )


@transaction.atomic
def do_create_grant(
    *,
    user: User | None,
    group: Group | None,
    connection: Connection,
    privilege: Privilege,
    data: Mapping[str, Any] | None = None,
    acting_user: User | None,
) -> Grant:
    """Give a privilege to a person or to a group (exactly one of them)."""
    grant = Grant.everything.create(
        user=user,
        group=group,
        connection=connection,
        privilege=privilege,
        created_by=acting_user,
        **{name: (data or {})[name] for name in GRANT_FIELDS if name in (data or {})},
    )
    raise_version("connection", connection.pk)
    record(
        "grant.created",
        actor=acting_user,
        subject=grant_subject(grant),
        summary=f"Granted {grant_name(grant)}",
        after=_grant_snapshot(grant),
    )
    return grant


@transaction.atomic
def do_change_grant(grant: Grant, data: Mapping[str, Any], *, acting_user: User | None) -> None:
    """Change privilege, objects, dates or hours of a grant; a dormant one wakes.

    Raises:
        Conflict: Another holder or connection is named: that is another grant.
    """
    for name in ("user", "group", "connection"):
        if name in data and data[name] != getattr(grant, name):
            raise Conflict(
                f"A grant keeps its {name}. Delete it and make another one.", code="fixed_field"
            )
    before = _grant_snapshot(grant)
    grant.privilege = data.get("privilege", grant.privilege)
    for name in GRANT_FIELDS:
        if name in data:
            setattr(grant, name, data[name])
    grant.is_dormant = grant.is_asleep = False
    grant.expiry_noted_at = None
    changed_before, changed_after = differences(before, _grant_snapshot(grant))
    if not changed_after:
        return
    grant.save()
    grant.raise_revision()
    raise_version("connection", grant.connection_id)
    record(
        "grant.changed",
        actor=acting_user,
        subject=grant_subject(grant),
        summary=f"Changed the grant {grant_name(grant)}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_grant(grant: Grant, *, acting_user: User | None) -> None:
    """Take a grant away: open sessions that nothing else covers end within a second."""
    subject, before = grant_subject(grant), _grant_snapshot(grant)
    connection_id = grant.connection_id
    grant.delete()
    raise_version("connection", connection_id)
    record(
        "grant.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Revoked {subject.name}",
        before=before,
    )


def do_note_expired_grants() -> list[str]:
    """Record grants that ran out and were not noted yet; return their names."""
    now = clock.now()
    expired = Grant.everything.filter(valid_until__lte=now, expiry_noted_at=None)
    return _note(expired, "grant.expired", "Ran out: ", {"expiry_noted_at": now})


def do_report_dormant_grants(unused_for: timedelta) -> list[str]:
    """Note grants that nobody used for so long, each once; return the names of the new ones. They
    go on holding; the next use takes the note away."""
    before = clock.now() - unused_for
    idle = Grant.everything.filter(
        Q(last_used_at__lt=before) | Q(last_used_at=None, updated_at__lt=before), is_dormant=False
    ).exclude(valid_until__lte=clock.now())
    text = f"Unused for {unused_for.days} days: "
    return _note(idle, "grant.dormant", text, {"is_dormant": True}, changes_policy=False)


def do_put_dormant_grants_to_sleep() -> list[str]:
    """Let reported grants hold no more; return their names. A change wakes a grant."""
    reported = Grant.everything.filter(is_dormant=True, is_asleep=False).exclude(
        valid_until__lte=clock.now()
    )
    return _note(reported, "grant.put_to_sleep", "Unused, put to sleep: ", {"is_asleep": True})


def names_of_dormant_grants() -> list[str]:
    """Return the names of all grants that stand reported as unused."""
    rows = Grant.everything.filter(UNUSED).exclude(valid_until__lte=clock.now()).order_by("id")
    return [grant_name(grant) for grant in rows]


def _note(
    grants: Iterable[Grant],
    kind: str,
    text: str,
    changes: Mapping[str, object],
    *,
    changes_policy: bool = True,
) -> list[str]:
    names = []
    for grant in list(grants):
        with transaction.atomic():
            if not Grant.everything.filter(pk=grant.pk).update(**changes):
                continue
            if changes_policy:
                raise_version("connection", grant.connection_id)
            record(
                kind,
                actor=None,
                subject=grant_subject(grant),
                summary=f"{text}{grant_name(grant)}",
            )
        names.append(grant_name(grant))
    return names


def _privilege_snapshot(privilege: Privilege) -> dict[str, Any]:
    return {name: getattr(privilege, name) for name in PRIVILEGE_FIELDS}


def _grant_snapshot(grant: Grant) -> dict[str, Any]:
    return {
        "user": grant.user.username if grant.user is not None else None,
        "group": grant.group.name if grant.group is not None else None,
        "connection": grant.connection.name,
        "privilege": grant.privilege.name,
        "objects": grant.objects_json,
        "valid_from": grant.valid_from.isoformat() if grant.valid_from else None,
        "valid_until": grant.valid_until.isoformat() if grant.valid_until else None,
        "hours": grant.hours,
        "is_asleep": grant.is_asleep,
    }


def _check_privilege_name(name: str, *, except_pk: str = "") -> None:
    if Privilege.objects.filter(name__iexact=name).exclude(pk=except_pk).exists():
        text = f"The name {name} is taken."
        raise InvalidInput(text, code="name_taken", fields={"name": [text]})
