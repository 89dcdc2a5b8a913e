"""What users of screen readers, keyboards and large text would stumble over on a page."""

from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}
# 1280 × 720 at 200 %.
ZOOMED = (640, 360)


def serious_findings(page: Page, *, only_colours: bool = False) -> list[str]:
    """Return what axe finds serious or critical on a page, with the places.

    ``only_colours``: all that another theme can change.
    """
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if only_colours:
        options["runOnly"] = ["color-contrast"]
    report = Axe().run(page, options=options)
    return [
        f"{page.url}: {found['id']}: {node['target']}"
        for found in report["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def sideways(page: Page) -> list[str]:
    """Return what makes a page scroll sideways; tables and texts do that on their own."""
    found: list[str] = page.evaluate(
        """() => [document.documentElement, document.querySelector('main')]
          .filter((part) => part && part.scrollWidth > part.clientWidth)
          .map((part) => `${location.pathname}: ${part.tagName} ${part.scrollWidth}`)"""
    )
    return found
