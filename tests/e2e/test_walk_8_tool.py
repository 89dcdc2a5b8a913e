"""The installation console: health of every part, for programs and for people."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, expect
from tests.fix_system import System

pytestmark = pytest.mark.e2e


def test_health_and_readiness_are_json(system: System) -> None:
    with httpx.Client(base_url=system.tool, trust_env=False, timeout=60) as http:
        for path in ("/healthz", "/readyz"):
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            parts = answer.json()["parts"]
            assert all(part["ok"] for part in parts.values())
            # A stranger on the port learns no address and no file.
            assert all(set(part) == {"ok"} for part in parts.values())
        assert {"migrations", "redis"} <= set(http.get("/readyz").json()["parts"])
        assert http.get("/migrations").status_code == 401
        owner = {"Authorization": f"Bearer {system.accounts['admin'].api_token}"}
        assert http.get("/migrations", headers=owner).json()["pending"] == []
        analyst = {"Authorization": f"Bearer {system.accounts['analyst'].api_token}"}
        assert http.get("/migrations", headers=analyst).status_code == 401


@pytest.mark.parametrize(("locale", "language"), [("ko-KR", "ko"), ("en-US", "en")])
def test_page_shows_parts_after_the_token(
    browser: Browser, system: System, locale: str, language: str
) -> None:
    context = browser.new_context(locale=locale)
    problems: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.goto(system.tool)
    expect(page.locator("html")).to_have_attribute("lang", language)
    token = (system.home / "tool/token").read_text().strip()
    page.locator("input[name=token]").fill(token)
    page.locator("input[name=token]").press("Enter")
    expect(page.locator("input[name=token]")).to_have_count(0)
    assert token not in page.content()
    expect(page.get_by_role("table").first).to_be_visible()
    context.close()
    assert problems == []
