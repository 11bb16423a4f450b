"""The pages of cameras: what is known of one, its pictures, and its tables in words.

What belongs here: what the pages show. What does not: what is known of a camera at all
(`stages.library.camera_account`), which a command prints, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.camera.seats import ELSEWHERE, SEAT
from identity_pipeline.core.camera.usual_faces import FIGURES as OF_FACES
from identity_pipeline.core.camera.watch import Figures
from identity_pipeline.core.faces.buckets import EXPRESSIONS
from identity_pipeline.core.ride.expectation import expectations
from identity_pipeline.core.ride.spans import Span, called, clocks, stretches_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.camera_figures import (
    filled_words,
    place_words,
    reach_svg,
    seats_svg,
    share_words,
    zero_svg,
    zero_words,
)
from identity_pipeline.media.expression_figure import expressions_svg
from identity_pipeline.media.ride_figure import ride_svg
from identity_pipeline.media.svg import themed
from identity_pipeline.media.watch_figure import watch_svg
from identity_pipeline.settings import RideSettings, Settings
from identity_pipeline.stages.library.camera_account import CameraAccount
from identity_pipeline.stages.library.camera_watch import series
from identity_pipeline.stages.library.ride_labels import strangers, unheeded
from identity_pipeline.storage.video.tables import TableStore

FIGURE_WORDS: Final = {
    "luma": "brightness (0 to 255)",
    "sharpness": "sharpness",
    "faces_per_frame": "faces in a frame",
    "detector_score": "detector's score",
    "usable_share": "usable faces",
}
SHARES: Final = ("usable_share",)


class NoFigureError(IdentityPipelineError, LookupError):
    """What a picture would show is not known."""


@dataclass(frozen=True)
class CameraPage:
    """What the page of a camera shows in words.

    Attributes:
        figures: which pictures there are.
        places: of the seats and other places: what it is, how often somebody is there.
        zeros: of the camera, then of its seats: whose, yaw, pitch, how many riders and videos.
        others: cells of expression and light: axis, cell, share of the riders with its interval.
        usual: of phases and figures: phase, figure, usual value, band, videos.
        phases: of the ride: from, to, what it is, who says so.
        faces: of its phases: from, to, what it is, then of each figure of riders' faces what eight
            of ten have.
        shown: of its phases: from, to, what it is, then the share of riders who show each
            expression there, and of how many.
        expected: parts of the ride in which riders are hardly ever seen well, in sentences.
        unheeded: what people say of rides that counts for nothing here, or not yet, and why.
        versions: newest first.
    """

    figures: Sequence[str]
    places: Sequence[tuple[str, str]]
    zeros: Sequence[tuple[str, str, str, int, int]]
    others: Sequence[tuple[str, str, str]]
    usual: Sequence[tuple[str, str, str, str, int]]
    phases: Sequence[tuple[str, str, str, str]]
    faces: Sequence[tuple[str, ...]]
    shown: Sequence[tuple[str, ...]]
    expected: Sequence[str]
    unheeded: Sequence[str]
    versions: Sequence[Mapping[str, Any]]


def camera_page(account: CameraAccount, store: TableStore, settings: Settings) -> CameraPage:
    """The page of a camera in words.

    Args:
        account: what is known of it.
        store: the tables.
        settings: which phases of the ride are named, of how many riders something is said, and
            which camera filmed a video.
    """
    tables = account.tables
    seats = tables.get("camera_seats", pl.DataFrame())
    return CameraPage(
        figures=[name for name, drawn in FIGURES.items() if drawn.known(account, store)],
        places=_places(seats),
        zeros=_zeros(tables.get("camera_pose_zero", pl.DataFrame())),
        others=_others(tables.get("camera_reach", pl.DataFrame())),
        usual=_usual(tables.get("camera_normals", pl.DataFrame())),
        phases=[
            (*part, "people" if span.by_people else "its videos")
            for span, part in _parts(_phases(account))
        ],
        faces=_faces(account, settings.camera.videos_min),
        shown=_shown(account, settings.camera.videos_min),
        expected=_expected(account, settings.ride),
        unheeded=[*unheeded(store, account.name), *strangers(store, settings)],
        versions=account.versions.rows(named=True)[::-1],
    )


def figure(account: CameraAccount, name: str, store: TableStore, settings: Settings) -> str:
    """A picture of the page as SVG.

    Args:
        account: what is known of the camera.
        name: which; one of `FIGURES`.
        store: the tables.
        settings: edges of the pose bins.

    Raises:
        NoFigureError: there is no such picture.
    """
    drawn = FIGURES.get(name)
    if drawn is None or not drawn.known(account, store):
        raise NoFigureError("there is no such picture of this camera.")
    return themed(drawn.draw(account, store, settings))


@dataclass(frozen=True)
class _Drawn:
    """A picture: whether there is something to draw, and drawing it."""

    known: Callable[[CameraAccount, TableStore], bool]
    draw: Callable[[CameraAccount, TableStore, Settings], str]


def _draw_seats(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del store, settings
    about = account.model.about if account.model else {}
    return seats_svg(account.tables["camera_seats"], float(about["aspect"]))


def _draw_zero(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del store, settings
    table = account.tables["camera_pose_zero"]
    return zero_svg(table.filter(pl.col("seat").is_null()).row(0, named=True))


def _draw_reach(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del store
    return reach_svg(account.tables["camera_reach"], settings.buckets)


def _draw_watch(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del settings
    told = _watched(account, store)
    since = account.versions["first_video"][-1] if account.versions.height > 1 else None
    return watch_svg(told, since, ())


def _watched(account: CameraAccount, store: TableStore) -> list[tuple[str, Figures]]:
    """What is watched of its videos, as far as it is at hand: the next video has it anew."""
    known = series(store, account.name)
    return [(video, known[video].figures) for video in account.videos if video in known]


def _draw_ride(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del store, settings
    track = account.ride["ride_track"]

    def values(name: str) -> NDArray[np.float64]:
        return track[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    nothing = np.full(track.height, np.nan)  # no video is laid on it
    rows = [(name, values(name), values(f"{name}_spread"), nothing) for name in ("light", "motion")]
    stretches = [
        (s.start_ms / 1000, s.end_ms / 1000, s.phase or "", s.words) for s in _phases(account)
    ]
    return ride_svg(_step_s(track), rows, stretches, foreign=False)


def _draw_expressions(account: CameraAccount, store: TableStore, settings: Settings) -> str:
    del store
    least = settings.camera.videos_min
    return expressions_svg(account.ride["ride_expressions"], _phases(account), least)


def _phases(account: CameraAccount) -> list[Span]:
    """Of the ride, on its own clock."""
    if not account.ride:
        return []
    step_ms = _step_s(account.ride["ride_track"]) * 1000
    return stretches_of(account.ride["ride_stretches"], step_ms)


def _expected(account: CameraAccount, settings: RideSettings) -> Sequence[str]:
    known = account.ride.get("ride_expected")
    return () if known is None else expectations(_phases(account), known, settings)


def _step_s(track: pl.DataFrame) -> float:
    return float(track["position_s"][1] - track["position_s"][0])


def _of(table: str) -> Callable[[CameraAccount, TableStore], bool]:
    return lambda account, _: not account.tables.get(table, pl.DataFrame()).is_empty()


def _of_ride(table: str) -> Callable[[CameraAccount, TableStore], bool]:
    return lambda account, _: not account.ride.get(table, pl.DataFrame()).is_empty()


FIGURES: Final[Mapping[str, _Drawn]] = {
    "seats": _Drawn(_of("camera_seats"), _draw_seats),
    "zero": _Drawn(_of("camera_pose_zero"), _draw_zero),
    "reach": _Drawn(_of("camera_reach"), _draw_reach),
    "ride": _Drawn(lambda account, _: bool(account.ride), _draw_ride),
    "expressions": _Drawn(_of_ride("ride_expressions"), _draw_expressions),
    "watch": _Drawn(lambda account, store: bool(_watched(account, store)), _draw_watch),
}
"""By name; what each needs."""


def _places(seats: pl.DataFrame) -> list[tuple[str, str]]:
    if seats.is_empty():
        return []
    known = seats.filter(pl.col("kind") != ELSEWHERE).unique("place", maintain_order=True)
    return [(place_words(row), filled_words(row)) for row in known.iter_rows(named=True)]


def _zeros(zeros: pl.DataFrame) -> list[tuple[str, str, str, int, int]]:
    return [
        (
            "all riders" if row["seat"] is None else f"{SEAT} {row['seat']}",
            zero_words(row, "yaw"),
            zero_words(row, "pitch"),
            row["riders"],
            row["videos"],
        )
        for row in zeros.iter_rows(named=True)
    ]


def _others(reach: pl.DataFrame) -> list[tuple[str, str, str]]:
    if reach.is_empty():
        return []
    told = reach.filter(pl.col("axis").is_in(["expression", "lighting"]), pl.col("of_riders") > 0)
    return [
        (
            row["axis"],
            row["cell"].replace("_", " "),
            f"{share_words(row['riders'] / row['of_riders']) if row['riders'] else 'nobody'} "
            f"({share_words(row['low'])} to {share_words(row['high'])})",
        )
        for row in told.iter_rows(named=True)
    ]


def _usual(normals: pl.DataFrame) -> list[tuple[str, str, str, str, int]]:
    rows = []
    for row in normals.iter_rows(named=True):
        name, usual = row["figure"], row["usual"]
        band = "" if usual is None else f"{_value(name, row['low'])} to {_value(name, row['high'])}"
        value = "not known: too few videos" if usual is None else _value(name, usual)
        phase = (row["phase"] or "the whole video").replace("_", " ")
        rows.append((phase, FIGURE_WORDS.get(name, name), value, band, row["videos"]))
    return rows


def _value(name: str, value: float) -> str:
    return f"{value:.0%}" if name in SHARES else f"{value:.3g}"


def _faces(account: CameraAccount, least: int) -> list[tuple[str, ...]]:
    """What riders' faces measure in each phase, by the figures of `ride_faces`."""
    table = account.ride.get("ride_faces")
    if table is None or table.is_empty():
        return []
    rows = {(row["phase_number"], row["figure"]): row for row in table.iter_rows(named=True)}
    return [
        (*part, *(_band(rows.get((span.number, figure)), least) for figure in OF_FACES))
        for span, part in _parts(_phases(account))
    ]


