"""What Querykeep does by itself: seen, started by hand, never twice at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import expect
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.screen import until
from tests.e2e.words import KOREAN_AND_SLOWLY_ENGLISH, Language

pytestmark = pytest.mark.e2e

# Crawl, grant expiry, dormant grants, sessions and tokens, result store, health, chain.
AT_LEAST = 7


@pytest.mark.parametrize("language", KOREAN_AND_SLOWLY_ENGLISH)
def test_jobs_page_shows_all_and_runs_one_now(
    visit: Visit, admin_api: Api, language: Language
) -> None:
    jobs = admin_api.rows("jobs")
    assert len(jobs) >= AT_LEAST
    screen = visit("admin", language, path="/jobs")
    for job in jobs:
        expect(screen.row(job["titles"][language]).first).to_be_visible()
    job = next(one for one in jobs if "chain" in one["name"] or "audit" in one["name"])
    runs = f"jobs/{job['name']}/runs"
    before = {run["id"] for run in admin_api.rows(runs)}
    screen.row(job["titles"][language]).first.click()
    screen.drawer.get_by_role("button", name=screen.words("jobs.runNow"), exact=True).click()
    done = until(
        screen.page,
        lambda: [run for run in admin_api.rows(runs) if run["id"] not in before],
        lambda found: any(run["state"] in ("ok", "failed") for run in found),
    )
    assert {run["state"] for run in done if run["finished_at"]} == {"ok"}
    state = screen.drawer.locator(".qk-runs li").first
    expect(state).to_contain_text(screen.words("runState.ok"))


def test_job_never_runs_twice_at_once(admin_api: Api) -> None:
    name = next(job["name"] for job in admin_api.rows("jobs") if "crawl" in job["name"])
    answers = [admin_api.http.post(f"jobs/{name}/run", json={}).status_code for _ in range(6)]
    assert set(answers) <= {202, 409}
    assert 202 in answers
    runs = admin_api.rows(f"jobs/{name}/runs")
    spans = sorted(
        (run["started_at"], run["finished_at"] or "9999") for run in runs if run["started_at"]
    )
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))
