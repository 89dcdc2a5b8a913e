"""``decide(facts, session_policy, now)`` and the verdict types."""
