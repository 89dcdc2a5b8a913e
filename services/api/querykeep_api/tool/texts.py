"""The texts of Tool's page, in English and Korean."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "ko")

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Querykeep Tool",
        "parts": "Parts",
        "part": "Part",
        "state": "State",
        "message": "What was seen",
        "ok": "ready",
        "bad": "not ready",
        "all_ready": "Every part is ready.",
        "some_bad": "Some parts are not ready.",
        "migrations": "Migrations",
        "none_pending": "Nothing is pending: both databases have this version's shape.",
        "pending": "These migrations are pending:",
        "unknown_pending": "The databases do not answer, so pending migrations cannot be told.",
        "run": "Run migrations",
        "running": "Migrations are running; this page refreshes by itself.",
        "done": "The last run ended well.",
        "failed": "The last run failed. Its output:",
        "output": "Output of the migrations",
        "sign_in": "Sign in",
        "sign_in_why": "To see details and run migrations, enter the token from the file {file}.",
        "token": "Tool token",
        "wrong": "This is not the token.",
        "no_key": "There is no root key (QUERYKEEP_SECRET_FILE), so signing in is not possible.",
        "backup": "Backup",
        "backup_why": "One file with metadata and audit log. Stored credentials in it are "
        "encrypted with the root key, which is not in it. Restore it with `querykeep restore`.",
        "backup_download": "Write and download a backup",
        "diagnostics": "Diagnostics",
        "download": "Download the diagnostics bundle (no secrets in it)",
        "language": "한국어",
        "sign_out": "Sign out",
    },
    "ko": {
        "title": "Querykeep 도구",
        "parts": "구성 요소",
        "part": "구성 요소",
        "state": "상태",
        "message": "확인 내용",
        "ok": "정상",
        "bad": "준비 안 됨",
        "all_ready": "모든 구성 요소가 정상입니다.",
        "some_bad": "준비되지 않은 구성 요소가 있습니다.",
        "migrations": "마이그레이션",
        "none_pending": "대기 중인 마이그레이션이 없습니다. 두 데이터베이스가 최신 상태입니다.",
        "pending": "대기 중인 마이그레이션:",
        "unknown_pending": "데이터베이스가 응답하지 않아 대기 중인 마이그레이션을 알 수 없습니다.",
        "run": "마이그레이션 실행",
        "running": "마이그레이션을 실행하고 있습니다. 이 페이지는 자동으로 새로 고쳐집니다.",
        "done": "마지막 실행이 정상적으로 끝났습니다.",
        "failed": "마지막 실행이 실패했습니다. 출력:",
        "output": "마이그레이션 출력",
        "sign_in": "로그인",
        "sign_in_why": "세부 정보 확인과 마이그레이션 실행에는 파일 {file}의 토큰이 필요합니다.",
        "token": "도구 토큰",
        "wrong": "토큰이 올바르지 않습니다.",
        "no_key": "루트 키(QUERYKEEP_SECRET_FILE)가 없어 로그인할 수 없습니다.",
        "backup": "백업",
        "backup_why": "메타데이터와 감사 로그를 한 파일에 담습니다. 저장된 자격 증명은 루트 키로 "
        "암호화되어 있으며 루트 키는 파일에 들어 있지 않습니다. "
        "복원은 `querykeep restore` 명령으로 합니다.",
        "backup_download": "백업 만들어 내려받기",
        "diagnostics": "진단",
        "download": "진단 묶음 내려받기 (비밀 정보 없음)",
        "language": "English",
        "sign_out": "로그아웃",
    },
}

PART_NAMES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "api": "API",
        "internal": "Internal API",
        "worker": "Job worker",
        "beat": "Job scheduler",
        "middleware": "Web UI and editor (middleware)",
        "proxy": "Proxy",
        "redis": "Redis",
        "metadata_database": "Metadata database",
        "audit_database": "Audit database",
        "root_key": "Root key",
        "migrations": "Migrations",
        "disk": "Disk space",
        "spool": "Audit spools",
    },
    "ko": {
        "api": "API",
        "internal": "내부 API",
        "worker": "작업 실행기",
        "beat": "작업 예약기",
        "middleware": "웹 UI 및 편집기 (미들웨어)",
        "proxy": "프록시",
        "redis": "Redis",
        "metadata_database": "메타데이터 데이터베이스",
        "audit_database": "감사 데이터베이스",
        "root_key": "루트 키",
        "migrations": "마이그레이션",
        "disk": "디스크 공간",
        "spool": "감사 스풀",
    },
}


def language_of(query: str, accepted: str) -> str:
    """Return the page's language: as asked for, else the first one that the browser accepts."""
    if query in LANGUAGES:
        return query
    for item in accepted.split(","):
        code = item.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"
