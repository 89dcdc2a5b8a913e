"""Opening a page in the person's browser, never in the terminal itself."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_page(url: str) -> bool:
    """Open a page; False where no browser with a window of its own can be started."""
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    is_desktop = sys.platform in ("win32", "darwin")
    # Without a display a text browser would take over the terminal that the person reads.
    if not is_desktop and not has_display and not os.environ.get("BROWSER"):
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
