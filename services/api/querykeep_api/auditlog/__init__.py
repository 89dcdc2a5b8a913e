"""The audit store: what enforcement points and the API itself recorded, chained and searchable."""
