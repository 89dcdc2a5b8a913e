"""HTTP: the public resources of the audit log and the internal ingest."""
