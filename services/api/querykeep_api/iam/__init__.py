"""Identity and access to Querykeep itself: people, groups, roles, sessions, tokens, agents."""
