"""The page that lies in every export: one HTML file that needs nothing but itself.

What belongs here: what the page shows, as frozen dataclasses, the words it uses for codes, and
`render_export_page`. What does not: drawing (`figures`, `sheets`) and where the numbers come from.

The page asks nothing of the network, holds no script, and is the same bytes for the same data.
None always means "not measured" and is printed so, never as 0. Everything but the figures
is escaped; they are trusted because `media.svg` escapes what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from identity_pipeline.core.imagesets.evidence import Evidence
from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.core.imagesets.summary import ExportedFace, RiderSummary
from identity_pipeline.media import wording
from identity_pipeline.media.svg import PERSON_COLOURS, SET_COLOURS, STATE_COLOURS


@dataclass(frozen=True)
class VideoFacts:
    """What is known of the video.

    Attributes:
        name: file name as a person knows it, e.g. `ride 12 (front).mp4`.
        video_id: partition key.
        sha256: of the file's bytes, 64 hex digits; the page prints the first 12.
        size_bytes: of the file.
        width, height: pixels as shown.
        duration_ms, average_fps: None when the container does not say.
        container, codec: as in `ride_video`.
        sampled_frames: frames that were looked at.
        faces_seen: rows of `face_detections`.
        scene_cuts: cuts between sampled frames.
        shown: what was done to its pictures, in words.
        warnings: what to know of how it was read, in sentences.
        camera: which camera it is, and from where angles are; None: not known, so as measured.
    """

    name: str
    video_id: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    duration_ms: float | None
    average_fps: float | None
    container: str
    codec: str
    sampled_frames: int
    faces_seen: int
    scene_cuts: int
    camera: str | None = field(default=None, kw_only=True)
    shown: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ModelFacts:
    """One model that had a part in the sets.

    Attributes:
        role: what it did, e.g. `detection`, `recognition`, `landmarks`, `vision`.
        name: pack or model id.
        sha256: of its weights; the page prints the first 12 digits.
        licence: as its origin states it, None when unknown.
        provider: where it really ran, e.g. `CPUExecutionProvider`, `cuda:0`.
    """

    role: str
    name: str
    sha256: str | None
    licence: str | None
    provider: str | None


@dataclass(frozen=True)
class ImageCard:
    """One exported image.

    Attributes:
        file: path relative to the page, with `/`, e.g. `person_0/anchors/anchor_001.jpg`.
        thumbnail: data URI of a small picture (`sheets.data_uri`).
        faces: whom it shows; of a pair both riders, from left to right.
        evidence: what was measured of them, in their order.
        moment_faces: of the one face that it shows, how many faces its moment has; None where
            that is not known.
        found: how many faces a detector finds in it, by view.
        instead_of: which face of its moment was chosen first, and why it is not shown.
        metadata: path of its metadata relative to the page; no link where None.
    """

    file: str
    thumbnail: str
    faces: tuple[ExportedFace, ...]
    evidence: tuple[Evidence, ...]
    moment_faces: int | None = None
    found: tuple[tuple[str, int], ...] = ()
    instead_of: tuple[str, str] | None = None
    metadata: str | None = None

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return PurePosixPath(self.file).stem

    @property
    def side_px(self) -> int:
        """Its shorter side."""
        crop = self.faces[0].crop
        return round(min(crop.width, crop.height))


@dataclass(frozen=True)
class SetSection:
    """The images of one set of one rider, in rank order.

    Attributes:
        name: `anchor`, `coverage` or `challenge`.
        images: may be empty; the page then says so.
    """

    name: str
    images: tuple[ImageCard, ...]


@dataclass(frozen=True)
class Lacking:
    """Something of which there is no image of a rider, and why.

    Attributes:
        name: an expression of a pose, or a kind of challenge.
        moments: how many moments show it.
        reason: code of the frame ledger in which the best of them ended; None where there is none.
        reach: who else shows it before this camera; None where that is not known.
    """

    name: str
    moments: int
    reason: str | None = None
    reach: str | None = None


@dataclass(frozen=True)
class PoseCell:
    """One head pose of a rider, as a cell of the grid of the coverage set.

    Attributes:
        seen: whether a moment of the rider shows it.
        images: of the coverage set, by expression.
        elsewhere: anchors that show it, which the coverage set therefore need not.
        lacking: expressions that were seen in it and have no image.
        reach: who else shows it before this camera; None where that is not known.
    """

    seen: bool
    images: tuple[ImageCard, ...] = ()
    elsewhere: tuple[ImageCard, ...] = ()
    lacking: tuple[Lacking, ...] = ()
    reach: str | None = None


@dataclass(frozen=True)
class PoseGrid:
    """The head poses that a rider showed: rows from up to down, columns as the nose points.

    Attributes:
        yaw_bins: heads of the columns.
        rows: of each pitch bin its name and a cell for each column.
    """

    yaw_bins: tuple[str, ...]
    rows: tuple[tuple[str, tuple[PoseCell, ...]], ...]


@dataclass(frozen=True)
class Growth:
    """When the coverage set of a rider stopped growing, and why.

    Attributes:
        reason: `stop_reason` of the selection.
        ended_ms: None where it grew to the end of the video.
        cut: whether nothing at all was chosen after that (`selection.stop = "cut"`).
    """

    reason: str
    ended_ms: float | None = None
    cut: bool = False


@dataclass(frozen=True)
class PersonSection:
    """One rider: the figures, the sets in the order anchor, coverage, challenge, and the grid.

    Attributes:
        rider: all figures.
        sets: may all be empty.
        grid: the coverage set by head pose; None where nothing was exported.
        growth: None where nothing was selected.
        kinds_lacking: kinds of challenge of which there is no image.
        bins_lacking: axis and bin that neither anchors nor coverage show, and who else does before
            this camera; empty where the camera is not known.
        coverage_svg: from `figures.coverage_grid_svg`; None where nothing was exported.
        files: what else there is of the rider: words, and a path relative to the page.
    """

    rider: RiderSummary
    sets: tuple[SetSection, ...] = ()
    grid: PoseGrid | None = None
    growth: Growth | None = None
    kinds_lacking: tuple[Lacking, ...] = ()
    bins_lacking: tuple[tuple[str, str, str], ...] = ()
    coverage_svg: str | None = None
    files: tuple[tuple[str, str], ...] = ()

    def images(self, set_name: str) -> tuple[ImageCard, ...]:
        """Of a set (`anchor`, `coverage`, `challenge`), in rank order."""
        return tuple(image for s in self.sets if s.name == set_name for image in s.images)


@dataclass(frozen=True)
class LedgerRow:
    """How many faces ended in one state for one reason.

    Attributes:
        state, reason: codes of `core.imagesets.frame_ledger`.
        count: faces.
        explanation: plain sentence; `ledger_rows` takes it from `wording.REASONS`.
    """

    state: str
    reason: str
    count: int
    explanation: str


@dataclass(frozen=True)
class ExportPage:
    """Everything the page shows.

    Attributes:
        video: facts of the video.
        settings_version: short hash or name of the settings in force.
        models: models used, in the order of the pipeline.
        people: riders from left to right; empty when there is none.
        pairs: pair images; ignored unless there are two riders.
        timeline_svg: from `timelines.track_timeline_svg`; None when no frame was sampled.
        moments_svg: from `timelines.moments_svg`; None without a rider.
        ledger_svg: from `figures.ledger_bar_svg`; None when no face was seen.
        ledger: from `ledger_rows`.
        left_out: images that were chosen and are not exported: file and sentence.
        min_side_px: an image whose shorter side is below that is marked; None: none is.
        consent: what is known of the riders' consent, in sentences.
        expected: parts of the ride in which riders are hardly ever seen well, in sentences.
        failing: faces that fail a gate where they do on most rides, in sentences.
    """

    video: VideoFacts
    settings_version: str
    models: tuple[ModelFacts, ...]
    people: tuple[PersonSection, ...]
    timeline_svg: str | None
    ledger_svg: str | None
    ledger: tuple[LedgerRow, ...]
    pairs: tuple[ImageCard, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    min_side_px: int | None = None
    moments_svg: str | None = None
    consent: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def small_images(self) -> int:
        """How many images are marked as small."""
        sizes = [image.side_px for image in images_of(self)]
        return sum(size < (self.min_side_px or 0) for size in sizes)


def ledger_rows(ledger: pl.DataFrame) -> tuple[LedgerRow, ...]:
    """The table `frame_ledger` as rows of the page: the states in order, large counts first."""
    tallies = ledger.group_by("state", "reason").len(name="count").rows()
    order = {state: i for i, state in enumerate(STATES)}
    rows = [
        LedgerRow(str(state), str(reason), count, wording.explain(str(state), str(reason)))
        for state, reason, count in tallies
    ]
    return tuple(
        sorted(rows, key=lambda r: (order.get(r.state, len(order)), r.state, -r.count, r.reason))
    )


def render_export_page(page: ExportPage) -> str:
    """The page as HTML text: the same for the same data.

    Raises:
        ValueError: a picture is not inline, or a file name is not relative to the page.
    """
    for file, thumbnail in ((image.file, image.thumbnail) for image in images_of(page)):
        if not thumbnail.startswith("data:image/"):
            raise ValueError(f"the thumbnail of {file} is not a data URI of an image")
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or ":" in file or "\\" in file:
            raise ValueError(f"{file!r} is not a path relative to the page")
    return (
        environment()
        .get_template("export.html.j2")
        .render(
            page=page,
            video=page.video,
            NOT_MEASURED=wording.NOT_MEASURED,
            set_colours=SET_COLOURS,
            state_colours=STATE_COLOURS,
            person_colours=PERSON_COLOURS,
        )
    )


def images_of(page: ExportPage) -> Iterator[ImageCard]:
    """Every image that the page shows, pairs last."""
    for person in page.people:
        for image_set in person.sets:
            yield from image_set.images
    yield from page.pairs


def _breakable(name: str) -> Markup:
    """A file name that a narrow card breaks after an underscore rather than anywhere."""
    return Markup("_<wbr>").join(name.split("_"))


@cache
def environment() -> Environment:
    """What renders the pages: escapes everything but figures; an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters.update(
        {
            "figure": Markup,
            "breakable": _breakable,
            "href": lambda file: quote(file, safe="/"),
            **wording.FILTERS,
        }
    )
    return made
