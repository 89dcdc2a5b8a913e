"""Frozen dataclasses that cross a process boundary, with one versioned JSON form (``codec``)."""
