"""Chromium, people's windows in it, and the API in an administrator's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import httpx
import pytest
from playwright.sync_api import Browser, StorageState, expect, sync_playwright
from tests.chromium import chromium_program
from tests.e2e.screen import WAIT_S, Screen
from tests.e2e.words import Language
from tests.fix_system import System

SIZE = (1440, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without any of its own data."""
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=chromium_program(),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield chromium
        chromium.close()


class SignIns:
    """Web sessions that windows share: most tests are about what comes after signing in."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._cookies: dict[str, dict[str, str]] = {}

    def cookies(self, username: str) -> dict[str, str]:
        """Return the cookies of someone who is signed in, signing him in where that is over."""
        with httpx.Client(
            base_url=self._system.web,
            cookies=self._cookies.get(username),
            timeout=WAIT_S,
            trust_env=False,
        ) as http:
            if http.get("/api/v1/me").status_code != 200:
                account = self._system.accounts[username]
                token = http.get("/api/v1/auth/csrf").json()["token"]
                answer = http.post(
                    "/api/v1/auth/sign-in",
                    json={"username": account.username, "password": account.password},
                    headers={"X-CSRFToken": token, "Origin": self._system.web},
                )
                assert answer.status_code == 200, answer.text
                self._cookies[username] = dict(http.cookies)
        return self._cookies[username]


@pytest.fixture(scope="session")
def sign_ins(system: System) -> SignIns:
    """Who has signed in so far."""
    return SignIns(system)


class Visit(Protocol):
    """Opens a window."""

    def __call__(
        self,
        username: str = "",
        language: Language = "en",
        *,
        theme: str = "light",
        path: str = "/",
        size: tuple[int, int] = SIZE,
        remembers: bool = True,
        by_form: bool = False,
    ) -> Screen:
        """Open a window in a browser that chose a language, signed in when someone is named.

        ``remembers`` False: a browser that was never here and only says its language. ``by_form``:
        a web session of its own, begun at the form; any other is shared with other tests.
        """


@pytest.fixture
def visit(browser: Browser, system: System, sign_ins: SignIns) -> Iterator[Visit]:
    """Open windows; each must have been free of errors when the test has passed."""
    screens: list[Screen] = []

    def open_window(
        username: str = "",
        language: Language = "en",
        *,
        theme: str = "light",
        path: str = "/",
        size: tuple[int, int] = SIZE,
        remembers: bool = True,
        by_form: bool = False,
    ) -> Screen:
        kept: StorageState = {
            "cookies": [],
            "origins": [
                {
                    "origin": system.web,
                    "localStorage": [
                        {"name": "querykeep.language", "value": language},
                        {"name": "querykeep.theme", "value": theme},
                    ],
                }
            ],
        }
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale={"ko": "ko-KR", "en": "en-US"}[language],
            timezone_id="Asia/Seoul",
            reduced_motion="reduce",
            storage_state=kept if remembers else None,
        )
        context.set_default_timeout(WAIT_S * 1000)
        screen = Screen(context.new_page(), system.web, language)
        screens.append(screen)
        if username and not by_form:
            cookies = sign_ins.cookies(username).items()
            context.add_cookies(
                [{"name": name, "value": value, "url": system.web} for name, value in cookies]
            )
        screen.go(path)
        if username and by_form:
            account = system.accounts[username]
            screen.sign_in(account.username, account.password)
        if username:
            screen.expect_inside()
        return screen

    yield open_window
    for screen in screens:
        screen.page.context.close()
    assert {problem for screen in screens for problem in screen.problems} == set()


class Api:
    """The public API in one account's name."""

    def __init__(self, system: System, username: str) -> None:
        self.http = httpx.Client(
            base_url=f"{system.web}/api/v1/",
            headers={"Authorization": f"Bearer {system.accounts[username].api_token}"},
            timeout=WAIT_S,
            trust_env=False,
        )

    def read(self, path: str, **query: str) -> Any:
        """GET; the answer's JSON."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, path: str, **query: str) -> list[dict[str, Any]]:
        """GET a list's first page."""
        found = self.read(path, **query)["results"]
        assert isinstance(found, list)
        return found

    def write(self, path: str, body: object) -> Any:
        """POST; the answer's JSON."""
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def change(self, path: str, body: object) -> None:
        """PATCH what is there."""
        etag = self.read(path).get("etag", "")
        answer = self.http.patch(path, json=body, headers={"If-Match": etag} if etag else {})
        assert answer.status_code < 300, answer.text

    def remove(self, path: str) -> None:
        """DELETE what is there."""
        etag = self.read(path).get("etag", "")
        answer = self.http.delete(path, headers={"If-Match": etag} if etag else {})
        assert answer.status_code < 300, answer.text


@pytest.fixture
def api_of(system: System) -> Iterator[Callable[[str], Api]]:
    """Make the API of an account."""
    opened: list[Api] = []

    def make(username: str) -> Api:
        opened.append(Api(system, username))
        return opened[-1]

    yield make
    for api in opened:
        api.http.close()


@pytest.fixture
def admin_api(api_of: Callable[[str], Api]) -> Api:
    """The API in the administrator's name."""
    return api_of("admin")
