"""The SQL editor on a screen: its text, tree, results and messages."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import Locator, expect
from tests.e2e.screen import Screen, until

MARKER_COLUMNS = 1  # the row numbers are the grid's first column


class EditorScreen:
    """The editor page of a screen."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.page = screen.page

    def open(self, connection_id: str) -> None:
        """Show one tab on a connection, with its session open; close what earlier visits left."""
        self.screen.go(f"/editor?connection={quote(connection_id)}")
        expect(self.page).to_have_url(f"{self.screen.web}/editor")
        others = self.page.locator(".qk-tab:not(.qk-tab-active) .qk-tab-close")
        while others.count():
            left = others.count()
            others.first.click()
            expect(others).to_have_count(left - 1)
        opened = self.screen.button("editor.disconnect")
        closed = self.screen.button("editor.connect")
        # A tab that was there already opens its session only when asked.
        expect(opened.or_(closed)).to_be_enabled()
        if closed.count():
            closed.click()
        expect(opened).to_be_visible()

    @property
    def text(self) -> Locator:
        """What is written."""
        return self.page.get_by_role("textbox", name=self.screen.words("editor.text"))

    def write(self, statement: str) -> None:
        """Replace the text."""
        self.text.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(statement)
        self.page.keyboard.press("Escape")  # a completion list would take Enter

    def run(self, statement: str) -> None:
        """Replace the text, run all of it with the keyboard and wait for the end."""
        self.write(statement)
        started = self.page.locator(".qk-results").count() and self.run_mark()
        self.page.keyboard.press("Control+Shift+Enter")
        until(self.page, self.run_mark, lambda mark: mark not in ("", started))

    def run_mark(self) -> str:
        """Return a text that differs for each finished run; empty while one runs or none was."""
        mark = self.page.evaluate(
            """() => {
                 const results = document.querySelector('.qk-results')
                 if (!results || document.querySelector('.qk-toolbar [role=timer]')) return ''
                 if (document.querySelector('.qk-toolbar .qk-button-danger')) return ''
                 results.dataset.seen ||= crypto.randomUUID()
                 return results.dataset.seen
               }"""
        )
        assert isinstance(mark, str)
        return mark

    @property
    def tabs(self) -> Locator:
        """The tabs of the window."""
        return self.page.get_by_role("tablist", name=self.screen.words("editor.tabs")).get_by_role(
            "tab"
        )

    def result_tab(self, number: int) -> Locator:
        """Return the tab of one result set."""
        name = self.screen.words("editor.resultTab", number=number)
        return self.page.locator(".qk-result-tabs").get_by_role(
            "tab", name=re.compile(re.escape(name))
        )

    def show_messages(self) -> None:
        """Show the messages of the run."""
        name = self.screen.words("editor.messages")
        self.page.locator(".qk-result-tabs").get_by_role(
            "tab", name=re.compile(re.escape(name))
        ).click()

    @property
    def failure(self) -> Locator:
        """What was refused or failed, by what rule, what to do next."""
        return self.page.locator(".qk-failure")

    def cell(self, row: int, column: int) -> str:
        """Return what a cell in sight shows; both from 0."""
        found = self.page.locator(f"#glide-cell-{column + MARKER_COLUMNS}-{row}")
        return (
            until(
                self.page,
                lambda: found.first.text_content() if found.count() else None,
                lambda text: text not in (None, ""),
            )
            or ""
        )

    def header(self) -> list[str]:
        """Return the column names of the result that is shown."""
        found = self.page.locator(".qk-grid [role=columnheader]")
        expect(found.first).to_be_attached()
        return [text.split(" ")[0] for text in found.all_text_contents() if text.strip()]

    def scroll_to_end(self) -> None:
        """Scroll the result that is shown to its last row, as one drags the bar."""
        self.page.locator(".qk-grid .dvn-scroller").first.evaluate(
            "scroller => { scroller.scrollTop = scroller.scrollHeight }"
        )
