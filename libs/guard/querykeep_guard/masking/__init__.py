"""MaskPlan -> maskers: value -> value. Engine-neutral; engines decode and encode around it."""

from querykeep_guard.masking.masker import FULL_TEXT, Mask, Masker, MaskerError, ValueKind
from querykeep_guard.masking.maskers import MASKERS, build, resolve_params

__all__ = [
    "FULL_TEXT",
    "MASKERS",
    "Mask",
    "Masker",
    "MaskerError",
    "ValueKind",
    "build",
    "resolve_params",
]
