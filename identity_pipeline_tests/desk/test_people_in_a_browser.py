"""The room People in a real browser: merge, split and reject by keys and pointer, and undo."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from identity_pipeline_tests.curated_library import PINS, call, write_rides
from identity_pipeline_tests.desk.browsing import RunningDesk, Visitors, press

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
TRACKS = {"Ada": ("ride-a:1", "ride-b:1"), "Ben": ("ride-a:2", "ride-c:2")}


@pytest.fixture(scope="module")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    """A desk on the curated library, in which everybody has a name."""
    root = tmp_path_factory.mktemp("curated")
    write_rides(root)
    for name, tracks in {**TRACKS, "Kim": ("ride-b:2",), "Bo": ("ride-d:1",)}.items():
        call(root, "label", *tracks, "--name", name)
    call(root, "recluster")
    found = RunningDesk(root / "data", PINS).start()
    yield found
    found.stop()


@pytest.fixture
def visitors(visitors: Visitors) -> Visitors:
    """These rides are but tables, so each picture of a face is an empty one."""
    visitors.picture = EMPTY
    return visitors


@pytest.fixture
def page(running: RunningDesk, visitors: Visitors) -> Page:
    return at(visitors.visit(running), running, "/people")


def at(page: Page, running: RunningDesk, path: str) -> Page:
    """The page there."""
    page.goto(f"{running.origin}{path}")
    return page


def who(running: RunningDesk, name: str) -> str:
    return running.state().named(name)[0]


def undone(page: Page, running: RunningDesk, before: str) -> None:
    press(page, "u")
    expect(page.get_by_role("button", name="Bring back").first).to_be_visible()
    assert running.state().state_hash == before


def test_two_people_are_merged_by_keys_after_both_were_seen(
    page: Page, running: RunningDesk
) -> None:
    before, kim, bo = running.state().state_hash, who(running, "Kim"), who(running, "Bo")
    page.get_by_role("row", name="Kim").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Kim", exact=True)).to_be_visible()
    press(page, "m")
    expect(page.get_by_role("heading", name="Who is Kim, too?")).to_be_visible()
    page.get_by_role("combobox").press_sequentially("BO")
    expect(page.get_by_role("option")).to_have_text(re.compile("^Bo 1 rides"))
    for key in ("ArrowDown", "Enter", "Enter"):
        press(page, key)
    expect(page.get_by_role("heading", name="Kim becomes Bo")).to_be_visible()
    press(page, "w")
    expect(page.get_by_role("heading", name="Bo becomes Kim")).to_be_visible()
    assert running.state().state_hash == before
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Kim", exact=True)).to_be_visible()
    assert running.state().people[bo].merged_into == kim
    undone(page, running, before)


def test_what_is_pressed_as_soon_as_a_page_is_there_loads_no_page_anew(page: Page) -> None:
    page.evaluate(
        """() => {
          window.kept = true;
          const press = () => document.querySelector("[data-key=m]").click();
          document.addEventListener("htmx:afterSwap", () => setTimeout(press), { once: true });
        }"""
    )
    page.get_by_role("row", name="Kim").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Who is Kim, too?")).to_be_visible()
    assert page.evaluate("window.kept")


def test_tracks_are_sorted_into_parts_by_pointer_and_keys(page: Page, running: RunningDesk) -> None:
    before, ada = running.state().state_hash, who(running, "Ada")
    page.goto(f"{running.origin}/people/{ada}/split")
    button = page.get_by_role("button", name=re.compile("^Split"))
    expect(button).to_have_text("Split off 1 track")
    page.locator("[data-part='2'] select").focus()
    press(page, "1")
    expect(button).to_be_disabled()
    tile = page.locator("[data-part='1'] li").last
    moved = str(tile.locator("select").input_value()).removeprefix("1 ")
    tile.drag_to(page.locator("[data-part='3'] ul"))
    expect(page.locator("[data-part='3'] [data-part-count]")).to_have_text("1")
    page.locator("input[name=name_3]").fill("Cleo")
    button.click()
    expect(page.get_by_role("heading", name="Ada", exact=True)).to_be_visible()
    assert running.state().assigned[moved] == who(running, "Cleo")
    undone(page, running, before)


def test_selected_tracks_are_rejected_and_the_rejection_undone(
    page: Page, running: RunningDesk
) -> None:
    before, ben = running.state().state_hash, who(running, "Ben")
    page.get_by_role("row", name="Ben").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Ben", exact=True)).to_be_visible()
    boxes = page.get_by_role("checkbox")
    boxes.first.focus()
    press(page, "Space")
    boxes.last.click(modifiers=["Shift"])
    button = page.get_by_role("button", name="Not Ben")
    expect(button).to_contain_text("(2)")
    press(page, "ArrowLeft")
    press(page, "Space")
    expect(button).to_contain_text("(1)")
    press(page, "r")
    negative = page.get_by_role("button", name=re.compile("^Undo #.* of ride-c"))
    expect(negative).to_be_visible()
    assert [person for _, person in running.state().rejected] == [ben]
    negative.click()
    expect(page.get_by_text("Nobody said of any track")).to_be_visible()
    assert running.state().state_hash == before


@pytest.mark.parametrize("way", ["click", "Enter"])
def test_a_button_decides_what_it_says_however_it_is_pressed(
    page: Page, running: RunningDesk, way: str
) -> None:
    before, seen = running.state().state_hash, len(running.decisions())
    at(page, running, f"/people/{who(running, 'Ben')}")
    page.get_by_role("checkbox").last.check()
    button = page.get_by_role("button", name="Ignore")
    button.focus()
    if way == "click":
        button.click()
    else:
        press(page, way)
    expect(page.locator(".notice b")).to_have_text(f"#{seen + 1}")
    assert [event.kind for event in running.decisions()[seen:]] == ["ignore"]
    press(page, "u")
    expect(page.locator(".notice b")).to_have_text(f"#{seen + 2}")
    assert running.state().state_hash == before


def test_the_desk_stays_usable_on_a_telephone(running: RunningDesk, visitors: Visitors) -> None:
    page, ada = visitors.visit(running, width=390, height=300), who(running, "Ada")
    for path in ("", f"/{ada}", f"/{ada}/split", f"/{ada}/merge"):
        at(page, running, f"/people{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    at(page, running, f"/people/{ada}")
    page.get_by_role("button", name="Undo", exact=False).last.scroll_into_view_if_needed()
    assert page.evaluate("scrollY") > 0
    press(page, "m")
    expect(page.get_by_role("heading", name="Who is Ada, too?")).to_be_in_viewport()
    page.wait_for_function("scrollY === 0")  # another page begins at its top


HEAD = """() => [...document.head.querySelectorAll("link[rel=stylesheet], script[src]")]
  .map((one) => one.getAttribute("href") ?? one.getAttribute("src"))"""


def test_a_room_has_the_same_styles_and_scripts_by_a_link_as_by_its_address(
    page: Page, running: RunningDesk
) -> None:
    for room in ("Review", "Pictures", "People"):
        at(page, running, "/people")
        page.get_by_role("navigation", name="Rooms").get_by_role("link", name=room).click()
        expect(page.locator("nav [aria-current=page]")).to_have_text(room)
        by_link = set(page.evaluate(HEAD))
        page.reload()
        assert set(page.evaluate(HEAD)) <= by_link, room
