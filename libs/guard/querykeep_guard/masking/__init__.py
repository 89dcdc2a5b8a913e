"""MaskPlan -> maskers: value -> value. Engine-neutral; engines decode and encode around it."""

from querykeep_guard.masking.maskers import MASKERS, Mask, MaskerError, build, resolve_params

__all__ = ["MASKERS", "Mask", "MaskerError", "build", "resolve_params"]
