"""Every page of the desk to which a link leads: for machines, by keys, narrow and wide."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from identity_pipeline_tests.desk.browsing import (
    Keyboard,
    RunningDesk,
    Visitors,
    copy_library,
    name_tracks,
    press,
)
from identity_pipeline_tests.made_up_cameras import make_known

NAMED = {"demo_duo_a:1": "Ada", "demo_solo:1": "Ben"}
"""One rider by two names: they may be merged; the other group is still unknown."""
START = "/review", "/people", "/rides", "/clusters", "/cameras", "/alone", "/who"
NO_PAGES = "/img/", "/static/", "/data-map.html", "/receipts/"
"""Pictures, what pages are made of, and files to be given away."""
RULES = {"resultTypes": ["violations"]}
COLOURS = {**RULES, "runOnly": ["color-contrast"]}
WINDOWS = (
    (1440, False, RULES), (390, True, RULES), (1440, True, COLOURS), (390, False, COLOURS)
)  # fmt: skip
"""Width in px, whether it is night, and what is looked for: at a width nothing but the colours
changes by night."""
LINKS = "links => links.map(link => link.href)"
FOCUS = """() => {
  const at = document.activeElement;
  if (at === document.body || at.id === "main") return null;
  const look = getComputedStyle(at), box = at.getBoundingClientRect();
  const ring = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
  const hit = box.width > 0 && box.height > 0;
  at.dataset.reached = "1";
  return [ring || look.boxShadow !== "none", hit, at.outerHTML.slice(0, 120)];
}"""
UNREACHED = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]),"
  + " select, textarea, summary")].filter(one => !one.dataset.reached && !one.disabled
  && one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true})
  && !one.closest("dialog:not([open])")).map(one => one.outerHTML.slice(0, 120))"""


def kind_of(url: str) -> str:
    """What pages of one template have in common: the path without ids, the names of the query."""
    parts = urlsplit(url)
    words = ("*" if re.search(r"\d", word) else word for word in parts.path.split("/"))
    return "/".join(words) + "?" + ",".join(sorted({name for name, _ in parse_qsl(parts.query)}))


def pages_of(page: Page, origin: str) -> Iterator[str]:
    """One page of each kind that a link leads to; the page shows it when it is given."""
    waiting, seen = [origin + path for path in START], set()
    while waiting:
        url = waiting.pop(0)
        if kind_of(url) in seen or urlsplit(url).path.startswith(NO_PAGES):
            continue
        seen.add(kind_of(url))
        answer = page.goto(url)
        assert answer and answer.status == 200, (url, page.inner_text("body"))
        yield url
        found = page.locator("a[href]").evaluate_all(LINKS)
        waiting += [link.partition("#")[0] for link in found if link.startswith(origin)]


@pytest.fixture(scope="module")
def desk(
    browser: Browser, demo_library: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningDesk]:
    """A desk on a library in which all kinds of pages have something to show, for all tests."""
    del browser  # where there is none, nothing is prepared
    data = copy_library(demo_library, tmp_path_factory.mktemp("named") / "data")
    name_tracks(data, NAMED)
    known = make_known(tmp_path_factory.mktemp("films"), "cam1").layout.cameras
    shutil.copytree(known, data / "cameras", dirs_exist_ok=True)
    running = RunningDesk(data).start()
    yield running
    running.stop()


@pytest.fixture
def page(desk: RunningDesk, visitors: Visitors) -> Page:
    """A curator at the first question."""
    return visitors.visit(desk, "Kim", "/review")


@pytest.mark.slow
def test_every_page_can_be_read_by_machines_at_all_widths_by_day_and_night(
    desk: RunningDesk, page: Page
) -> None:
    found, wide, script = [], [], Axe().axe_script
    for url in pages_of(page, desk.origin):
        page.evaluate(script)
        for width, dark, rules in WINDOWS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if dark else "light")
            for one in page.evaluate("rules => axe.run(rules)", rules)["violations"]:
                nodes = [node["html"][:200] for node in one["nodes"][:3]]
                found.append((kind_of(url), width, "dark" if dark else "light", one["id"], nodes))
            if page.evaluate("document.scrollingElement.scrollWidth") > width:
                wide.append((url, width))
    assert (found, wide) == ([], [])


@pytest.mark.slow
def test_every_control_is_reached_by_tab_and_shows_that_it_has_the_focus(
    desk: RunningDesk, page: Page
) -> None:
    dark, missed = [], []
    for url in pages_of(page, desk.origin):
        rounds = pressed = 0
        while rounds < 2 and pressed < 400:  # the first begins where the page put the focus
            press(page, "Tab")
            pressed += 1
            at = page.evaluate(FOCUS)
            rounds += at is None
            if at and not (at[0] and at[1]):
                dark.append((kind_of(url), at[2]))
        missed += [(kind_of(url), one) for one in page.evaluate(UNREACHED)]
    assert (dark, missed) == ([], [])


def test_the_list_of_keys_opens_and_closes_by_keys(page: Page) -> None:
    keys = Keyboard(page)
    keys.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("Undo the last decision")
    assert not Axe().run(page, options=RULES).response["violations"]
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
