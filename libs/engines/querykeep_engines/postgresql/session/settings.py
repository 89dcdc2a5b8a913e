"""Start-up parameters, judged as the SETs that they stand for.

Only what is named here is passed on; anything else is refused with its name. What a setting may do
to name resolution is read back from the target, not believed.
"""

from __future__ import annotations

from dataclasses import dataclass

from querykeep_engines.postgresql.errors import PROTOCOL_VIOLATION, PgError, fatal

_PASSED_ON = {
    name.lower(): name
    for name in (
        "application_name",
        "bytea_output",
        "client_min_messages",
        "cursor_tuple_fraction",
        "DateStyle",
        "default_transaction_deferrable",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "extra_float_digits",
        "geqo",
        "idle_in_transaction_session_timeout",
        "IntervalStyle",
        "jit",
        "lc_messages",
        "lock_timeout",
        "search_path",
        "statement_timeout",
        "tcp_keepalives_idle",
        "TimeZone",
        "work_mem",
    )
}
_UTF8_NAMES = frozenset({"utf8", "unicode"})
_FIXED = {"standard_conforming_strings": frozenset({"on", "true", "yes", "1"})}
_PROTOCOL_PREFIX = "_pq_."


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """A start-up packet, understood. ``settings`` is what the target is told."""

    username: str
    database: str
    program: str
    settings: tuple[tuple[str, str], ...]
    unknown_protocol_options: tuple[str, ...]


class StartupRefusedError(Exception):
    """A start-up parameter is not accepted; carries the error for the client."""

    def __init__(self, error: PgError) -> None:
        super().__init__(error.message)
        self.error = error


def _refuse(message: str) -> StartupRefusedError:
    return StartupRefusedError(fatal(PROTOCOL_VIOLATION, message))


def is_utf8(value: str) -> bool:
    """Return whether an encoding name means UTF8, as the server compares names."""
    return "".join(char for char in value.lower() if char.isalnum()) in _UTF8_NAMES


def read_parameters(parameters: tuple[tuple[str, str], ...]) -> StartupRequest:
    """Judge the parameters of a start-up packet.

    Raises:
        StartupRefusedError: A parameter is refused; the client gets its 08P01.
    """
    username = database = program = ""
    unknown: list[str] = []
    settings: dict[str, str] = {}
    for name, value in parameters:
        match name:
            case "user":
                username = value
            case "database":
                database = value
            case "replication":
                if value.lower() not in ("", "false", "off", "no", "0"):
                    raise _refuse("replication connections are not passed on by Querykeep")
            case "options":
                for option, chosen in _split_options(value):
                    _accept(settings, option, chosen)
            case _ if name.startswith(_PROTOCOL_PREFIX):
                unknown.append(name)
            case _:
                _accept(settings, name, value)
    if not username:
        raise _refuse("no PostgreSQL user name specified in start-up packet")
    program = settings.get("application_name", "")
    settings["client_encoding"] = "UTF8"
    return StartupRequest(
        username, database or username, program, tuple(settings.items()), tuple(unknown)
    )


def _accept(settings: dict[str, str], name: str, value: str) -> None:
    key = name.lower()
    if key == "client_encoding":
        if not is_utf8(value):
            raise _refuse(
                f'client_encoding "{value}" is not accepted: statements are judged as UTF-8 text; '
                "connect with client_encoding=UTF8"
            )
        return
    if key in _FIXED:
        if value.lower() not in _FIXED[key]:
            raise _refuse(f'start-up setting "{name}" may not be "{value}" through Querykeep')
        return
    if key not in _PASSED_ON:
        raise _refuse(
            f'start-up setting "{name}" is not accepted through Querykeep; use SET after connecting'
        )
    settings[_PASSED_ON[key]] = value


def _split_options(text: str) -> list[tuple[str, str]]:
    """Read ``-c name=value`` and ``--name=value``; a backslash escapes, as in the server."""
    words = _split_words(text)
    found: list[tuple[str, str]] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word == "-c" and index + 1 < len(words):
            index += 1
            assignment = words[index]
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise _refuse(f'start-up option "{word}" is not accepted through Querykeep')
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise _refuse(f'start-up option "{word}" needs the form name=value')
        found.append((name.replace("-", "_"), value))
        index += 1
    return found


def _split_words(text: str) -> list[str]:
    words: list[str] = []
    current: list[str] | None = None
    escaped = False
    for char in text:
        if escaped:
            current = [*(current or []), char]
            escaped = False
        elif char == "\\":
            escaped = True
        elif char.isspace():
            if current is not None:
                words.append("".join(current))
            current = None
        else:
            current = current or []
            current.append(char)
    if current is not None:
        words.append("".join(current))
    return words
