"""SET, RESET, SHOW and set_config: which settings a session may change.

Settings that change whose rights are used, how texts are read, or what errors show are unsafe.
"""

from __future__ import annotations

from querykeep_engines.postgresql.analysis.model import Findings
from querykeep_guard.sql.facts import SettingChange

# Setting -> why it is refused to everyone: the guard itself would no longer hold.
_UNSAFE = {
    "role": "whose rights are used is decided by the connection",
    "session_authorization": "whose rights are used is decided by the connection",
    "session_replication_role": "it switches triggers and foreign keys off",
    "backslash_quote": "it changes how texts are read",
    "session_preload_libraries": "it loads code into the server",
    "local_preload_libraries": "it loads code into the server",
    "dynamic_library_path": "it loads code into the server",
}
# Settings whose plain output may hold stored values or other people's statements.
_LOUD_PREFIXES = ("debug_", "log_", "trace_", "auto_explain.")
_UTF8 = frozenset({"utf8", "utf-8", "unicode"})


def check(change: SettingChange, f: Findings) -> None:
    """Note a problem for a setting that would take the statement out of the guard's sight."""
    name = change.name.lower()
    value = (change.value or "").strip().strip("'\"").lower()
    why = _UNSAFE.get(name, "")
    if name in ("role", "session_authorization") and change.value is None:
        why = ""
    if name == "client_encoding" and change.value is not None and value not in _UTF8:
        why = "texts are read as UTF-8"
    if name == "standard_conforming_strings" and value not in ("", "on", "true", "1", "yes"):
        why = "it changes how texts are read"
    if name == "escape_string_warning" or not why:
        if name.startswith(_LOUD_PREFIXES) or name in ("client_min_messages",):
            _loud(name, value, f)
        return
    f.problem("unsafe", f"setting {name} may not be changed: {why}", about=name, unmasked=True)


def _loud(name: str, value: str, f: Findings) -> None:
    if name == "client_min_messages" and not value.startswith("debug"):
        return
    f.problem("unsafe", f"setting {name} may show stored values in messages", about=name)
