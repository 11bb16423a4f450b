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
each is in the seat that it was drawn in; and who becomes a rider, by the tables as they are and
both ways: with the newest models of the camera and of its ride, and without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import click
import polars as pl

from identity_pipeline.core.camera.seating import BRIEF, ONLY_BOARDING
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.camera_view import seating_of
from identity_pipeline.stages.video.ride_phases import ride_tables
from identity_pipeline.stages.video.riding import riders_of
from identity_pipeline.storage.cameras.cameras import RIDE
from identity_pipeline.storage.cameras.editions import Edition
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


FRONT: Final = (0, 1)
"""Seats of the front row, whose riders are wanted; who sits behind them is none."""
SECOND_PERSON: Final = 3
"""Faces of a second drawn person from which on a rider is two people."""


def riders_by(drawn: Drawn, video: str, models: tuple[Edition, Edition] | None) -> pl.DataFrame:
    """The table `riders` of a video, made by the tables before it.

    Args:
        drawn: the library.
        video: which.
        models: of its camera and of its ride; None: neither is known.
    """
    camera, ride = models or (None, None)
    frames = drawn.store.read("frames", video)
    phases = ride_tables(frames, ride, None)["ride_phases"]
    made = {"frames": frames, "ride_phases": phases}

    def table_of(name: str) -> pl.DataFrame:
        return made[name] if name in made else drawn.store.read(name, video)

    return riders_of(camera, ride, table_of, Settings())


def judge_riders(
    drawn: Drawn, models: tuple[Edition, Edition] | None, meant: Mapping[int, int]
) -> Counter[str]:
    """What became of drawn people, over all videos of the track.

    Args:
        drawn: the library.
        models: see `riders_by`.
        meant: the place in the model of each drawn seat.
    """
    told: Counter[str] = Counter(dict.fromkeys(RIDER_LINES, 0))
    for video in drawn.own_videos():
        table = riders_by(drawn, video, models)
        riders = table.drop_nulls("person_id").select("track_id", "person_id", "seat")
        who = drawn.tracks(video).join(riders, on="track_id", how="right", maintain_order="right")
        ones = drawn.seats(video)
        front = {person for person, seat in ones.items() if seat in FRONT}
        found = [person for person in who["drawn_person"] if person is not None]
        told["of the front row, a rider"] += len(front & set(found))
        told["of the front row, none"] += len(front - set(found))
        told["of the row behind, a rider"] += len((ones.keys() - front) & set(found))
        told["of staff and queue, a rider"] += len(set(found) - ones.keys())
        told["riders who are nobody drawn"] += who["drawn_person"].null_count()
        told["drawn people in two riders"] += sum(n > 1 for n in Counter(found).values())
        told["riders who are two drawn people"] += _mixed(drawn, video, riders)
        told["riders in another seat than drawn"] += sum(
            seat is not None and drawn_seat is not None and meant.get(drawn_seat) != seat
            for seat, drawn_seat in who.select("seat", "drawn_seat").iter_rows()
        )
        for person, why in _missed(drawn, video, table, front - set(found)):
            told[f"  missed: {why}"] += 1
            click.echo(f"    {video}: {person} ({why})", err=True)
    return told


RIDER_LINES: Final = (
    "of the front row, a rider",
    "of the front row, none",
    "of the row behind, a rider",
    "of staff and queue, a rider",
    "riders who are nobody drawn",
    "riders who are two drawn people",
    "drawn people in two riders",
    "riders in another seat than drawn",
)


def _mixed(drawn: Drawn, video: str, riders: pl.DataFrame) -> int:
    """How many riders hold several faces of a second drawn person."""
    tracks = drawn.store.read("face_tracks", video, ("face_id", "track_id"))
    faces = drawn.faces(video).join(tracks, on="face_id").join(riders, on="track_id")
    people = (
        faces.group_by("person_id", "drawn_person").len().filter(pl.col("len") >= SECOND_PERSON)
    )
    return (people["person_id"].value_counts()["count"] > 1).sum()


def _missed(
    drawn: Drawn, video: str, table: pl.DataFrame, people: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Why the longest track of each of some drawn people is no rider."""
    tracks = drawn.tracks(video).join(table, on="track_id")
    for person in sorted(people):
        own = tracks.filter(pl.col("drawn_person") == person).sort("presence", descending=True)
        yield person, own["reason"][0] if own.height else "no track is of them"


def rider_words(drawn: Drawn, model: Edition, tracks: pl.DataFrame) -> Iterator[str]:
    """Who becomes a rider with what is known of the camera and of its ride, and without."""
    ride = drawn.cameras.model(None, RIDE)
    if ride is None:
        raise click.ClickException("The ride of this camera is not known yet.")
    known = tracks.drop_nulls(("drawn_seat", "meant"))
    meant = dict(known.select("drawn_seat", "meant").unique().iter_rows())
    without, with_ = (judge_riders(drawn, each, meant) for each in (None, (model, ride)))
    yield "drawn people, without the models and with them:"
    for line in dict.fromkeys((*without, *with_)):
        yield f"  {line}: {without[line]}, {with_[line]}"


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
    tracks = tracks_of(drawn, model)
    for words in (*seat_words(tracks), *rider_words(drawn, model, tracks)):
        click.echo(words)


if __name__ == "__main__":
    main()
