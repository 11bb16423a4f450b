"""Whole rides as Rerun recordings: the video, boxes by track, curves over time, chosen moments.

What belongs here: what of a ride's tables goes into a recording, and how it is first shown. What
does not: measuring it. Needs the extra `rerun`.

Rerun numbers the parts of a recording at random, so that the same ride gives other bytes each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.faces.angles import ANGLES, MEASURED_ANGLES, in_frame
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Picture, Rides, Source

if TYPE_CHECKING:
    import rerun as rr

APPLICATION, TIMELINE = "identity_pipeline", "ride_time"
MP4: Final = frozenset({".mp4", ".m4v", ".mov"})
"""Containers of which Rerun shows the video."""
COLOURS: Final = ((232, 138, 60), (60, 160, 232), (140, 200, 90), (200, 110, 200))
BYSTANDER: Final = (130, 130, 130)
CHOSEN: Final = (220, 50, 70)
CURVES: Final = {
    "quality": "quality_score",
    "stability": "stable_score",
    "yaw": "yaw",
    "pitch": "pitch",
    "yaw_camera": "yaw_camera",
    "pitch_camera": "pitch_camera",
}
"""Plot by the column that it shows; the last two are not there where the camera is not known."""


class MissingExtraError(IdentityPipelineError, ImportError):
    """A package is needed that is not installed by itself."""


class NoRideError(IdentityPipelineError, ValueError):
    """A person is to be shown in their rides and has none, or nobody can read them."""


class Rerun:
    """See the module."""

    name: str = "rerun"
    sentence: str = "Each ride as a Rerun recording: video, boxes by track, curves, chosen moments"
    # Pictures are only marked in it, so that any will do.
    limits: Limits = Limits(least=0, detect_at=(), one_face=False)

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes `recordings/{ride}.rrd`, one for each ride.

        Raises:
            MissingExtraError: Rerun is not installed.
            NoRideError: there is no ride, or no tables to read.
            MissingTableError, DamagedTableError: a table of a ride cannot be read.
        """
        _loaded()
        rides = _rides_of(dataset)
        if dataset.rides is None or not rides:
            names = ", ".join(person.name for person in dataset.people)
            raise NoRideError(
                f"There is no ride of {names} to record; run one with `identity-pipeline run`, "
                "or choose another consumer for photographs."
            )
        (root / "recordings").mkdir()
        files: dict[str, tuple[str, ...]] = {}
        for source in rides:
            place = f"recordings/{source.source_id}.rrd"
            shown = [p for p in dataset.pictures if p.source.source_id == source.source_id]
            record(root / place, Ride.read(source, dataset.rides), shown)
            files |= {picture.key: (place,) for picture in shown}
        return files

    def usage(self, dataset: Dataset) -> str:
        """How Rerun is pointed at it."""
        rides = _rides_of(dataset)
        first = rides[0].source_id if rides else "RIDE"
        return f"""With the extra `rerun` installed:

    rerun recordings/{first}.rrd

shows the video with a box for every track, curves of quality, stability and pose, and the moments
that were chosen as pictures, on one time line (`{TIMELINE}`). The video is part of the file where
its container is MP4; of others the boxes are shown without it. Photographs are not in here.
"""


def _rides_of(dataset: Dataset) -> list[Source]:
    """The rides of a dataset, each once: all that were drawn on."""
    all_of = [*dataset.sources, *(picture.source for picture in dataset.pictures)]
    rides = {one.source_id: one for one in all_of if one.kind == "ride"}
    return [rides[key] for key in sorted(rides)]


def _loaded() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise MissingExtraError(
            "Recordings need Rerun; `pip install 'identity_pipeline[rerun]'` installs it."
        ) from error
    return rerun


