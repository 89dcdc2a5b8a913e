"""The REST resources of people and their credentials."""
