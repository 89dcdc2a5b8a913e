"""Settings, URLs, servers and start-up of the API service."""
