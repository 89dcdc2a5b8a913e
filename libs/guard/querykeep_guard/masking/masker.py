"""What a masker is: a named way to make a value harmless, for the kinds of value that it fits."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Mask = Callable[[str], str | None]
"""Takes a value as text, returns what is shown instead, as text of the same kind; None: NULL."""

FULL_TEXT = "*****"
"""What a wholly hidden text shows where the rule says nothing else."""

FAR_CHARS = 4096
"""No character of a value is looked at one by one that stands farther from the end which is shown:
a process masks the rows of all its sessions in turn, and none may wait for one huge value."""


class MaskerError(ValueError):
    """A masker is unknown or a parameter is missing, out of range or superfluous."""


class ValueKind(enum.Enum):
    """What a value is to a masker, and how it stands as text.

    TEXT any characters · INTEGER and DECIMAL digits with sign and point · FLOAT also ``1e+20`` ·
    DATE ``2026-01-31`` · TIMESTAMP ``2026-01-31 09:00:00[.000000][+09]`` · UUID · INET an IPv4
    or IPv6 address · JSON a document.
    """

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    DATE = "date"
    TIMESTAMP = "timestamp"
    UUID = "uuid"
    INET = "inet"
    JSON = "json"


TEXT_ONLY = frozenset({ValueKind.TEXT})
NUMBERS = frozenset({ValueKind.INTEGER, ValueKind.DECIMAL, ValueKind.FLOAT})
DATES = frozenset({ValueKind.DATE, ValueKind.TIMESTAMP})


@dataclass(frozen=True, slots=True)
class MaskerParam:
    """A parameter of a masker. ``kind``: integer (in minimum..maximum), text, pattern (a regular
    expression) or date."""

    name: str
    kind: str
    default: str
    minimum: int = 0
    maximum: int = 0


@dataclass(frozen=True, slots=True)
class Masker:
    """A masker by name.

    ``make`` gets the parameters and the installation's masking key and returns a mask that is
    total: no text makes it raise, and what it cannot read it hides whole (None). ``fits``: the
    kinds of value it masks; any other value is hidden whole. ``example``: (value, what the defaults
    make of it). ``secret_key``: it needs the masking key. ``shows_null``: it shows NULL as text's
    mask, too, where others hide with a text. ``check`` raises MaskerError for parameters that do
    not go together.
    """

    kind: str
    label_en: str
    label_ko: str
    make: Callable[[Mapping[str, str], bytes], Mask]
    example: tuple[str, str]
    params: tuple[MaskerParam, ...] = ()
    fits: frozenset[ValueKind] = TEXT_ONLY
    secret_key: bool = False
    shows_null: bool = False
    check: Callable[[Mapping[str, str]], None] | None = None
