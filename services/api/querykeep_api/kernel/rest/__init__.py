"""The one shape of the HTTP API: problems, pages, filters, entity tags, references."""
