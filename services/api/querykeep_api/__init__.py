"""The Querykeep API: people, access to databases, jobs and the audit store."""
