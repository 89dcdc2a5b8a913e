"""The wire-protocol proxy: agentless ports, session establishment, agent data, health."""
