"""``python -m querykeep_api`` is ``querykeep``."""

from __future__ import annotations

import sys

from querykeep_api.cli import main

sys.exit(main())
