"""The audit of a ride in a real browser: by keys, by a finger on a telephone, and taken back."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from identity_pipeline.storage.video.audits import Audits
from identity_pipeline_tests.desk.browsing import RunningDesk, Visitors, press


def test_moments_are_asked_one_at_a_time_and_answers_taken_back(
    desk: RunningDesk, visitors: Visitors
) -> None:
    page = visitors.visit(desk, path="/rides?q=solo")
    page.get_by_role("link", name="demo_solo").click()
    expect(page.get_by_text("was not measured")).to_be_visible()
    page.get_by_role("link", name="What was missed?").click()
    shown, done = page.locator("img.audited"), page.locator("label[for=far]")
    expect(done).to_have_text(re.compile("^0 of "))
    first = shown.get_attribute("src")
    assert shown.evaluate("(one) => one.decode().then(() => one.naturalWidth)") > 100
    press(page, "n")
    expect(done).to_have_text(re.compile("^1 of "))
    assert shown.get_attribute("src") != first
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Missed: usable").click()
    expect(done).to_have_text(re.compile("^2 of "))
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    press(page, "z")
    expect(done).to_have_text(re.compile("^1 of "))
    press(page, "z")
    expect(done).to_have_text(re.compile("^0 of "))
    assert shown.get_attribute("src") == first
    stores = desk.stores
    (ride,) = (path.stem for path in stores.layout.audits.glob("*.jsonl"))
    said = [one.answer for one in Audits(stores.layout).read(ride)]
    assert said == ["unusable", "missed", None, None]
