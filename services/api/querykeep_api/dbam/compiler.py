"""``compile_policy``: grants and rules of one person on one connection -> SessionPolicy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from querykeep_api.dbam.models import (
    AccessRule,
    Connection,
    Grant,
    MaskingRule,
    Rule,
    StatementRule,
)
from querykeep_api.dbam.patterns import allowed_hours, masker_spec, object_patterns
from querykeep_api.iam.facade import User, groups_of
from querykeep_api.kernel.policy_version import current_version
from querykeep_api.kernel.secrets import purpose_key
from querykeep_guard.contracts import policy as contract
from querykeep_guard.masking import MASKERS

R = TypeVar("R", bound=Rule)
_COMPILED_S = 5.0
_COMPILED_POLICIES = 512
_compiled: dict[tuple[str, ...], tuple[float, contract.SessionPolicy]] = {}


def compile_policy(user: User, connection: Connection) -> contract.SessionPolicy:
    """Return everything that decides for ``user`` on ``connection``.

    The version is read first: a change that lands meanwhile makes the policy newer than its version
    says, so that it is fetched once more, never the other way round. Grants that ran out or sleep
    are left out; those that begin later, and hours, stay in it as data.
    """
    version = current_version()
    groups = groups_of(user)
    group_ids = [group.id for group in groups]
    masking = _rules(MaskingRule, user, group_ids, connection)
    needs_key = any(MASKERS[rule.masker["kind"]].secret_key for rule, _ in masking)
    return contract.SessionPolicy(
        version=version,
        subject=contract.Subject(
            user_id=user.pk,
            username=user.username,
            display_name=user.display_name,
            group_ids=tuple(group_ids),
            group_names=tuple(group.name for group in groups),
        ),
        connection_id=connection.pk,
        connection_name=connection.name,
        engine=connection.engine,
        database=connection.database,
        grants=_grants(user, connection),
        access_rules=tuple(
            contract.AccessRule(
                id=rule.pk,
                name=rule.name,
                objects=object_patterns(rule.objects_json),
                columns_only=all(_names_column(item) for item in rule.objects_json or [{}]),
                exempt=exempt,
                code=rule.code,
            )
            for rule, exempt in _rules(AccessRule, user, group_ids, connection)
        ),
        masking_rules=tuple(
            contract.MaskingRule(
                id=rule.pk,
                name=rule.name,
                objects=object_patterns(rule.objects_json),
                masker=masker_spec(rule.masker),
                exempt=exempt,
                relaxations=frozenset(rule.relaxations),
                code=rule.code,
            )
            for rule, exempt in masking
        ),
        statement_rules=tuple(
            contract.StatementRule(
                id=rule.pk,
                name=rule.name,
                check=contract.StatementCheck(rule.check_kind),
                effect=contract.RuleEffect(rule.effect),
                values=tuple(rule.values),
                objects=object_patterns(rule.objects_json),
                priority=rule.priority,
                exempt=exempt,
                code=rule.code,
            )
            for rule, exempt in _rules(StatementRule, user, group_ids, connection)
        ),
        lease_s=settings.QUERYKEEP.lease_s,
        audit_durability=settings.QUERYKEEP.audit_durability,
        base_url=settings.QUERYKEEP.public_url,
        masking_key=purpose_key("masking") if needs_key else b"",
    )


def current_policy(user: User, connection: Connection) -> contract.SessionPolicy:
    """Return ``compile_policy``, or what it gave a moment ago under the version that is current.

    Sign-ins come in bursts of one person (pools, tools that connect for each statement), and
    compiling takes several times as long as all else that a sign-in does. Whatever changes a policy
    raises the version in its own transaction, which is also all that live sessions go by; times
    stand in the policy as data.
    """
    subject = (user.pk, user.username, user.display_name, connection.pk, connection.name)
    key = (*subject, connection.engine, connection.database)
    known = _compiled.get(key)
    now = time.monotonic()
    if known is not None and now - known[0] < _COMPILED_S and known[1].version == current_version():
        return known[1]
    policy = compile_policy(user, connection)
    if len(_compiled) >= _COMPILED_POLICIES:
        _compiled.clear()
    _compiled[key] = (now, policy)
    return policy


def usable_grants(user: User, connection: Connection) -> QuerySet[Grant]:
    """Return the grants that can open a session now (their hours apart)."""
    return Grant.holding(user.pk).filter(connection=connection)


def _grants(user: User, connection: Connection) -> tuple[contract.GrantScope, ...]:
    rows = (
        Grant.of_person(user.pk)
        .filter(connection=connection, is_asleep=False)
        .select_related("privilege", "group")
        .order_by("id")
    )
    return tuple(
        contract.GrantScope(
            id=grant.pk,
            privilege=grant.privilege.name,
            kinds=frozenset(contract.StatementKind(kind) for kind in grant.privilege.kinds),
            functions=frozenset(grant.privilege.functions),
            objects=object_patterns(grant.objects_json),
            valid_from=grant.valid_from,
            valid_until=grant.valid_until,
            hours=allowed_hours(grant.hours),
            via_group=grant.group.name if grant.group is not None else None,
        )
        for grant in rows
    )


def _names_column(item: object) -> bool:
    return isinstance(item, dict) and (item.get("column") or "*") != "*"


def _rules(
    model: type[R], user: User, group_ids: Sequence[str], connection: Connection
) -> list[tuple[R, bool]]:
    """Return the enabled rules of a kind that name this person on this connection, each with
    whether he is exempt, in one query."""

    def link(name: str) -> QuerySet[Any]:
        through = getattr(model, name).through
        column = f"{model._meta.model_name}_id"
        found: QuerySet[Any] = through._base_manager.filter(**{column: OuterRef("pk")})
        return found

    named = (
        Q(everyone=True)
        | Exists(link("users").filter(user_id=user.pk))
        | Exists(link("groups").filter(group_id__in=group_ids))
    )
    here = ~Exists(link("connections")) | Exists(
        link("connections").filter(connection_id=connection.pk)
    )
    exempt = Q(Exists(link("exempt_users").filter(user_id=user.pk))) | Q(
        Exists(link("exempt_groups").filter(group_id__in=group_ids))
    )
    rows = (
        model._base_manager.filter(named, here, is_enabled=True)
        .annotate(is_exempt=exempt)
        .order_by("number")
    )
    return [(rule, bool(rule.is_exempt)) for rule in rows]  # type: ignore[attr-defined]  # annotated
