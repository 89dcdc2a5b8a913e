"""Database access management: connections, privileges, grants, rules, tokens, live sessions."""
