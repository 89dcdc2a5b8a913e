"""Which Chromium the tests drive."""

import shutil

NAMES = ("chromium", "google-chrome", "google-chrome-stable")


def chromium_program() -> str | None:
    """Return the machine's Chromium; None for the one that Playwright itself has installed.

    Ubuntu has no package of it but a snap, whose confinement hides the folders that Playwright
    makes: there `make test` installs Playwright's own.
    """
    return next((found for name in NAMES if (found := shutil.which(name))), None)
