"""``python -m querykeep_agent`` is ``qk``."""

from querykeep_agent.cli import main

main()
