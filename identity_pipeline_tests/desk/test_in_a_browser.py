"""The desk in a real browser: who may come in, and that nothing leaves the machine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from identity_pipeline_tests.desk.browsing import RunningDesk, Visitors, press

OTHER = "http://127.0.0.1:9"
ROOMS = "/people", "/review", "/rides"


def test_the_printed_address_opens_one_browser_and_no_second(
    desk: RunningDesk, visitors: Visitors
) -> None:
    token = desk.token()
    page, late = (visitors.context().new_page() for _ in range(2))
    page.goto(f"{desk.origin}/enter?token={token}")
    page.get_by_label("Your name").fill("Kim")
    press(page, "Enter")
    expect(page.get_by_role("link", name="Kim")).to_be_visible()
    for room in ROOMS:
        assert (page.goto(desk.origin + room) or pytest.fail()).status == 200
    visitors.expected |= {401, 403}
    for spent in (token, "guessed", ""):
        assert (late.goto(f"{desk.origin}/enter?token={spent}") or pytest.fail()).status == 403
        for room in ROOMS:
            late.goto(desk.origin + room)
            assert "/enter?next=" in late.url
    assert late.context.cookies() == []
    late.goto(f"{desk.origin}/enter?token={desk.token()}")  # the next one was printed meanwhile
    expect(late.get_by_role("heading", name="Who decides?")).to_be_visible()


def test_only_the_pages_of_the_desk_decide(desk: RunningDesk, visitors: Visitors) -> None:
    page = visitors.visit(desk)
    cookies = {c["name"]: c for c in page.context.cookies()}
    assert all(c["httpOnly"] and c["sameSite"] == "Strict" for c in cookies.values())
    ask, form = page.context.request, {"event": "x", "head": "0:", "back": "/review"}
    foreign = (
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    )
    for headers in foreign:
        assert ask.post(f"{desk.origin}/act/undo", form=form, headers=headers).status == 403
    port = desk.origin.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1"):
        assert ask.get(f"{desk.origin}/people", headers={"Host": host}).status == 421
    assert desk.decisions() == []


def test_a_page_of_another_origin_neither_decides_nor_frames_the_desk(
    desk: RunningDesk, visitors: Visitors
) -> None:
    page = visitors.visit(desk)
    visitors.expected |= {403}
    page.route(
        f"{OTHER}/*",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action='{desk.origin}/act/undo'><input name=event value=x>"
            f"<button>Win</button></form><iframe src='{desk.origin}/people'></iframe>",
        ),
    )
    page.goto(f"{OTHER}/trap")
    assert all(frame.locator("nav").count() == 0 for frame in page.frames)
    with page.expect_response(lambda answer: "/act/undo" in answer.url) as answered:
        page.get_by_role("button", name="Win").click()
    assert answered.value.status == 403
    visitors.troubles = [one for one in visitors.troubles if "frame" not in one.lower()]
    assert desk.decisions() == []
