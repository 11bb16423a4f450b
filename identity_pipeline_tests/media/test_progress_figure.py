"""The picture of all work: bars that add up, shares that never round up."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from identity_pipeline.core.progress.shares import State
from identity_pipeline.media.progress_figure import BAR_W, COLOURS, percent, phases_svg, span

SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_shows_each_state_by_its_count_and_adds_up() -> None:
    states = [State.DONE] * 3 + [State.FAILED]
    root = ElementTree.fromstring(phases_svg({"watch": states}))  # noqa: S314
    bars = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    widths = {r.get("fill"): float(str(r.get("width"))) for r in bars}
    assert widths == {COLOURS[State.DONE]: 0.75 * BAR_W, COLOURS[State.FAILED]: 0.25 * BAR_W}
    said = "".join(root.itertext())
    assert "3 of 4 done" in said and "watch: 1 failed" in said


def test_every_state_has_a_colour_of_its_own() -> None:
    assert len(set(COLOURS.values())) == len(State)


def test_no_video_is_a_picture_too() -> None:
    ElementTree.fromstring(phases_svg({"watch": []}))  # noqa: S314


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0 %"), (1e-6, "under 1 %"), (0.9999, "99 %"), (1, "100 %")]
)
def test_a_share_is_rounded_down(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "not known"), (0, "nothing"), (0.2, "under 1 s"), (75, "75 s"), (600, "10 min"),
     (7200, "2 h"), (500_000, "6 days")],
)  # fmt: skip
def test_a_span_is_as_exact_as_an_estimate(seconds: float | None, words: str) -> None:
    assert span(seconds) == words
