"""The room Pictures in a real browser: a decision is what its button says, by pointer and keys."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from identity_pipeline_tests.desk.browsing import RunningDesk, Visitors, press

ORDER = "(list) => [...list.children].map((tile) => tile.dataset.face)"


def followed(page: Page, desk: RunningDesk, number: int, kind: str) -> None:
    """Waits for the page after a decision, and sees it in the ledger."""
    expect(page.locator(".notice b")).to_have_text(f"#{number}")
    assert desk.decisions()[number - 1].kind == kind


def test_pictures_are_rejected_ordered_and_undone(desk: RunningDesk, visitors: Visitors) -> None:
    page, before = visitors.visit(desk, path="/rides?q=solo"), desk.state().state_hash
    page.get_by_role("link", name="demo_solo").click()
    anchors = page.locator("[data-ordered]").first
    first, second, third, *_ = order = anchors.evaluate(ORDER)
    page.get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="the light").click()
    followed(page, desk, 1, "picture_reject")
    assert desk.state().pictures[second].fault == "light"
    press(page, "u")
    followed(page, desk, 2, "undo")
    assert desk.state().state_hash == before
    anchors.locator("[data-picture]").first.focus()
    for _ in range(2):  # the second before the first has been answered
        press(page, "Alt+ArrowRight")
    followed(page, desk, 4, "picture_order")
    assert anchors.evaluate(ORDER) == [second, third, first, *order[3:]]
    anchors.locator("[data-tile]").nth(2).drag_to(anchors.locator("[data-tile]").first)
    followed(page, desk, 5, "picture_order")
    assert anchors.evaluate(ORDER) == order
    press(page, "u")
    followed(page, desk, 6, "undo")
    assert anchors.evaluate(ORDER) == [second, third, first, *order[3:]]
