"""Views of the internal API."""
