r"""What the model of a camera is worth on drawn rides, whose seats and angles are known.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 22 --seconds 6 \
        --yaw 12 --pitch -8 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.camera_rides DATA --truth FOLDER

Printed are the yaw that the newest model takes for straight ahead beside the one that was drawn,
and for the tracks of all its videos whether each is in the seat that it was drawn in, in another
one, or in none. The pitch of a drawn head carries an offset of the mesh's own, so it is printed,
not judged. Drawn rides of one route look so alike that some are taken for copies, which do not
count: draw more than twenty.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import polars as pl

from identity_pipeline.core.box import Box
from identity_pipeline.core.camera.seating import seat_tracks
from identity_pipeline.settings import Settings
from identity_pipeline.storage.cameras.cameras import Cameras
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

SAME_FACE = 0.3
"""Overlap from which on a found face is the drawn one."""
BYSTANDER = "bystander"


def drawn_at(detections: pl.DataFrame, tracks: pl.DataFrame, truth: dict[str, Any]) -> pl.DataFrame:
    """track_id and where it was drawn: its seat, or `BYSTANDER`, by most of its faces."""
    drawn = {frame["frame_idx"]: frame["faces"] for frame in truth["frames"]}
    told: dict[int, Counter[str]] = {}
    for row in detections.join(tracks, on="face_id").iter_rows(named=True):
        box = Box(*(row[name] for name in ("x1", "y1", "x2", "y2")))
        for face in drawn.get(row["frame_idx"], ()):
            if box.iou(Box(*face["box"])) >= SAME_FACE:
                place = BYSTANDER if face["seat"] is None else str(face["seat"])
                told.setdefault(row["track_id"], Counter())[place] += 1
    rows = [(track, places.most_common(1)[0][0]) for track, places in sorted(told.items())]
    return pl.DataFrame(rows, schema={"track_id": pl.Int64, "drawn": pl.String}, orient="row")


def seated(store: TableStore, video: str, seats: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The tracks of a video: see `seat_tracks`."""
    shape = store.read("ride_video", video).row(0, named=True)
    places = store.read("camera_places", video).with_columns(video_id=pl.lit(video))
    return seat_tracks(places, seats, shape["width"] / shape["height"], settings.camera)


def tracks_of(
    store: TableStore, seats: pl.DataFrame, videos: list[str], truths: Path
) -> pl.DataFrame:
    """Every track of some videos with `drawn` and `seat`."""
    parts = []
    for video in videos:
        path = truths / f"{video.rpartition('-')[0]}.truth.json"
        truth = json.loads(path.read_text(encoding="utf-8"))
        faces = store.read("face_tracks", video).select("face_id", "track_id")
        drawn = drawn_at(store.read("face_detections", video), faces, truth)
        parts.append(seated(store, video, seats, Settings()).join(drawn, on="track_id"))
    return pl.concat(parts)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--truth", required=True, type=click.Path(exists=True, path_type=Path))
def main(data: Path, truth: Path) -> None:
    """Prints what the camera without a name in DATA learnt, beside how its rides were drawn."""
    store = TableStore(Layout(data))
    cameras = Cameras(store.layout)
    model = cameras.model(None)
    if model is None:
        raise click.ClickException("This camera is not known yet: `identity-pipeline camera list`.")
    known = json.loads((truth / "cast.json").read_text(encoding="utf-8"))
    for row in model.table("camera_pose_zero").iter_rows(named=True):
        whom = "all riders" if row["seat"] is None else f"seat {row['seat']}"
        for axis in ("yaw", "pitch"):
            low, high = row[f"{axis}_low"], row[f"{axis}_high"]
            click.echo(f"{whom}, {axis}: {row[axis]} ({low} to {high}), drawn {known[axis]}")
    tracks = tracks_of(store, model.table("camera_seats"), cameras.order(None), truth)
    riders = tracks.filter(pl.col("drawn") != BYSTANDER).drop_nulls("seat")
    most = riders.group_by("seat", "drawn").len().sort("len", "drawn", descending=True)
    meant = dict(most.group_by("seat", maintain_order=True).first().select("seat", "drawn").rows())
    judged = tracks.with_columns(meant=pl.col("seat").replace_strict(meant, default=None))
    where = (
        pl.when(pl.col("seat").is_null())
        .then(pl.lit("no seat"))
        .when(pl.col("meant") == pl.col("drawn"))
        .then(pl.lit("its seat"))
        .otherwise(pl.lit("another's seat"))
    )
    told = judged.with_columns(found_in=where).group_by("drawn", "found_in", "standing").len()
    for row in told.sort("drawn", "found_in", "standing").iter_rows(named=True):
        click.echo(f"drawn {row['drawn']}, {row['found_in']} ({row['standing']}): {row['len']}")


if __name__ == "__main__":
    main()
