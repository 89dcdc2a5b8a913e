"""Jobs over connections and grants: crawl, health, expiry, dormant grants."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from querykeep_api.dbam.facade import (
    Connection,
    catalog_payload,
    crawl_connection,
    do_note_expired_grants,
    do_put_dormant_grants_to_sleep,
    do_report_dormant_grants,
    enabled_connections,
    names_of_dormant_grants,
    probe_connection,
)
from querykeep_api.jobs.leases import BusyError, Lease
from querykeep_api.jobs.registry import Daily, Every, JobContext, Text, job
from querykeep_api.jobs.running import JobFailedError
from querykeep_guard.contracts.catalog import Catalog, Relation
from querykeep_guard.contracts.codec import loads

CRAWL = "schema_crawl"


@job(
    CRAWL,
    title=Text("Schema crawl", "스키마 수집"),
    description=Text(
        "Reads the schema of every enabled connection and lists what changed since.",
        "사용 중인 모든 연결의 스키마를 읽어 추가, 삭제, 변경된 항목을 보여 줍니다.",
    ),
    schedule=Every(1800),
)
def schema_crawl(context: JobContext) -> str:
    """Crawl all enabled connections, or the one that was asked for."""
    wanted = context.arguments.get("connection", "")
    chosen = [c for c in enabled_connections() if wanted in ("", c.pk)]
    if wanted and not chosen:
        raise JobFailedError("The connection does not exist or is switched off.")
    failed = 0
    for connection in chosen:
        context.check()
        if wanted:
            failed += not _crawl(connection, context)
            continue
        try:
            # The same lease that a crawl of this connection alone holds.
            with Lease(f"{CRAWL}:{connection.pk}", context.run_id):
                failed += not _crawl(connection, context)
        except BusyError:
            context.changed("skipped", connection.name, "is being crawled by another run")
    if failed:
        raise JobFailedError(f"{failed} of {len(chosen)} connections could not be read.")
    return f"{len(chosen)} connections read."


@job(
    "target_health_probe",
    title=Text("Target health", "대상 데이터베이스 상태 점검"),
    description=Text(
        "Reaches and signs in to the database of every enabled connection.",
        "사용 중인 모든 연결의 데이터베이스에 접속하여 로그인해 봅니다.",
    ),
    schedule=Every(300),
)
def target_health_probe(context: JobContext) -> str:
    """Probe all enabled connections; list those whose state changed or is bad."""
    connections = enabled_connections()
    bad = 0
    for connection in connections:
        context.check()
        report = probe_connection(connection)
        state = "ok" if report.ok else "failed"
        step = next((s for s in report.steps if s.state == "failed"), None)
        detail = f"{step.name}: {step.message}" if step is not None else ""
        if connection.health_state != state or not report.ok:
            context.changed(state, connection.name, detail)
        bad += not report.ok
    return f"{len(connections) - bad} of {len(connections)} databases answer."


@job(
    "grant_expiry",
    title=Text("Grant expiry", "권한 만료 처리"),
    description=Text(
        "Notes grants that have run out, ends the sessions that live on them and records it.",
        "만료된 권한을 기록하고, 그 권한으로 열린 세션이 종료되도록 정책을 갱신합니다.",
    ),
    schedule=Every(60),
)
def grant_expiry(context: JobContext) -> str:
    """Note what has run out. Enforcement does not wait for this: it checks the time itself."""
    expired = do_note_expired_grants()
    for name in expired:
        context.changed("expired", name)
    return f"{len(expired)} grants have run out."


@job(
    "dormant_grant_report",
    title=Text("Dormant grants", "휴면 권한 보고"),
    description=Text(
        "Lists grants that nobody has used for long. Where the settings say so, they stop holding "
        "until someone changes them.",
        "오랫동안 사용되지 않은 권한을 찾아 보고합니다. 설정에 따라 다시 변경할 때까지 "
        "효력을 멈출 수 있습니다.",
    ),
    schedule=Daily(4, 15),
)
def dormant_grant_report(context: JobContext) -> str:
    """List what nobody uses; put it to sleep only where the setting asks for that."""
    days = settings.QUERYKEEP.dormant_after_days
    reported = set(do_report_dormant_grants(timedelta(days=days)))
    asleep = do_put_dormant_grants_to_sleep() if settings.QUERYKEEP.dormant_grants_sleep else []
    unused = names_of_dormant_grants()
    for name in unused:
        kind = "dormant" if name in reported else "still dormant"
        context.changed(kind, name, f"unused for {days} days")
    for name in asleep:
        context.changed("put to sleep", name)
    told = f"{len(unused)} grants unused for {days} days, {len(reported)} of them new."
    return f"{told} {len(asleep)} put to sleep." if asleep else told


def catalog_changes(before: Catalog | None, after: Catalog) -> list[tuple[str, str, str]]:
    """Return (kind, relation, detail) for each relation that was added, removed or altered."""
    old = {(r.schema, r.name): r for r in before.relations} if before is not None else {}
    new = {(r.schema, r.name): r for r in after.relations}
    changes = [("added", _name(new[key]), new[key].kind) for key in sorted(new.keys() - old.keys())]
    changes += [
        ("removed", _name(old[key]), old[key].kind) for key in sorted(old.keys() - new.keys())
    ]
    for key in sorted(new.keys() & old.keys()):
        detail = _alteration(old[key], new[key])
        if detail:
            changes.append(("altered", _name(new[key]), detail))
    return changes


def _crawl(connection: Connection, context: JobContext) -> bool:
    before = _catalog(connection)
    result = crawl_connection(connection)
    if not result.ok:
        context.changed("failed", connection.name, result.message)
        return False
    after = _catalog(connection)
    if after is None:
        context.changed("failed", connection.name, "the catalog was not stored")
        return False
    if before is None:
        context.changed("first", connection.name, f"{result.relations} relations")
    elif result.changed:
        for kind, name, detail in catalog_changes(before, after):
            context.changed(kind, f"{connection.name}: {name}", detail)
    if not after.complete:
        context.changed("incomplete", connection.name, result.message)
    return True


def _catalog(connection: Connection) -> Catalog | None:
    stored = catalog_payload(connection.pk)
    return loads(Catalog, stored[1]) if stored is not None else None


def _name(relation: Relation) -> str:
    return f"{relation.schema}.{relation.name}"


def _alteration(old: Relation, new: Relation) -> str:
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    parts = [f"+{name}" for name in after if name not in before]
    parts += [f"-{name}" for name in before if name not in after]
    parts += [f"~{name}" for name in after if name in before and after[name] != before[name]]
    for field in ("kind", "definition", "indexes", "constraints", "triggers", "parents"):
        if getattr(old, field) != getattr(new, field):
            parts.append(field)
    return ", ".join(parts)