@dataclass(frozen=True)
class Ride:
    """What a recording shows of a ride.

    Attributes:
        source: which.
        video: its file.
        times: table with `frame_idx` and `timestamp_ms` of every frame that was looked at.
        faces: one row a face that was found: `frame_idx`, `timestamp_ms`, `track_id`, the box, and
            the columns of `CURVES` that there are.
        riders: rider by track; null of a track that is none.
    """

    source: Source
    video: Path
    times: pl.DataFrame
    faces: pl.DataFrame
    riders: Mapping[int, int | None]

    @classmethod
    def read(cls, source: Source, rides: Rides) -> Ride:
        """Reads the tables of a ride.

        Raises:
            MissingTableError, DamagedTableError: one cannot be read.
        """
        found = rides.table(source.source_id, "face_detections")
        faces = found.select("face_id", "frame_idx", "timestamp_ms", "x1", "y1", "x2", "y2")
        for table, columns in (
            ("face_tracks", ("track_id",)),
            ("face_quality", ("quality_score",)),
            ("identity_stability", ("stable_score",)),
        ):
            more = rides.table(source.source_id, table).select("face_id", *columns)
            faces = faces.join(more, on="face_id", how="left")
        landmarks, buckets = (
            rides.table(source.source_id, name) for name in ("face_landmarks", "face_buckets")
        )
        posed = in_frame(landmarks.select("face_id", *ANGLES), buckets)
        one_frame = [a for a in MEASURED_ANGLES if posed[a].null_count() == posed.height]
        faces = faces.join(posed.drop(one_frame), on="face_id", how="left")
        times = rides.table(source.source_id, "frames").select("frame_idx", "timestamp_ms")
        riders = rides.table(source.source_id, "riders").select("track_id", "person_id")
        return cls(
            source,
            rides.video(source.source_id),
            times.sort("timestamp_ms"),
            faces.sort("timestamp_ms"),
            dict(riders.iter_rows()),
        )

    @property
    def plots(self) -> list[str]:
        """The plots of `CURVES` that it has."""
        return [plot for plot, column in CURVES.items() if column in self.faces.columns]

    def name_of(self, track: int, people: Mapping[int, str]) -> str:
        """What a track is called: the person's name, else rider or bystander."""
        rider = self.riders.get(track)
        if track in people:
            return people[track]
        return f"track {track}" if rider is None else f"rider {rider}"

    def named(self, shown: Sequence[Picture]) -> dict[int, str]:
        """The people of the tracks that pictures were chosen of."""
        names = {picture.face_id: picture.person.name for picture in shown}
        rows = self.faces.filter(pl.col("face_id").is_in(list(names)))
        tracks = rows.select("track_id", "face_id").drop_nulls().iter_rows()
        return {track: names[face] for track, face in tracks}


def record(target: Path, ride: Ride, shown: Sequence[Picture]) -> None:
    """Writes one ride as a recording.

    Args:
        target: file to write.
        ride: what it shows.
        shown: pictures that were chosen of it.

    Raises:
        MissingExtraError: Rerun is not installed.
    """
    rr = _loaded()
    into = rr.RecordingStream(
        APPLICATION, recording_id=ride.source.source_id, send_properties=False
    )
    into.save(target, default_blueprint=_first_view(ride))
    into.send_recording_name(ride.source.source_id)
    _video(into, ride)
    people = ride.named(shown)
    for n, track in enumerate(_tracks(ride, people)):
        colour = COLOURS[n % len(COLOURS)] if n < _riders(ride, people) else BYSTANDER
        _track(
            into, ride, track, ride.name_of(track, people), colour, curves=n < _riders(ride, people)
        )
    _moments(into, ride, shown)
    into.flush()
    into.disconnect()


def _riders(ride: Ride, people: Mapping[int, str]) -> int:
    """How many tracks are riders', or named."""
    return sum(ride.riders.get(t) is not None or t in people for t in _all_tracks(ride))


def _all_tracks(ride: Ride) -> list[int]:
    return ride.faces["track_id"].drop_nulls().unique().sort().to_list()


def _tracks(ride: Ride, people: Mapping[int, str]) -> list[int]:
    """All tracks: the named first, then riders, then the others."""
    rank = {track: n for n, track in enumerate(people)}

    def place(track: int) -> tuple[bool, bool, int]:
        return track not in rank, ride.riders.get(track) is None, track

    return sorted(_all_tracks(ride), key=place)


def _at(times_ms: pl.Series) -> Any:
    """The column of the time line, from milliseconds."""
    rr = _loaded()
    nanoseconds = np.rint(times_ms.to_numpy() * 1e6).astype("timedelta64[ns]")
    return rr.TimeColumn(TIMELINE, duration=nanoseconds)


def _video(into: rr.RecordingStream, ride: Ride) -> None:
    """The file itself, and which of its frames belongs to which time."""
    if ride.video.suffix.lower() not in MP4:
        return
    rr = _loaded()
    asset = rr.AssetVideo(path=ride.video)
    stamps = np.asarray(asset.read_frame_timestamps_nanos())
    if not len(stamps):
        return
    into.log("ride", asset, static=True)
    into.send_columns(
        "ride",
        indexes=[rr.TimeColumn(TIMELINE, duration=stamps.astype("timedelta64[ns]"))],
        columns=rr.VideoFrameReference.columns_nanos(stamps),
    )


