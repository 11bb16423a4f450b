"""Naming the riders of the demo in a real browser: by keys, by two at once, with stops between."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from identity_pipeline_tests.desk.browsing import Keyboard, RunningDesk, Visitors, press

RIDERS = {"Ada": 2, "Ben": 2, "Bo": 1}
FEW_KEYS = sum(len(name) + 2 for name in RIDERS)
"""`n`, the name, Enter; nothing else."""
SCRIPT = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_all_riders_are_named_by_keys_alone_and_each_is_undone(
    desk: RunningDesk, visitors: Visitors
) -> None:
    page = visitors.visit(desk, "Kim", "/review")
    keys = Keyboard(page)
    for rider in RIDERS:
        keys.decide("n", rider)
        named = desk.names()
        keys.decide("u")
        assert desk.names() == {who: n for who, n in named.items() if who != rider}
        keys.decide("u")  # an undo is undone by the next
        assert desk.names() == named
    assert keys.pressed == FEW_KEYS + 2 * len(RIDERS)
    assert desk.names() == RIDERS
    assert {event.actor for event in desk.decisions()} == {"Kim"}
    expect(page.get_by_role("heading", name="Nothing is open")).to_be_visible()
    for rider in RIDERS:
        page.goto(f"{desk.origin}/people")
        expect(page.get_by_role("link", name=rider).first).to_be_visible()


def test_the_second_of_two_curators_sees_what_the_first_decided(
    desk: RunningDesk, visitors: Visitors
) -> None:
    ada, kim = (visitors.visit(desk, name, "/review") for name in ("Ada", "Kim"))
    assert heading(ada) == heading(kim)
    Keyboard(ada).decide("n", "Bo")
    visitors.expected.add(409)
    keys = Keyboard(kim)
    keys.decide("n", "Ben")
    expect(kim.get_by_role("heading", name="Somebody was faster")).to_be_visible()
    expect(kim.get_by_role("alert")).to_contain_text("Ada")
    assert desk.names() == {"Bo": 2}
    keys.decide("Enter")
    expect(kim.get_by_label("New name")).to_be_visible()
    keys.decide("n", "Ben")
    assert desk.names() == {"Bo": 2, "Ben": 2}
    assert [event.actor for event in desk.decisions()] == ["Ada", "Kim"]


def test_two_curators_on_different_questions_do_not_hinder_each_other(
    desk: RunningDesk, visitors: Visitors
) -> None:
    ada, kim = (visitors.visit(desk, name, "/review") for name in ("Ada", "Kim"))
    keys = Keyboard(kim)
    keys.decide("]")
    Keyboard(ada).decide("n", "Bo")
    keys.decide("n", "Ben")
    assert desk.names() == {"Bo": 2, "Ben": 2}


def test_the_place_in_the_queue_outlasts_a_reload_and_a_restart(
    desk: RunningDesk, visitors: Visitors
) -> None:
    page = visitors.visit(desk, "Kim", "/review")
    place = page.locator(".progress label")
    assert place.inner_text() == "1 of 3"
    Keyboard(page).decide("]")
    expect(place).to_have_text("2 of 3")
    page.wait_for_load_state("networkidle")
    shown = page.locator("[data-question]").get_attribute("data-question")
    page.reload()
    expect(place).to_have_text("2 of 3")
    page.goto("about:blank")  # what a page still loads, such as its icon, would fail with the desk
    desk.stop(kill=True)
    desk.start()
    page.goto(f"{desk.origin}/enter?token={desk.token()}")
    page.goto(f"{desk.origin}/review")
    expect(place).to_have_text("2 of 3")
    expect(page.locator("[data-question]")).to_have_attribute("data-question", shown or "")
    assert desk.decisions() == []


def test_a_script_in_a_name_is_text(desk: RunningDesk, visitors: Visitors) -> None:
    page = visitors.visit(desk, SCRIPT, "/review")
    Keyboard(page).decide("n", SCRIPT)
    expect(page.locator(".notice")).to_contain_text("<script>")
    assert desk.names() == {SCRIPT: 2}
    person = next(iter(desk.state().people))
    for path in ("/review", "/people", f"/people/{person}", f"/people/{person}/rename", "/rides"):
        page.goto(f"{desk.origin}{path}")
        press(page, "?")
        expect(page.locator("#help")).to_be_visible()
        assert page.evaluate("window.owned") is None
