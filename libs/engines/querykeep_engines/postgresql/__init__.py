"""PostgreSQL: wire protocol, session, analyzer, catalog and driver."""