def _track(
    into: rr.RecordingStream,
    ride: Ride,
    track: int,
    name: str,
    colour: tuple[int, int, int],
    *,
    curves: bool,
) -> None:
    """The boxes of a track, none where it was not seen, and its curves."""
    rr = _loaded()
    faces = ride.faces.filter(pl.col("track_id") == track)
    first, last = faces["timestamp_ms"].min(), faces["timestamp_ms"].max()
    seen = ride.times.filter(pl.col("timestamp_ms") >= first)
    # One time after the last face, so that its box does not stay for the rest of the ride.
    after = seen.filter(pl.col("timestamp_ms") > last).head(1)
    seen = pl.concat([seen.filter(pl.col("timestamp_ms") <= last), after])
    counted = faces.group_by("frame_idx").len()
    lengths = seen.join(counted, on="frame_idx", how="left", maintain_order="left")["len"]
    boxes = faces.filter(pl.col("frame_idx").is_in(seen["frame_idx"].to_list()))
    corners = boxes.select("x1", "y1", "x2", "y2").to_numpy().astype(np.float32)
    place = f"ride/track_{track}"
    into.log(place, rr.Boxes2D.from_fields(colors=[colour], labels=[name]), static=True)
    into.send_columns(
        place,
        indexes=[_at(seen["timestamp_ms"])],
        columns=rr.Boxes2D.columns(
            centers=(corners[:, :2] + corners[:, 2:]) / 2,
            half_sizes=(corners[:, 2:] - corners[:, :2]) / 2,
        ).partition(lengths.fill_null(0).to_list()),
    )
    if curves:
        for plot in ride.plots:
            _curve(into, f"curves/{plot}/track_{track}", faces, CURVES[plot], name, colour)


def _curve(
    into: rr.RecordingStream,
    place: str,
    faces: pl.DataFrame,
    column: str,
    name: str,
    colour: tuple[int, int, int],
) -> None:
    """A measured value over time; where it was not measured there is no point."""
    rr = _loaded()
    known = faces.filter(pl.col(column).is_not_null())
    if known.is_empty():
        return
    into.log(place, rr.SeriesLines(colors=[colour], names=[name]), static=True)
    into.send_columns(
        place,
        indexes=[_at(known["timestamp_ms"])],
        columns=rr.Scalars.columns(scalars=known[column].to_numpy().astype(np.float64)),
    )


def _moments(into: rr.RecordingStream, ride: Ride, shown: Sequence[Picture]) -> None:
    """The moments that became pictures: a line of text each, and a mark on the curve of quality."""
    rr = _loaded()
    chosen = _in_time(shown)
    if not chosen:
        return
    times = pl.Series([time for time, _ in chosen], dtype=pl.Float64)
    said = [f"{p.key}: {p.role} of {p.person.name}, place {p.rank}" for _, p in chosen]
    into.send_columns("chosen", indexes=[_at(times)], columns=rr.TextLog.columns(text=said))
    marks = [(time, p.measured.get("quality_score")) for time, p in chosen]
    known = [(time, float(value)) for time, value in marks if value is not None]
    place = "curves/quality/chosen"
    points = rr.SeriesPoints(
        colors=[CHOSEN], markers=["diamond"], marker_sizes=[5.0], names=["chosen"]
    )
    into.log(place, points, static=True)
    into.send_columns(
        place,
        indexes=[_at(pl.Series([time for time, _ in known], dtype=pl.Float64))],
        columns=rr.Scalars.columns(scalars=[value for _, value in known]),
    )


def _in_time(shown: Sequence[Picture]) -> list[tuple[float, Picture]]:
    timed = [(p.timestamp_ms, p) for p in shown if p.timestamp_ms is not None]
    return sorted(timed, key=lambda pair: pair[0])


def _first_view(ride: Ride) -> Any:
    """How a recording is shown when it is opened."""
    import rerun.blueprint as rrb

    plots = [rrb.TimeSeriesView(origin=f"curves/{plot}", name=plot) for plot in ride.plots]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(
                rrb.Spatial2DView(origin="ride", name="ride"),
                rrb.TextLogView(origin="chosen", name="chosen moments"),
                row_shares=[4, 1],
            ),
            rrb.Vertical(*plots),
            column_shares=[3, 2],
        ),
        rrb.TimePanel(timeline=TIMELINE),
    )
