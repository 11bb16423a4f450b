"""The export page needs nothing but itself, hides nothing, and says null as what it is."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets import frame_ledger, pairs
from identity_pipeline.core.imagesets.challenge import KINDS
from identity_pipeline.core.imagesets.evidence import Evidence
from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.core.imagesets.summary import (
    AxisCoverage,
    AxisSizes,
    Cause,
    ConditioningWeights,
    ExportedFace,
    Prototype,
    RiderSummary,
    Shortfall,
)
from identity_pipeline.core.video.clock import clock
from identity_pipeline.media import wording
from identity_pipeline.media.figures import coverage_grid_svg, ledger_bar_svg
from identity_pipeline.media.page import (
    ExportPage,
    Growth,
    ImageCard,
    Lacking,
    LedgerRow,
    ModelFacts,
    PersonSection,
    PoseCell,
    PoseGrid,
    SetSection,
    VideoFacts,
    ledger_rows,
    render_export_page,
)
from identity_pipeline.settings import BucketSettings

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
VOID = {"meta", "img", "link", "br", "hr", "input", "wbr"}

FACE = ExportedFace(
    face_id="000834-0",
    frame_idx=834,
    person_id=0,
    timestamp_ms=83_400.0,
    box=Box(10, 10, 60, 70),
    crop=Box(0, 0, 80, 80),
    yaw=-10.0,
    pitch=7.0,
    roll=None,
    yaw_bin="[-15,-5)",
    pitch_bin="slight-up",
    expression_bin="mouth_open",
    occlusion_bin="unknown",
    lighting_bin="normal",
    quality_score=0.87,
    novelty=0.41,
    stable_score=0.66,
)
MEASURED = Evidence(
    eyes="open",
    lid_ratio=1.02,
    mouth_open=0.04,
    smile=0.61,
    luma_mean=118.4,
    portrait_score=0.84,
    picture_score=0.7,
    parts=(("eyes", 0.9), ("light", None)),
)
CARD = ImageCard("person_0/anchors/anchor_001.jpg", PIXEL, (FACE,), (MEASURED,))
COVERAGE = replace(CARD, file="person_0/coverage/cov_yaw-15_pitch10_smile.jpg")
SVG = coverage_grid_svg(
    pl.DataFrame({"yaw_key": [0], "pitch_key": [0], "expression_bin": ["smile"]}),
    BucketSettings(),
    seen={(0, 0)},
)
CELLS = [(yaw, pitch) for yaw in range(7) for pitch in range(5)]
RIDER = RiderSummary(
    person_id=0,
    seat="left",
    track_score=0.91,
    size_score=0.99,
    centre_score=0.73,
    length_score=0.88,
    face_count=1234,
    images={"anchor_set": 1, "coverage_set": 1, "challenge_set": 0, "pair_set": 3},
    saved_faces=pl.DataFrame(),
    filled=AxisCoverage(6, 4, 3, frozenset(CELLS[:17])),
    seen=AxisCoverage(7, 5, 4, frozenset(CELLS[1:20])),
    bins=AxisSizes(7, 5, 4),
    prototype=Prototype("000100-0", 100, 4200.0, 212),
    stop_reason="novelty_plateau",
    stop_ms=None,
    kinds_absent=("occluded",),
    empty_buckets={},
    no_set_reason=None,
    weights=ConditioningWeights(30, 60, 10, "identity_drift"),
    shortfalls=(
        Shortfall("anchor", 2, 3, (Cause("too_close_in_time", 14), Cause("not_strict", 1))),
    ),
)
PERSON = PersonSection(
    RIDER,
    sets=(
        SetSection("anchor", (CARD,)),
        SetSection("coverage", (COVERAGE,)),
        SetSection("challenge", ()),
    ),
    grid=PoseGrid(
        ("[-15,-5)", "[-5,5)"),
        (
            (
                "slight-up",
                (
                    PoseCell(True, (COVERAGE,), lacking=(Lacking("smile", 3, "hard_condition"),)),
                    PoseCell(False),
                ),
            ),
        ),
    ),
    growth=Growth("novelty_plateau"),
    kinds_lacking=(Lacking("dark", 0), Lacking("pose", 2, "too_similar")),
    coverage_svg=SVG,
)
LEDGER = pl.DataFrame(
    {
        "state": ["not_a_rider"] * 3 + ["saved"] * 2 + ["failed_gate"] * 5 + ["saved"],
        "reason": ["bystander"] * 3 + ["coverage"] * 2 + ["blurred"] * 5 + ["anchor"],
    }
)
VIDEO = VideoFacts(
    name="ride.mp4",
    video_id="ride-0123abcd",
    sha256="0123456789abcdef" * 4,
    size_bytes=81_400_000,
    width=1920,
    height=1080,
    duration_ms=61_240.0,
    average_fps=29.97,
    container="mov",
    codec="h264",
    sampled_frames=612,
    faces_seen=11,
    scene_cuts=1,
    shown="turned by 90°",
    warnings=("The colours are HDR & wide.",),
)
PAGE = ExportPage(
    video=VIDEO,
    settings_version="settings 5b1e90c2",
    models=(ModelFacts("recognition", "buffalo_l", "ab" * 32, "non-commercial", "CUDA"),),
    people=(PERSON,),
    timeline_svg=None,
    ledger_svg=ledger_bar_svg(LEDGER),
    ledger=ledger_rows(LEDGER),
)


class Page(HTMLParser):
    """What a browser would see: attributes, text, and whether tags are balanced."""

    def __init__(self, html: str) -> None:
        """Parses the page and checks that every tag is closed in order."""
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "text"):
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]


def page_with(**changes: object) -> Page:
    return Page(render_export_page(replace(PAGE, **changes)))  # type: ignore[arg-type]


def rider_with(**changes: object) -> Page:
    return page_with(people=(replace(PERSON, rider=replace(RIDER, **changes)),))  # type: ignore[arg-type]


def card_with(**changes: object) -> Page:
    card = replace(CARD, **changes)  # type: ignore[arg-type]
    return page_with(people=(replace(PERSON, sets=(SetSection("anchor", (card,)),)),))


def face_with(**changes: object) -> Page:
    return card_with(faces=(replace(FACE, **changes),))  # type: ignore[arg-type]


def test_the_page_asks_nothing_of_anybody() -> None:
    html = render_export_page(PAGE)
    rest = html.replace('xmlns="http://www.w3.org/2000/svg"', "")
    for outside in ("http://", "https://", "url(", "@import", "<script", "<link", "<iframe"):
        assert outside not in rest
    page = Page(html)
    assert all(v.startswith("data:image/") for v in page.values("img", "src"))
    targets = page.values("a", "href")
    assert targets and all(t.startswith(("#", "person_0/")) for t in targets)
    assert not [n for _, n, _ in page.attributes if n.startswith("on") or n == "srcset"]


def test_every_link_inside_the_page_has_its_target() -> None:
    second = replace(PERSON, rider=replace(RIDER, person_id=1, seat="right"))
    for page in (page_with(people=(PERSON, second), timeline_svg=SVG), page_with(people=())):
        ids = [v for _, n, v in page.attributes if n == "id"]
        assert len(ids) == len(set(ids))
        inside = {t[1:] for t in page.values("a", "href") if t.startswith("#")}
        assert inside and inside <= set(ids)


def test_all_text_is_escaped() -> None:
    evil = "<script>alert('x')</script>&amp;"
    page = replace(
        PAGE,
        video=replace(VIDEO, name=evil, container=evil),
        settings_version=evil,
        models=(ModelFacts(evil, evil, evil, evil, evil),),
        people=(
            PersonSection(
                replace(
                    RIDER,
                    seat=evil,
                    stop_reason=evil,
                    weights=ConditioningWeights(1, 2, 3, evil),
                    shortfalls=(Shortfall("anchor", 0, 1, (Cause(evil, 3),)),),
                ),
                sets=(SetSection("anchor", (replace(CARD, file="a/<b>_'\".jpg"),)),),
            ),
        ),
        ledger=(LedgerRow(evil, evil, 1, evil),),
    )
    html = render_export_page(page)
    assert "<script" not in html and "<b>_" not in html
    parsed = Page(html)
    assert parsed.text.count(evil) > 9
    assert "a/%3Cb%3E_%27%22.jpg" in parsed.values("a", "href")


@pytest.mark.parametrize("score", ["quality_score", "novelty", "stable_score"])
def test_an_unmeasured_score_is_not_a_zero(score: str) -> None:
    name = score.removesuffix("_score")
    assert f"{name} not measured" in face_with(**{score: None}).text
    assert f"{name} not measured" in face_with(**{score: float("nan")}).text
    measured = face_with(**{score: 0.0}).text
    assert f"{name} 0.00" in measured and f"{name} not measured" not in measured


def test_other_unmeasured_values_say_so_too() -> None:
    text = page_with(video=replace(VIDEO, duration_ms=None, average_fps=None)).text
    assert "ride.mp4 not measured" in text and "frames per second not measured" in text
    nothing = card_with(evidence=(Evidence(),)).text
    assert "eyes not measured · mouth not measured · light not measured" in nothing
    assert "covered not measured" in nothing and "score" not in nothing.partition("details")[0]
    unknown = page_with(models=(ModelFacts("vision", "x", None, None, None),)).text
    assert unknown.count("not known") == 3


def test_key_facts_of_the_video() -> None:
    text = page_with().text
    for fact in (
        "ride.mp4 1:01.2 · 1920 × 1080 · 612 sampled frames · 11 faces · 1 rider",
        "frames per second 29.97",
        "size 81.4 MB",
        "pictures shown turned by 90°",
        "How this video was read: 1 note The colours are HDR & wide.",
        "SHA-256 of the file 0123456789ab settings settings 5b1e90c2",
        "recognition buffalo_l abababababab non-commercial CUDA",
    ):
        assert fact in text, fact


def test_a_rider_is_told_in_plain_words() -> None:
    page = page_with()
    flex = [re.findall(r"flex:([\d.]+) 0 0", v) for v in page.values("i", "style")]
    assert [f[0] for f in flex if f] == ["30", "60", "10"]
    text = page.text
    for words in (
        "person_0 left seat",
        "seen as 1,234 faces, 2 images exported",
        "1 anchor 1 coverage 0 challenge 2 of 3 anchors",
        "17 of 35 poses are filled, 16 of the 19 that this rider showed; 3 of 4 expressions. The "
        "set grew until the end of the ride, though towards it hardly anything new came.",
        "Prototype The medoid of 212 strict faces, frame 100 at 4.2 s.",
        "track score 0.91 size 0.99 centre 0.73 length 0.88",
        "hardly anything new came. novelty_plateau",
        "30 anchor 60 coverage 10 challenge",
        "Identity drifts in this video, so anchors count more. identity_drift",
        "2 of 3 anchors: 14 candidates were too close in time to a better one, "
        "1 did not pass the strict quality gate.",
        "No image in this set. Dark : this ride has none of this rider "
        "Extreme pose : 2 moments; the best is too like an exported image",
        "no smile : 3 moments; the best is dark or overexposed",
    ):
        assert words in text, words


def test_kinds_that_a_ride_lacks_are_no_candidates() -> None:
    causes = (Cause("not_extreme", 1), Cause("not_on_this_ride", 2))
    assert wording.shortfall(Shortfall("challenge", 4, 5, causes)) == (
        "4 of 5 challenge images: 1 candidate was ordinary: neither extreme in pose nor dark, "
        "overexposed, covered or blurred, 2 kinds of challenge are not on this ride."
    )
    assert "5 challenge images: there was no" in wording.shortfall(Shortfall("challenge", 0, 5))


def test_a_card_says_what_it_is_on_what_evidence_and_when() -> None:
    page = face_with(expression_bin="smile")
    assert (
        "1:23.4 smile score 0.84 eyes open · mouth 4% open · light 118 details "
        "file anchor_ 001.jpg head ~15° to ~5°, slight up expression smile "
        "eyes open, 1.02 of usual mouth 4% open smile 0.61 covered not measured "
        "light 118, normal short side 80 px frame 834 as portrait 0.84 as picture 0.70 "
        "eyes 0.90 light not measured quality 0.87 novelty 0.41 stable 0.66"
    ).replace("~", "\N{MINUS SIGN}") in page.text
    assert page.values("a", "href").count(CARD.file) == 2
    widths = [re.findall(r"width:([\d.]+)%", v) for v in page.values("b", "style")]
    assert [["87.0"], ["41.0"], ["66.0"]] in [widths[i : i + 3] for i in range(len(widths))]
    assert "looks aside" in card_with(evidence=(replace(MEASURED, gaze_aside=True),)).text
    assert "one eye closed" in card_with(evidence=(replace(MEASURED, wink=True),)).text
    assert (
        "light 118, around 190" in card_with(evidence=(replace(MEASURED, surround_luma=190),)).text
    )
    assert "chosen among the 7 faces of its moment" in card_with(moment_faces=7).text
    views = (("640", 1), ("160", 0), ("native", 1))
    checked = card_with(found=views, instead_of=("000840-0", "2 faces are found.")).text
    assert "faces found 1 at 640, native; 0 at 160 in place of 000840-0: 2 faces" in checked


def test_the_first_pictures_are_the_anchors_of_all_riders() -> None:
    """Before anything but the header, which is one line, and the names of the riders."""
    second = replace(PERSON, rider=replace(RIDER, person_id=1, seat="right"))
    pair = ImageCard("pair/pair_001.jpg", PIXEL, (FACE, FACE), (MEASURED, MEASURED))
    notes = replace(VIDEO, warnings=("One.", "Two."))
    page = page_with(video=notes, people=(PERSON, second), pairs=(pair,), timeline_svg=SVG)
    alts = page.values("img", "alt")
    assert [a.split(" image of ")[0] for a in alts[:2]] == ["anchor", "anchor"]
    assert alts[0].startswith("anchor image of person_0: mouth open")
    assert alts[1].startswith("anchor image of person_1")
    html = render_export_page(replace(PAGE, people=(PERSON, second), pairs=(pair,)))
    body = html[html.index("<body>") :]
    assert body.index("<figure") < body.index("<table") and body.index("<figure") < body.index(
        "<svg"
    )
    # What opens on demand is closed: notes above the pictures, and measures in every card.
    assert "<details open" not in body and body.count("<details>") == body.count("<figure")


def test_every_picture_has_words_for_who_cannot_see_it() -> None:
    page = page_with()
    assert len(page.values("img", "alt")) == len(page.values("img", "src"))
    assert all(len(alt) > 20 for alt in page.values("img", "alt"))


def test_small_images_are_marked_and_counted() -> None:
    assert "px" not in page_with().text.split("details")[0]
    marked = page_with(min_side_px=512)
    assert "1:23.4 80 px" in marked.text
    assert "2 images have a short side below 512 px" in marked.text
    assert "short side below" not in page_with(min_side_px=80).text


@pytest.mark.parametrize("reason", ["coverage_satisfied", "novelty_plateau", "end_of_video"])
def test_a_set_that_stopped_growing_is_never_called_complete(reason: str) -> None:
    for growth in (Growth(reason), Growth(reason, 42_300.0), Growth(reason, 42_300.0, cut=True)):
        text = page_with(people=(replace(PERSON, growth=growth),)).text
        assert "complete" not in text.lower()
        assert ("0:42.3" in text) == (growth.ended_ms is not None)
    assert "could still give a better picture" in wording.growth(Growth(reason, 1.0))
    assert "was not chosen from" in wording.growth(Growth(reason, 1.0, cut=True))


def test_bars_stay_inside_their_track() -> None:
    widths = [
        re.findall(r"width:([\d.]+)%", v)[0]
        for v in face_with(quality_score=1.7, novelty=-0.2).values("b", "style")
    ]
    assert ["100.0", "0.0"] in [widths[i : i + 2] for i in range(len(widths))]


def test_a_rider_without_a_set_is_told_why_in_a_friendly_way() -> None:
    changed = replace(RIDER, stop_reason=None, prototype=None, weights=None)
    nothing = PersonSection(replace(changed, no_set_reason="no_prototype"))
    page = page_with(people=(nothing,))
    assert "There is no image set for this rider." in page.text
    assert "No set is better than a bad set." in page.text
    assert "track score 0.91" in page.text
    assert "No image in this set" not in page.text and "Coverage" not in page.text
    assert "of 3 anchors" not in page.text


def test_a_page_without_riders_is_complete_and_says_why() -> None:
    nobody = {"people": (), "ledger": (), "ledger_svg": None}
    empty = page_with(**nobody, video=replace(VIDEO, faces_seen=0)).text
    assert "No rider was found in this video" in empty and "No face was seen." in empty
    assert "No face was seen in 612 sampled frames." in empty
    passers = page_with(people=()).text
    assert "none of them long enough to be a rider" in passers
    assert "a bystander" not in passers and "All seats belong" in passers


def test_pairs_appear_only_with_two_riders() -> None:
    left = replace(
        FACE, yaw_bin="[-5,5)", pitch_bin="neutral", expression_bin="smile", novelty=None
    )
    left = replace(left, box=Box(0, 0, 100, 120))
    right = replace(FACE, person_id=1, yaw_bin="beyond", pitch_bin="unknown")
    right = replace(right, box=Box(210, 0, 310, 120))
    pair = ImageCard("pair/pair_001.jpg", PIXEL, (left, right), (MEASURED, Evidence()))
    second = replace(PERSON, rider=replace(RIDER, person_id=1, seat="right"))
    text = page_with(people=(PERSON, second), pairs=(pair,)).text
    level = "person_0 smile, ~5° to 5°, level; eyes open · mouth 4% open · light 118"
    assert level.replace("~", "\N{MINUS SIGN}") in text and "novelty not measured" in text
    assert "person_1 mouth open, beyond the bins, not measured; eyes not measured" in text
    assert "2.1 face widths apart, person_1 at 1.00 of the size" in text
    without = page_with(people=(PERSON, second)).text
    assert "No picture of both riders is exported." in without
    short = Shortfall("pair", 1, 3, (Cause("overlap", 9), Cause("other_face_large", 1)))
    few = (replace(PERSON, rider=replace(RIDER, pairs=short)), second)
    told = page_with(people=few, pairs=(pair,)).text
    assert "1 of 3 pairs: 9 frames showed faces that overlap, 1 had somebody else's face" in told
    assert "of 3 pairs" not in page_with(people=(PERSON, second), pairs=(pair,)).text
    assert "Pairs" not in page_with(pairs=(pair,)).text


def test_the_ledger_adds_up_in_the_order_of_the_states() -> None:
    rows = ledger_rows(LEDGER)
    assert [(r.state, r.reason, r.count) for r in rows] == [
        ("saved", "coverage", 2),
        ("saved", "anchor", 1),
        ("failed_gate", "blurred", 5),
        ("not_a_rider", "bystander", 3),
    ]
    assert "all faces 11" in page_with().text
    assert ledger_rows(LEDGER.reverse()) == rows


def test_every_state_and_reason_of_the_ledger_has_words() -> None:
    documented = frame_ledger.__doc__ or ""
    table = documented.split("------\n")[1]
    codes = set(re.findall(r"[a-z]+(?:_[a-z]+)+|blurred|occluded|anchor|coverage|pair", table))
    assert len(codes) > 25
    assert codes <= set(wording.REASONS) | set(STATES)
    assert set(wording.STATE_WORDS) == set(STATES)
    new = LEDGER.with_columns(reason=pl.lit("moon_phase"))
    assert "Failed gate: moon phase." in [row.explanation for row in ledger_rows(new)]


def test_every_cause_and_kind_of_the_sets_has_words() -> None:
    table = (pairs.__doc__ or "").split("\n\n")[-1]
    causes = set(re.findall(r"^([a-z_]+)  ", table, re.MULTILINE))
    assert len(causes) > 10
    assert causes - {"one_rider"} <= set(wording.CAUSES)  # a sole rider's page has no pairs
    cut = Shortfall("pair", 0, 3, (Cause("after_stop", 4),))  # of pairs where the stop cuts
    assert wording.shortfall(cut) == "0 of 3 pairs: 4 frames came after the stop."
    assert set(wording.KINDS) == set(KINDS)
    ended = set(wording.REASONS) - {"not_the_best_of_its_moment"}
    riders = {"too_short", "too_small", "bystander", "never_beside_rider", "never_clear"}
    riders |= {"row_behind", "boarding_only", "no_seat"}
    assert ended - riders <= set(wording.LACKING)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thumbnail": "person_0/anchors/anchor_001.jpg"}, "not a data URI"),
        ({"thumbnail": "https://example.org/x.jpg"}, "not a data URI"),
        ({"file": "/etc/passwd"}, "relative"),
        ({"file": "../other/anchor.jpg"}, "relative"),
        ({"file": "javascript:alert(1)"}, "relative"),
        ({"file": "a\\b.jpg"}, "relative"),
    ],
)
def test_what_would_leave_the_page_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        card_with(**changes)


def test_the_same_data_give_the_same_bytes() -> None:
    shuffled = replace(PAGE, ledger=ledger_rows(LEDGER.reverse()))
    assert render_export_page(PAGE).encode() == render_export_page(shuffled).encode()


def test_light_and_dark_are_both_served() -> None:
    html = render_export_page(PAGE)
    light, dark = html.split("@media (prefers-color-scheme:dark)", 1)
    names = set(re.findall(r"(--[\w-]+):#", light))
    assert names == set(re.findall(r"(--[\w-]+):#", dark.split("}}", 1)[0]))
    assert {"--paper", "--ink", "--fig-ink", "--fig-strong", "--fig-line"} <= names


@pytest.mark.parametrize(
    ("ms", "decimals", "expected"),
    [(0, 0, "0:00"), (59_960, 1, "1:00.0"), (61_240, 1, "1:01.2"), (605_000, 0, "10:05")],
)
def test_a_clock_rounds_before_it_splits(ms: float, decimals: int, expected: str) -> None:
    assert clock(ms, decimals) == expected


def test_a_known_camera_is_named_above_and_what_lacks_says_who_else_shows_it() -> None:
    without = render_export_page(PAGE)
    never = "never reached here by anyone (0 of 40 riders, so at most 8.8% do)"
    cells = (PoseCell(True, (COVERAGE,)), PoseCell(False, reach=never))
    person = replace(
        PERSON,
        grid=PoseGrid(("[-15,-5)", "[-5,5)"), (("slight-up", cells),)),
        bins_lacking=(("yaw", "[15,30)", never), ("expression", "smile", never)),
        kinds_lacking=(Lacking("overexposed", 0, reach=never),),
    )
    video = replace(PAGE.video, camera="Camera cam1, version 1 (of 20 videos): here.")
    shown = render_export_page(replace(PAGE, people=(person,), video=video))
    assert '<p class="soft">Camera cam1, version 1 (of 20 videos): here.</p>' in shown
    assert f"not seen; {never}</p>" in shown
    assert f"<li><b>yaw 15° to 30°</b>: {never}</li><li><b>smile</b>: {never}</li>" in shown
    assert f"this ride has none of this rider; {never}</li>" in shown
    assert "who else shows it" not in without and "not seen</p>" in without
