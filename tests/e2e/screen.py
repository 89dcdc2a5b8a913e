"""One person's browser window: his language, what he can press and read, what went wrong in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect
from tests.e2e.words import Language, word

T = TypeVar("T")
WAIT_S = 40.0
POLL_MS = 50
LOAD_FAILED = "Failed to load resource"


@dataclass(frozen=True, slots=True)
class Expected:
    """An answer with an error status that belongs to the test."""

    status: int
    path: str


# Who asks before signing in is told that he has not.
UNKNOWN_YET = Expected(401, "/api/v1/me")


class Screen:
    """A page of the web UI in one language."""

    def __init__(self, page: Page, web: str, language: Language) -> None:
        self.page = page
        self.web = web
        self.language = language
        self.expected: set[Expected] = {UNKNOWN_YET}
        self._problems: list[str] = []
        self._answers: list[Expected] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._problems.append(f"uncaught: {error}"))
        page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        # Failed loads are judged by their answers, which name status and address.
        if message.type in ("error", "warning") and LOAD_FAILED not in message.text:
            self._problems.append(f"{message.type}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._answers.append(Expected(response.status, urlsplit(response.url).path))

    @property
    def problems(self) -> list[str]:
        """Everything that a browser's console would show in red or yellow, but for the expected."""
        unexpected = [answer for answer in self._answers if answer not in self.expected]
        return self._problems + [f"{one.status} {one.path}" for one in unexpected]

    def seen_errors(self, path: str) -> set[Expected]:
        """Return the answers with an error status below a path, for a test that brought them on."""
        return {answer for answer in self._answers if answer.path.startswith(path)}

    def words(self, key: str, **values: object) -> str:
        """Return what the UI calls something, in this window's language."""
        return word(self.language, key, **values)

    def go(self, path: str) -> None:
        """Type an address."""
        self.page.goto(self.web + path)

    def sign_in(self, username: str, password: str) -> None:
        """Fill in the form and send it."""
        self.page.get_by_label(self.words("auth.username")).fill(username)
        self.field("auth.password").fill(password)
        self.button("auth.signIn").click()

    def expect_inside(self) -> None:
        """Wait for the frame with its navigation."""
        expect(
            self.page.get_by_role("navigation", name=self.words("frame.navigation"))
        ).to_be_visible()

    def heading(self, key: str, **values: object) -> Locator:
        """Return the page's title."""
        return self.page.get_by_role("heading", level=1, name=self.words(key, **values), exact=True)

    def button(self, key: str, **values: object) -> Locator:
        """Return a button by its words."""
        return self.page.get_by_role("button", name=self.words(key, **values), exact=True)

    def link(self, key: str, **values: object) -> Locator:
        """Return a link by its words."""
        return self.page.get_by_role("link", name=self.words(key, **values), exact=True)

    def field(self, key: str) -> Locator:
        """Return a form's control by its label, which may be followed by the word for optional."""
        label = re.escape(self.words(key))
        optional = re.escape(self.words("form.optional"))
        return self.page.get_by_label(re.compile(rf"^\s*{label}\s*({optional})?\s*$"))

    def choose(self, key: str, option: str | re.Pattern[str]) -> None:
        """Choose an option of a select, which searches as one types."""
        control = self.field(key).and_(self.page.get_by_role("combobox"))
        # A list needs room below or above its control.
        control.evaluate("element => element.scrollIntoView({block: 'center'})")
        control.click()
        if isinstance(option, str) and control.get_attribute("readonly") is None:
            control.fill(option)
        self.page.locator(
            ".ant-select-dropdown:not(.ant-select-dropdown-hidden) .ant-select-item-option"
        ).filter(has_text=option).first.click()

    def pick(self, key: str, option: str) -> None:
        """Pick an option of a short closed list, which is the browser's own; both by their keys."""
        self.page.get_by_role("combobox", name=self.words(key), exact=True).select_option(
            label=self.words(option)
        )

    def row(self, text: str | re.Pattern[str]) -> Locator:
        """Return a list's row by what stands in it."""
        return self.page.locator("tbody tr").filter(has_text=text)

    @property
    def drawer(self) -> Locator:
        """The detail beside a list."""
        return self.page.locator("aside.qk-drawer")

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def remove(self, name: str) -> None:
        """Delete the entry that is open, typing its name."""
        self.button("common.delete").click()
        self.dialog.get_by_role("textbox").fill(name)
        self.dialog.get_by_role("button", name=self.words("common.delete"), exact=True).click()
        expect(self.dialog).to_be_hidden()


def until(
    page: Page, read: Callable[[], T], wanted: Callable[[T], bool], timeout_s: float = WAIT_S
) -> T:
    """Poll until what is read is as wanted, letting the page go on; return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = read()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {timeout_s} s"
        page.wait_for_timeout(POLL_MS)
