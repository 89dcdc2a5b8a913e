"""What every app of the service builds on: records, errors, permissions, outbox, secrets, REST."""
