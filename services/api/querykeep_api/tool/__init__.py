"""Tool: the installation console on port 3000 — health of every part, migrations, diagnostics."""
