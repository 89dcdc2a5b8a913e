"""The runner: editor windows, governed sessions, statements and their results."""
