"""The page of the evaluation: whole, escaped, alone, and honest about what was not measured."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from identity_pipeline.core.evaluation.report import (
    Confusion,
    CoverageRow,
    Difference,
    ErrorBand,
    Figure,
    Report,
    Roc,
    Section,
    VideoRow,
)
from identity_pipeline.media import evaluation_plots as plots
from identity_pipeline.media.evaluation_page import (
    HEADLINES,
    SUMMARY,
    VIDEO_COLUMNS,
    change_words,
    headline,
    interval_words,
    render_evaluation_page,
    value_words,
)

SCOPE = "2 rendered clips (a, b<c), 3 riders"
MATRIX = Confusion("yaw", ("[-5,5)", "beyond"), ("[-5,5)", "beyond"), ((3, 1), (0, 0)))
ROC = Roc("all pairs", (0.0, 0.001, 0.1, 1.0), (0.0, 0.5, 0.8, 1.0), 900, 1000)
BANDS = (ErrorBand("yaw", -15, 0, 9, 1.5, 3.0), ErrorBand("pitch", 0, 15, 4, 2.0, 7.0))
COVERAGE = (CoverageRow("a", "rider<1>", "yaw", 3, 2, 5, 7),)


def figure(key: str, **more: object) -> Figure:
    value = {"value": 0.5, "n": 40, "counted": "faces", "low": 0.4, "high": 0.6, **more}
    return Figure(key=key, label=f"label of {key}", unit="share", measured_on=SCOPE, **value)  # type: ignore[arg-type]


def section() -> Section:
    unknown = {"value": None, "low": None, "high": None, "n": 0, "reason": "nobody <looked>"}
    figures = [figure(k, **(unknown if k == "pose.yaw_mae" else {})) for k in HEADLINES]
    values = dict.fromkeys(VIDEO_COLUMNS, 0.25)
    return Section(
        "rendered",
        SCOPE,
        tuple(figures),
        (VideoRow("a", "faces", ("rider<1>",), ("twins",), 99, values),),
        (MATRIX,),
        (ROC,),
        BANDS,
        COVERAGE,
    )


def report(**more: object) -> Report:
    model = {"role": "detection", "name": "pack", "sha256": "ab" * 32}
    made = Report("1.0", ("v1",), ("pack/w@1/2",), ("v@2/3",), (model,), ("cd" * 32,), (section(),))
    return replace(made, **more)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "br", "img", "link", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    return tags


def test_the_page_is_well_formed_alone_and_the_same_twice() -> None:
    html = render_evaluation_page(report())
    tags = parsed(html)
    assert not {name for name, _ in tags.seen} & {"script", "img", "link"}
    urls = [v for _, attrs in tags.seen for k, v in attrs.items() if k in ("href", "src")]
    assert all(str(url).startswith("#") for url in urls)
    labels = [attrs.get("aria-label") for name, attrs in tags.seen if name == "svg"]
    for plot in ("ROC curves", "Pose error", "yaw bins", "Bins filled"):
        assert any(plot in str(label) for label in labels), plot
    assert html == render_evaluation_page(report())


def test_it_says_what_was_measured_on_what_and_why_something_was_not() -> None:
    html = render_evaluation_page(report())
    assert "Measured on 2 rendered clips (a, b&lt;c), 3 riders." in html
    assert "not measured: nobody &lt;looked&gt;" in html
    assert "rider<1>" not in html and "<looked>" not in html
    assert "abababababab" in html and "gates v1" in html and "twins" in html


def test_videos_that_were_left_out_are_named() -> None:
    html = render_evaluation_page(report(left_out={"x": "x has no finished tables; run it."}))
    assert "1 video with truth could not be evaluated" in html
    assert "x has no finished tables" in html


def test_differences_have_arrows_and_words() -> None:
    found = (
        Difference("rendered", "detection.recall", 0.4, 0.5, "better", False),
        Difference("rendered", "exports.wrong", 0.6, 0.5, "better", True),
        Difference("real", "old.figure", 0.1, None, "gone"),
    )
    html = render_evaluation_page(report(differences=found))
    parsed(html)
    assert re.search(r'change better"><b>▲</b> better<small>was 40\.0 %', html)
    assert re.search(r'change doubt"><b>▼</b> better<small>was 60\.0 %, within the interval', html)
    assert "old.figure" in html and "Only in the earlier report" in html
    elsewhere = replace(found[0], other_clips=True)
    assert change_words(elsewhere, "share") == "▲ better, was 40.0 % (on other clips)"
    assert change_words(found[0], "share") == "▲ better, was 40.0 %"
    assert "since the earlier report" not in render_evaluation_page(report())


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(0.973, "share", "97.3 %"), (0.97321, "area", "0.973"), (2.71, "degrees", "2.7°"),
     (6.0, "count", "6"), (0.0252, "of box", "2.52 % of the box"), (-0.061, "r", "-0.06"),
     (None, "share", "not measured")],
)  # fmt: skip
def test_values_have_units(value: float | None, unit: str, words: str) -> None:
    assert value_words(value, unit) == words


def test_rates_that_must_be_zero_are_counts_with_a_bound() -> None:
    rate = figure("exports.wrong", value=0.05, n=40, low=None, high=0.15, target=0.0)
    assert headline(rate) == "2 of 40" and interval_words(rate) == "at most 15.0 %"


def test_plots_are_svg_with_their_numbers() -> None:
    drawings = [
        plots.roc_svg([ROC]),
        plots.confusion_svg(MATRIX),
        plots.pose_error_svg(BANDS),
        plots.coverage_svg(COVERAGE),
        plots.interval_svg(figure("a.b")),
    ]
    for drawing in drawings:
        ElementTree.fromstring(str(drawing))  # noqa: S314 - made above
    assert 'data-true="[-5,5)" data-called="beyond" data-count="1"' in drawings[1]
    assert 'data-axis="yaw" data-filled="3" data-reachable="5"' in drawings[3]
    assert plots.interval_svg(figure("a.b", value=None)) is None


def test_what_a_terminal_shows_is_among_the_figures_of_the_page() -> None:
    assert set(HEADLINES) <= set(SUMMARY)
