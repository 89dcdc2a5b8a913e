"""MaskPlan -> maskers: value -> value. Engine-neutral; engines decode and encode around it."""
