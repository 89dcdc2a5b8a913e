"""What other apps may use of the alerts."""

from __future__ import annotations

from querykeep_api.alerts.detection import Burst, detect_bursts

__all__ = ["Burst", "detect_bursts"]