def _shown(account: CameraAccount, least: int) -> list[tuple[str, ...]]:
    """What riders show in each phase, by the expressions of `ride_expressions`."""
    table = account.ride.get("ride_expressions")
    if table is None or table.is_empty():
        return []
    own = table.filter(axis="expression")
    rows = {(row["phase_number"], row["cell"]): row for row in own.iter_rows(named=True)}
    told = []
    for span, part in _parts(_phases(account)):
        cells = [rows.get((span.number, cell)) for cell in EXPRESSIONS]
        of = next((str(row["of_riders"]) for row in cells if row), "0")
        told.append((*part, *(_share(row, least) for row in cells), of))
    return told


def _parts(spans: Sequence[Span]) -> list[tuple[Span, tuple[str, str, str]]]:
    """Each part of the ride, with from when to when it is and what it is called."""
    return [(span, (*when, called(span))) for span, when in zip(spans, clocks(spans), strict=True)]


def _band(row: Mapping[str, Any] | None, least: int) -> str:
    """Between what eight of ten faces are."""
    if row is None or row["low"] is None or row["riders"] < least:
        return "not known"
    return f"{row['low']:.0f} to {row['high']:.0f}"


def _share(row: Mapping[str, Any] | None, least: int) -> str:
    known = row is not None and row["of_riders"] >= least
    return f"{row['riders'] / row['of_riders']:.0%}" if row and known else "not known"
