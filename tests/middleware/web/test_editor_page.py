"""The editor page: masks in sight, refusals explained, nothing typed lost."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Locator, WebSocketRoute, expect
from tests.accessibility import ZOOMED, serious_findings, sideways
from tests.middleware.web.fix_page import WebPage

from querykeep_guard.contracts.audit import Verdict
from querykeep_guard.contracts.session import EndReason
from querykeep_middleware.editor import frames, messages, shapes

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RULE = shapes.RuleRef("r1", "PII e-mail", "masking_rule", "mask", "M-1")
CONNECTION = {
    "id": "c1", "name": "shop", "engine": "postgresql", "description": "", "host": "db",
    "port": 5432, "database": "shop", "is_enabled": True, "server_version": "15", "tags": {},
    "proxy": None, "catalog": None, "health": None, "tls_required": False,
    "my_access": {"privilege": "read-only", "functions": ["copy"], "valid_until": None},
}  # fmt: skip


class Server:
    """Plays the middleware: keeps tabs, opens sessions, answers runs by their text."""

    def __init__(self) -> None:
        self.tabs: dict[str, shapes.TabState] = {}
        self.texts: list[str] = []
        self.sockets: list[WebSocketRoute] = []
        self.asked_for: list[str] = []

    def __call__(self, socket: WebSocketRoute, data: dict[str, Any]) -> None:
        message = frames.decode_client(json.dumps(data))

        def say(*items: Any) -> None:
            for item in items:
                socket.send(frames.encode(item))

        match message:
            case messages.OpenWindow(request=request, window_id=window_id):
                self.sockets.append(socket)
                self.asked_for.append(window_id)
                tabs = tuple(self.tabs.values())
                say(messages.WindowOpened(request, 1, "w1", True, "kim", tabs, "", (), ()))
            case messages.SaveTab(request=request, tab=tab):
                self.tabs[tab.tab_id] = tab
                say(messages.TabSaved(request, tab.tab_id, tab.revision))
            case messages.OpenSession(request=request, tab_id=tab_id):
                say(messages.SessionOpened(request, self._session(tab_id)))
            case messages.RunText() as run:
                self.texts.append(run.text)
                say(messages.RequestDone(run.request), *self._run(run))
            case messages.FetchRows() as fetch:
                rows = (("1", "k*****@example.com"), ("2", None))
                say(messages.RowsPage(fetch.request, fetch.result_id, 0, rows, (), 2, True))
            case messages.FetchCell(request=request):
                say(messages.CellValue(request, "k*****@example.com"))
            case messages.Ping(request=request):
                say(messages.Pong(request))
            case other:
                say(messages.RequestDone(other.request))

    def _session(self, tab_id: str) -> shapes.SessionInfo:
        return shapes.SessionInfo(
            "s1", tab_id, "c1", "shop", "postgresql", "postgresql", "shop", "read-only",
            ("copy",), ("transactions",), AT, shapes.TransactionInfo(True, False),
        )  # fmt: skip

    def _run(self, run: messages.RunText) -> list[messages.ServerMessage]:
        refused = "payroll" in run.text
        verdict = Verdict.DENIED if refused else Verdict.MASKED
        size = len(run.text)
        head: list[messages.ServerMessage] = [
            messages.RunStarted(run.tab_id, run.run_id, run.scope, run.text, run.offset, AT),
            messages.StatementStarted(run.run_id, "st", 0, 0, size, "select", verdict, (RULE,), AT),
        ]
        if refused:
            failure = shapes.Failure(
                "42501", 'table "public.payroll" is refused: access rule "Pay" (A-2)',
                position=run.text.index("payroll"), verdict=Verdict.DENIED,
                object="public.payroll",
                rules=(shapes.RuleRef("a2", "Pay", "access_rule", "deny", "A-2"),),
                next_url="/r/A-2",
            )  # fmt: skip
            return [
                *head,
                messages.StatementFinished(
                    run.run_id, "st", shapes.StatementState.REFUSED, 1.0, failure=failure
                ),
                messages.RunFinished(run.run_id, shapes.RunState.REFUSED, 1.0),
            ]
        columns = (
            shapes.ColumnInfo("id", "int4", "integer"),
            shapes.ColumnInfo("email", "text", "text", (RULE,), "email", ("public.c.email",)),
        )
        return [
            *head,
            messages.ResultStarted(run.run_id, "st", "res", columns),
            messages.RowsAvailable(run.run_id, "res", 2, 64, True),
            messages.StatementFinished(
                run.run_id, "st", shapes.StatementState.DONE, 3.0, "SELECT 2", 2
            ),
            messages.RunFinished(run.run_id, shapes.RunState.DONE, 3.0),
        ]


def open_editor(web: WebPage) -> Server:
    server = Server()
    web.prefer("en", "light")
    web.me()
    web.answers["GET connections"] = {"results": [CONNECTION], "next": None, "previous": None}
    web.editor(server)
    web.open("/editor?connection=c1")
    expect(web.page.locator(".cm-content")).to_be_visible()
    expect(web.page.get_by_role("button", name="Close the session")).to_be_visible()
    expect(web.page.get_by_text("Saved", exact=True)).to_be_visible()
    return server


def type_and_run(web: WebPage, text: str) -> None:
    web.page.locator(".cm-content").click()
    web.page.keyboard.press("Control+a")
    web.page.keyboard.insert_text(text)
    web.page.keyboard.press("Escape")
    web.page.keyboard.press("Control+Enter")


def test_masked_columns_are_marked_and_the_rule_is_named(web: WebPage) -> None:
    server = open_editor(web)
    type_and_run(web, "SELECT id, email FROM customers")
    expect(web.page.locator(".qk-mask-note")).to_contain_text("PII e-mail (M-1)")
    expect(web.page.get_by_role("tab", name="Result 1")).to_be_visible()
    grid = web.page.locator(".qk-grid canvas").first
    expect(grid).to_be_visible()
    box = grid.bounding_box()
    assert box is not None
    web.page.mouse.move(box["x"] + 240, box["y"] + 45)
    expect(web.page.get_by_role("tooltip")).to_contain_text("Masked by PII e-mail (M-1)")
    assert server.texts == ["SELECT id, email FROM customers"]
    assert web.errors == []


def test_a_refusal_names_object_rule_and_next_step_and_stands_in_the_text(web: WebPage) -> None:
    open_editor(web)
    type_and_run(web, "SELECT * FROM payroll")
    panel = web.page.get_by_role("alert")
    expect(panel).to_contain_text("Denied")
    expect(panel).to_contain_text("public.payroll")
    expect(panel).to_contain_text("Pay (A-2)")
    expect(web.page.locator(".cm-lintRange-error")).to_have_text("payroll")
    panel.get_by_role("button", name="What to do next").click()
    expect(web.page.get_by_role("heading", name="Rule A-2")).to_be_visible()


def test_only_the_statement_at_the_cursor_runs(web: WebPage) -> None:
    server = open_editor(web)
    web.page.locator(".cm-content").click()
    web.page.keyboard.insert_text("SELECT 1;\n\nSELECT 2;\n")
    web.page.keyboard.press("ArrowUp")
    web.page.keyboard.press("Control+Enter")
    expect(web.page.get_by_role("tab", name="Result 1")).to_be_visible()
    assert server.texts == ["SELECT 2;"]


def test_what_was_typed_while_the_line_was_down_is_saved_when_it_is_back(web: WebPage) -> None:
    server = open_editor(web)
    server.sockets[-1].close(code=1012, reason="restart")
    web.page.locator(".cm-content").click()
    web.page.keyboard.insert_text("-- typed offline")
    expect(web.page.get_by_text("The line to Querykeep is down")).to_be_hidden(timeout=15_000)
    expect(web.page.get_by_text("Saved", exact=True)).to_be_visible()
    assert [tab.text for tab in server.tabs.values()] == ["-- typed offline"]
    assert len(server.sockets) == 2


def test_a_revoked_session_says_why_and_offers_no_way_back(web: WebPage) -> None:
    server = open_editor(web)
    tab_id = next(iter(server.tabs))
    server.sockets[-1].send(
        frames.encode(
            messages.SessionEnded(
                tab_id, "s1", EndReason.REVOKED, "grant deleted by admin", AT, can_reopen=False
            )
        )
    )
    banner = web.page.get_by_role("alert")
    expect(banner).to_contain_text("Your access was revoked.")
    expect(banner).to_contain_text("grant deleted by admin")
    expect(web.page.get_by_role("button", name="Open again")).to_have_count(0)


def test_tabs_come_back_after_a_reload(web: WebPage) -> None:
    server = open_editor(web)
    web.page.locator(".cm-content").click()
    web.page.keyboard.insert_text("SELECT '한글'")
    expect(web.page.get_by_text("Saved", exact=True)).to_be_visible()
    web.page.reload()
    expect(web.page.locator(".cm-content")).to_have_text("SELECT '한글'")
    assert len(server.tabs) == 1


def test_a_window_taken_by_another_tab_says_so_and_comes_back(web: WebPage) -> None:
    server = open_editor(web)
    server.sockets[-1].send(frames.encode(messages.WindowTaken(AT)))
    server.sockets[-1].close(code=4409, reason="taken")
    notice = web.page.get_by_role("alert")
    expect(notice).to_contain_text("open in another browser tab")
    # Nothing can be typed that the other tab would not know.
    expect(web.page.locator(".cm-content")).to_have_count(0)
    (tab,) = server.tabs.values()
    server.tabs[tab.tab_id] = dataclasses.replace(
        tab, text="SELECT 'typed there'", revision=tab.revision + 1
    )
    notice.get_by_role("button", name="Go on here").click()
    expect(web.page.locator(".cm-content")).to_have_text("SELECT 'typed there'")
    server.sockets[-1].close(code=4409, reason="taken")
    server.tabs.clear()  # a window that the server does not know begins empty
    notice.get_by_role("button", name="Start a new window").click()
    expect(web.page.get_by_role("textbox", name="SQL text")).to_have_text("Write SQL here")
    assert server.asked_for[-2:] == ["w1", ""]


def test_who_is_signed_out_while_typing_signs_in_over_the_editor(web: WebPage) -> None:
    server = open_editor(web)
    web.answers["POST auth/sign-in"] = web.answers["GET me"]
    web.page.locator(".cm-content").click()
    server.sockets[-1].close(code=4401, reason="signed out")
    web.page.keyboard.insert_text("SELECT 'kept'")
    dialog = web.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Your sign-in has ended.")
    web.page.keyboard.type("secret")
    web.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(web.page.locator(".cm-content")).to_have_text("SELECT 'kept'")
    expect(web.page.get_by_text("Saved", exact=True)).to_be_visible()
    assert [tab.text for tab in server.tabs.values()] == ["SELECT 'kept'"]
    type_and_run(web, "SELECT id, email FROM customers")
    expect(web.page.get_by_role("tab", name="Result 1")).to_be_visible()


def test_the_editor_is_for_everyone(web: WebPage) -> None:
    open_editor(web)
    type_and_run(web, "SELECT id, email FROM customers")
    expect(web.page.get_by_role("tab", name="Result 1")).to_be_visible()
    findings = serious_findings(web.page)
    type_and_run(web, "SELECT * FROM payroll")
    expect(web.page.get_by_role("alert")).to_be_visible()
    findings += serious_findings(web.page)
    web.page.set_viewport_size({"width": ZOOMED[0], "height": ZOOMED[1]})
    findings += sideways(web.page)
    assert findings == []


def test_from_signing_in_to_copied_cells_without_a_mouse(web: WebPage) -> None:
    server = Server()
    web.prefer("en", "light")
    web.answers["GET connections"] = {"results": [CONNECTION], "next": None, "previous": None}
    web.editor(server)
    web.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    web.open("/sign-in?next=%2Feditor%3Fconnection%3Dc1")
    expect(web.page.get_by_label("User name")).to_be_focused()
    web.me()
    web.answers["POST auth/sign-in"] = web.answers["GET me"]
    web.page.keyboard.type("kim")
    web.page.keyboard.press("Tab")
    web.page.keyboard.type("secret")
    web.page.keyboard.press("Enter")
    text = web.page.get_by_role("textbox", name="SQL text")
    expect(web.page.get_by_role("button", name="Close the session")).to_be_visible()
    tab_to(web, text)
    web.page.keyboard.insert_text("SELECT id, email FROM customers")
    web.page.keyboard.press("Escape")  # a completion list would take Enter
    web.page.keyboard.press("Control+Enter")
    expect(web.page.get_by_role("tab", name="Result 1")).to_be_visible()
    web.page.keyboard.press("Escape")  # in the text, Tab alone indents
    tab_to(web, web.page.locator(".qk-grid"))
    web.page.keyboard.press("ArrowDown")
    web.page.keyboard.press("ArrowRight")
    web.page.keyboard.press("Control+c")
    copied = "k*****@example.com"
    web.page.wait_for_function(
        "async (text) => (await navigator.clipboard.readText()).includes(text)", arg=copied
    )


def tab_to(web: WebPage, wanted: Locator) -> None:
    """Press Tab until something has the focus, or something in it."""
    for _press in range(60):
        if wanted.first.evaluate("element => element.contains(document.activeElement)"):
            return
        web.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {wanted}")
