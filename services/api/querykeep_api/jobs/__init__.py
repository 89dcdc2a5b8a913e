"""Scheduled jobs: a registry, runs that never overlap, worker and beat processes."""
