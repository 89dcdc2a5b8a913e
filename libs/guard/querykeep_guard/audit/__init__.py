"""Event ids, fields marked SENSITIVE or OMIT, hash chain, signed checkpoints."""
