r"""What the model of a camera is worth on drawn rides, whose seats and angles are known.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 28 --seconds 36 \
        --fps 5 --yaw 12 --pitch -8 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.camera_rides DATA --truth FOLDER \
        [--axis DATA0 --axis-truth FOLDER0]

Printed is the zero of the newest model, which counts angles as the mesh reads them, beside three
things: the angle that was drawn; what the mesh reads of the heads that were drawn straight ahead,
for it has an offset on drawn heads; and the zero of a camera on the axis (`--yaw 0 --pitch 0`) less
than which it should be the drawn angle. Then, for the tracks of all videos of the track, whether
each is in the seat that it was drawn in, and who of staff and queue was taken for a rider.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import polars as pl

from identity_pipeline.core.camera.seating import BRIEF, ONLY_BOARDING
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.camera_view import seating_of
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.cameras.pins import Pins
from identity_pipeline_tests.benchmarks.drawn_rides import RIDER, Drawn, counted

AHEAD = 3.0
"""Degrees: a head that is turned by less of its own was drawn straight ahead."""
AXES = {"yaw": "yaw", "pitch": "pitch_raw"}
"""Columns of the angles that pose zero is made of."""
FOLDER = click.Path(exists=True, path_type=Path)


def read_ahead(drawn: Drawn, seat: int | None) -> dict[str, tuple[float, int]]:
    """Median of what is read of usable heads that were drawn straight ahead, and of how many."""
    cast = drawn.cast
    parts = []
    for video in drawn.own_videos():
        read = drawn.store.read("face_landmarks", video, ("face_id", *AXES.values()))
        usable = drawn.store.read("face_quality", video, ("face_id", "loose")).filter("loose")
        parts.append(drawn.faces(video).join(read, on="face_id").join(usable, on="face_id"))
    faces = pl.concat(parts).filter(pl.col("drawn_role") == RIDER)
    for axis in AXES:
        faces = faces.filter((pl.col(f"drawn_{axis}") - cast[axis]).abs() < AHEAD)
    if seat is not None:
        faces = faces.filter(pl.col("drawn_seat") == seat)
    told = {axis: faces[column].drop_nulls() for axis, column in AXES.items()}
    return {axis: (float(each.median() or 0.0), len(each)) for axis, each in told.items()}


def zero_words(drawn: Drawn, model: Edition, axis_model: Edition | None) -> Iterator[str]:
    """The zero of all riders beside what was drawn."""
    row = _zero(model)
    other = _zero(axis_model) if axis_model else None
    ahead = read_ahead(drawn, None)
    for axis in AXES:
        value, low, high = row[axis], row[f"{axis}_low"], row[f"{axis}_high"]
        there = drawn.cast[axis]
        if value is None:
            yield f"{axis}: none holds, {row[f'{axis}_reason']} ({low} to {high}); drawn {there}"
            continue
        read, faces = ahead[axis]
        inside = "holds" if low <= read <= high else "does not hold"
        yield (
            f"{axis}: {value:+.2f} ({low:+.2f} to {high:+.2f}), of {row['riders']} riders in "
            f"{row['videos']} videos; drawn {there:+g}, {value - there:+.2f} off; the mesh reads "
            f"{read:+.2f} of {faces} heads drawn straight ahead, {value - read:+.2f} off, the "
            f"interval {inside} it"
        )
        if other and other[axis] is not None:
            between = value - other[axis]
            yield (
                f"{axis}: {between:+.2f} from the camera on the axis ({other[axis]:+.2f}), "
                f"{between - there:+.2f} off"
            )


def _zero(model: Edition) -> dict:
    return model.table("camera_pose_zero").filter(pl.col("seat").is_null()).row(0, named=True)


def tracks_of(drawn: Drawn, model: Edition) -> pl.DataFrame:
    """Every track that was drawn: video, what it was, `meant` (the place of its seat), `seat`,
    `standing`."""
    parts = []
    for video in drawn.own_videos():
        found = seating_of(model, partial(_table, drawn, video), Settings())
        if found is None:
            raise click.ClickException("The seats of this camera are not known.")
        parts.append(
            found.join(drawn.tracks(video), on="track_id").with_columns(video=pl.lit(video))
        )
    tracks = pl.concat(parts)
    riders = tracks.filter(pl.col("drawn_role") == RIDER).drop_nulls("seat")
    most = riders.group_by("seat", "drawn_seat").len().sort("len", "seat", descending=[True, False])
    places = most.group_by("drawn_seat", maintain_order=True).first()
    meant = dict(places.select("drawn_seat", "seat").iter_rows())
    return tracks.with_columns(
        meant=pl.col("drawn_seat").replace_strict(meant, default=None, return_dtype=pl.Int64)
    )


def _table(drawn: Drawn, video: str, name: str) -> pl.DataFrame:
    return drawn.store.read(name, video)


def seat_words(tracks: pl.DataFrame) -> Iterator[str]:
    """Tracks and videos that are right, and what is not."""
    is_rider = pl.col("drawn_role") == RIDER
    where = (
        pl.when(~is_rider)
        .then(pl.when(pl.col("seat").is_null()).then(pl.lit("in none")).otherwise(pl.lit("wrong")))
        .when(pl.col("seat").is_null())
        .then(pl.lit("in none"))
        .when(pl.col("seat") == pl.col("meant"))
        .then(pl.lit("right"))
        .otherwise(pl.lit("wrong"))
    )
    told = tracks.with_columns(where=where)
    riders = told.filter(is_rider & (pl.col("standing") != BRIEF))
    yield f"riders' tracks that stay: {counted(Counter(riders['where']))}, of {riders.height}"
    standing = Counter(told.filter(is_rider)["standing"])
    yield f"of them taken for somebody who is there at boarding alone: {standing[ONLY_BOARDING]}"
    yield f"riders' tracks too brief to be seated: {standing[BRIEF]}"
    others = told.filter(~is_rider)
    for role in sorted(others["drawn_role"].unique()):
        own = others.filter(pl.col("drawn_role") == role)
        words = Counter("in a seat" if each == "wrong" else each for each in own["where"])
        yield f"tracks of {role}: {counted(words)}, of {own.height}"
    sound, bad = [], []
    for (video,), own in told.partition_by("video", as_dict=True, maintain_order=True).items():
        seated = own.filter(is_rider & (pl.col("where") == "right"))["drawn_seat"].unique()
        drawn_riders = own.filter(is_rider)["drawn_seat"].unique()
        whole = len(seated) == len(drawn_riders) and not (own["where"] == "wrong").any()
        (sound if whole else bad).append(video)
    yield (
        f"videos in which every rider who is found is in the right seat and nobody else in one: "
        f"{len(sound)} of {len(sound) + len(bad)}"
    )
    for row in told.filter(is_rider & pl.col("video").is_in(bad) & (pl.col("where") != "right"))[
        "video", "track_id", "drawn_seat", "where", "standing", "sure"
    ].iter_rows():
        yield "  " + ", ".join(map(str, row))


def rider_words(drawn: Drawn) -> Iterator[str]:
    """Who was taken for a rider, with and without a model."""
    pins = Pins(drawn.store.layout).of_camera(None)
    told: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for video in drawn.own_videos():
        people = drawn.store.read("riders", video, ("track_id", "person_id")).drop_nulls()
        seen = drawn.tracks(video).join(people, on="track_id")
        told[bool(pins.get(video) and pins[video].camera)].update(seen["drawn_role"].to_list())
    for known, roles in told.items():
        words = "with the model" if known else "before it was known"
        yield f"tracks of riders of videos made {words}: {counted(roles)}"


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
@click.option("--axis", type=FOLDER, help="Data folder of a camera on the axis.")
def main(data: Path, truth: Path, axis: Path | None) -> None:
    """Prints what the camera without a name in DATA learnt, beside how its rides were drawn."""
    drawn = Drawn.of(data, truth)
    model = drawn.cameras.model(None)
    if model is None:
        raise click.ClickException("This camera is not known yet: `identity-pipeline camera list`.")
    other = Drawn.of(axis, truth).cameras.model(None) if axis else None
    for words in zero_words(drawn, model, other):
        click.echo(words)
    for words in (*seat_words(tracks_of(drawn, model)), *rider_words(drawn)):
        click.echo(words)


if __name__ == "__main__":
    main()
