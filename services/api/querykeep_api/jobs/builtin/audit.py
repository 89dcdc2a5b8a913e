"""Jobs of the audit store: outbox, checkpoints, verification, retention, alerts."""

from __future__ import annotations

from django.conf import settings

from querykeep_api.alerts.facade import detect_bursts
from querykeep_api.auditlog.facade import deliver_outbox, make_checkpoint, trim, verify
from querykeep_api.jobs.registry import Daily, Every, JobContext, Text, job
from querykeep_api.jobs.running import JobFailedError
from querykeep_api.kernel import clock

FINDINGS_LISTED = 200


@job(
    "audit_outbox",
    title=Text("Admin events to audit log", "관리 이벤트를 감사 로그로 전달"),
    description=Text(
        "Moves admin events that the API process has not delivered yet into the audit chain.",
        "API 프로세스가 아직 전달하지 못한 관리 이벤트를 감사 체인에 기록합니다.",
    ),
    schedule=Every(60),
)
def audit_outbox(context: JobContext) -> str:
    """Deliver what waits in the outbox."""
    delivered = deliver_outbox(clock.now())
    return f"{delivered} events delivered." if delivered else "Nothing was waiting."


@job(
    "audit_checkpoint",
    title=Text("Signed audit checkpoint", "감사 체크포인트 서명"),
    description=Text(
        "Signs where every audit chain stands, in the database and in a file outside it.",
        "모든 감사 체인의 현재 위치에 서명하여 데이터베이스와 외부 파일에 남깁니다.",
    ),
    schedule=Every(60),
)
def audit_checkpoint(context: JobContext) -> str:
    """Sign a checkpoint."""
    try:
        body = make_checkpoint(clock.now())
    except OSError as error:
        path = settings.QUERYKEEP.checkpoint_file
        raise JobFailedError(
            f"The checkpoint file {path} cannot be written ({error.strerror}). Make it writable "
            "for this process, or set QUERYKEEP_CHECKPOINT_FILE."
        ) from error
    return f"Checkpoint {body.number} over {body.spools} chains."


@job(
    "audit_chain_verify",
    title=Text("Audit chain verification", "감사 체인 검증"),
    description=Text(
        "Walks every audit chain and compares it with the checkpoints and the searchable rows.",
        "모든 감사 체인을 체크포인트 및 검색용 데이터와 대조합니다.",
    ),
    schedule=Daily(2, 30),
)
def audit_chain_verify(context: JobContext) -> str:
    """Verify everything; findings fail the run, so that nobody overlooks them."""
    report = verify()
    for finding in report.findings[:FINDINGS_LISTED]:
        context.changed(finding.kind, finding.place, finding.message)
    if not report.ok:
        raise JobFailedError(
            f"{len(report.findings)} findings in {report.records} records: the audit log was "
            "changed or lost records. 'querykeep audit verify' lists the places."
        )
    until = report.covered_until.isoformat() if report.covered_until else "no checkpoint yet"
    return f"{report.records} records in {report.spools} chains are whole; signed until {until}."


@job(
    "audit_retention",
    title=Text("Audit retention", "감사 로그 보존 기간 정리"),
    description=Text(
        "Removes audit records older than QUERYKEEP_AUDIT_RETENTION_DAYS, up to a signed "
        "checkpoint. Off unless switched on and set.",
        "QUERYKEEP_AUDIT_RETENTION_DAYS보다 오래된 감사 기록을 서명된 체크포인트까지 삭제합니다. "
        "설정하고 켜야만 동작합니다.",
    ),
    schedule=Daily(3, 45),
    is_safe_to_run_now=False,
    is_enabled=False,
)
def audit_retention(context: JobContext) -> str:
    """Remove what is older than the setting says."""
    days = settings.QUERYKEEP.audit_retention_days
    if not days:
        return "QUERYKEEP_AUDIT_RETENTION_DAYS is not set: everything is kept."
    trimmed = trim(clock.now(), days=days, check=context.check)
    for spool_id, sequence in trimmed.spools:
        context.changed("trimmed", spool_id, f"up to record {sequence}")
    return f"{trimmed.records} records older than {days} days removed."


@job(
    "alert_detection",
    title=Text("Sign-in failure bursts", "로그인 실패 급증 탐지"),
    description=Text(
        "Looks for many refused sign-ins from one address or for one name and records an alert.",
        "한 주소 또는 한 계정에서 반복된 로그인 거부를 찾아 경보 이벤트로 기록합니다.",
    ),
    schedule=Every(60),
)
def alert_detection(context: JobContext) -> str:
    """Record an alert for each new burst."""
    bursts = detect_bursts(clock.now())
    for burst in bursts:
        context.changed("burst", burst.subject, f"{burst.count} refused sign-ins")
    return f"{len(bursts)} new bursts."
