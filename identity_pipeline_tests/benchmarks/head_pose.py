"""Head pose by the face mesh: bundled rides and rendered heads against truth, photographs by eye.

    python -m identity_pipeline_tests.benchmarks.head_pose
    python -m identity_pipeline_tests.benchmarks.head_pose --facekit ict_facekit.npz [--fit]
    python -m identity_pipeline_tests.benchmarks.head_pose --photos turns.csv

The rendered heads have a yaw that is uniform between -90 and 90 degrees; every second shape is
held out, and `--fit` prints what the others give for `core.faces.mesh_pose.BENT`. `turns.csv` has
the columns `file` (beside it or absolute), `turn` (a word of `head_turn`), and where a picture has
several faces `x`, `y`, the place of the one that is meant, as shares of the picture. Beside
everything stands what the rigid rotation of the same mesh gives alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

import identity_pipeline
from identity_pipeline.core.evaluation.attributes import adjacent
from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.core.evaluation.matching import ious
from identity_pipeline.core.faces.buckets import BEYOND, PITCH_NAMES, UNKNOWN, axis_bins, bin_of
from identity_pipeline.core.faces.mesh_pose import mesh_pose, with_own_level
from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import Region
from identity_pipeline.media.source import VideoSource
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import BucketSettings, ModelSettings, VideoSettings
from identity_pipeline.stages.video.poses import mesh_pose_columns

RIDES: Final = Path(identity_pipeline.__file__).parent / "bundled" / "rides"
EVERY: Final = 5
"""Frames of a ride."""
PROFILE: Final = 60.0
FITTED_FROM: Final = 20.0
"""Degrees of the rotation's yaw."""
SEED: Final = 902_000
Row = dict[str, Any]
Picture = NDArray[np.uint8]
AXES: Final = ("pitch", "yaw", "roll")


@dataclass(frozen=True)
class Seen:
    """Faces of a picture: boxes (N, 4), and the pose columns of each."""

    boxes: NDArray[np.float64]
    rows: Sequence[Row]


class Reader:
    """Detector and mesh of the settings."""

    def __init__(self, settings: ModelSettings) -> None:
        hub = ModelHub(settings)
        if hub.perception is None:
            raise click.UsageError("models.perception names no pack; there is no mesh to look at")
        self.pack, self.mesh = hub.face_pack, hub.perception

    def read(self, picture: Picture) -> Seen:
        """Every face of a picture."""
        found = self.pack.detect(picture)
        region = Region(picture, 0.0, 0.0, 1.0)
        boxes = [Box(*map(float, box)) for box in found.boxes]
        meshes = self.mesh.read([region] * len(boxes), boxes, list(found.key_points))
        rows = [mesh_pose_columns(mesh) | {"misfit": mesh_pose(mesh.points)[2]} for mesh in meshes]
        return Seen(found.boxes.astype(np.float64), rows)


def of_box(seen: Seen, box: Sequence[float]) -> Row | None:
    """The face that overlaps a true box best; None below three tenths: boxes of profiles differ."""
    if not len(seen.boxes):
        return None
    overlap = ious(np.array([box], dtype=np.float64), seen.boxes)[0]
    best = int(overlap.argmax())
    return seen.rows[best] if overlap[best] >= 0.3 else None


def rides(reader: Reader) -> Iterator[Row]:
    """The riders of the bundled rides, in every fifth frame."""
    for path in sorted(RIDES.glob("*.truth.json")):
        name = path.name.removesuffix(".truth.json")
        truth = json.loads(path.read_bytes())["frames"]
        with VideoSource(path.with_name(f"{name}.mp4"), VideoSettings()) as source:
            for index, (picture, _) in enumerate(source.frames()):
                if index % EVERY:
                    continue
                seen = reader.read(source.picture(picture)[0])
                for face in truth[index]["faces"]:
                    row = of_box(seen, face["box"]) if face["rider"] else None
                    if row is not None:
                        true = dict(zip(("t_pitch", "t_yaw", "t_roll"), face["pose"], strict=True))
                        yield row | true | {"who": f"{name} {face['person']}"}


def heads(reader: Reader, facekit: Path, people: int, each: int) -> Iterator[Row]:
    """Rendered heads before made-up scenery."""
    from tools.bundled_models import facekit as kits
    from tools.bundled_models import head, moments
    from tools.bundled_models.degrade import background, composite
    from tools.bundled_models.identity import person_of

    kit, size = kits.load(facekit), 256
    for seed in range(SEED, SEED + people):
        person, rng = person_of(kit, seed), np.random.default_rng([seed, 7])
        for _ in range(each):
            pose = (
                float(np.clip(rng.normal(0, 12), -35, 35)),
                float(rng.uniform(-90, 90)),
                float(rng.normal(0, 8)),
            )
            expression, light = moments.sample_expression(kit, rng), moments.sample_light(rng)
            outfit = moments.sample_outfit(person, rng)
            camera = head.Camera(size, size * 0.45 / 18, (0.5, 0.5), rng.uniform(60, 160), 1.25)
            body = (0.0, pose[1] / 2, 0.0)
            drawn = head.draw(kit, person, expression, pose, light, camera, outfit, body, False)
            rgba = np.clip(drawn.rgba * 255 + 0.5, 0, 255).astype(np.uint8)
            rgb = composite(rgba, background(rng, size, size))
            room = np.pad(rgb[..., ::-1], ((size // 4,) * 2, (size // 4,) * 2, (0, 0)))
            row = of_box(reader.read(room), (drawn.box + size // 4).tolist())
            true = dict(zip(("t_pitch", "t_yaw", "t_roll"), pose, strict=True))
            yield (row or {"pose_source": "missed"}) | true | {"who": str(seed)}


def photos(reader: Reader, table: Path) -> Iterator[Row]:
    """The meant face of each labelled photograph."""
    labels = pl.read_csv(table, infer_schema=False)
    for label in labels.iter_rows(named=True):
        picture = cv2.imread(str(table.parent / label["file"]))
        if picture is None:
            raise click.UsageError(f"{label['file']} is no picture that can be read")
        # In a ride no face fills the frame, so a portrait gets room about it.
        room = max(picture.shape[:2]) // 4
        around = ((room, room), (room, room), (0, 0))
        seen = reader.read(np.pad(np.asarray(picture, np.uint8), around))
        if not len(seen.boxes):
            yield {"pose_source": "missed", "turn": label["turn"], "file": label["file"]}
            continue
        sizes = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(axis=1)
        middles = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2
        place = np.array([float(label.get(n) or "nan") for n in ("x", "y")])
        off = np.hypot(*(middles - room - place * picture.shape[1::-1]).T)
        meant = int(sizes.argmax() if np.isnan(place).any() else off.argmin())
        yield seen.rows[meant] | {"turn": label["turn"], "file": label["file"]}


def print_photos(rows: pl.DataFrame, settings: BucketSettings) -> None:
    """Where photographed profiles land, which of them not, and who is taken for one."""
    called = rows.with_columns(bin=pl.Series(binned(rows["yaw"].to_list(), settings.yaw_edges)))
    profile = pl.col("turn").str.starts_with("profile")
    print_profiles(called.filter(profile), settings)
    other = called.filter(~profile & (pl.col("pose_source") != "missed"))
    click.echo(share("others that are beyond", (other["bin"] == BEYOND).to_numpy()))
    for row in called.sort("turn", "file").iter_rows(named=True):
        raw, yaw = (f"{row[c]:+.0f}" if row[c] is not None else "-" for c in ("yaw_raw", "yaw"))
        click.echo(
            f"    {row['turn']:14s} {raw:>4s} {yaw:>4s} {row['bin']:10s} {row['file'][-50:]}"
        )


def binned(values: Sequence[float | None], edges: Sequence[float], names: Any = None) -> list[str]:
    """Labels of the bins of an axis."""
    bins = axis_bins(edges, names)
    found = [bin_of(value, edges, bins) for value in values]
    return [one if isinstance(one, str) else one.label for one in found]


def share(name: str, right: Sequence[bool] | NDArray[np.bool_]) -> str:
    """Counts, the share, and Wilson's interval."""
    n, found = len(right), int(np.sum(right))
    low, high = wilson(found, n) or (0.0, 1.0)
    part = f"{100 * found / max(n, 1):.1f} % ({100 * low:.1f}-{100 * high:.1f})"
    return f"  {name:46s} {found}/{n}  {part}"


def print_against_truth(title: str, faces: pl.DataFrame, settings: BucketSettings) -> None:
    """Errors and bins of posed faces, and where profiles land."""
    posed = faces.drop_nulls("yaw")
    click.echo(f"\n{title}: {faces.height} heads, {posed.height} posed")
    for name, yaw, pitch in (
        ("rotation alone", "yaw_raw", "pitch_raw"),
        ("as in the tables", "yaw", "pitch"),
    ):
        part = posed.drop_nulls([yaw, pitch])
        click.echo(f" {name}")
        for axis, column, edges, names in (
            ("yaw", yaw, settings.yaw_edges, None),
            ("pitch", pitch, settings.pitch_edges, PITCH_NAMES),
        ):
            error = (part[column] - part[f"t_{axis}"]).abs().mean()
            true, called = (binned(part[c].to_list(), edges, names) for c in (f"t_{axis}", column))
            order = [one.label for one in axis_bins(edges, names)]
            right = [a == b for a, b in zip(true, called, strict=True)]
            click.echo(f"  {axis}: mean error {error:.2f} degrees")
            click.echo(share(f"right {axis} bin", right))
            click.echo(share(f"right or adjacent {axis} bin", adjacent(true, called, order)))
    profiles = faces.filter(pl.col("t_yaw").abs() > PROFILE)
    print_profiles(profiles, settings)


def print_profiles(profiles: pl.DataFrame, settings: BucketSettings) -> None:
    """Where faces beyond 60 degrees land."""
    found = profiles.filter(pl.col("pose_source") != "missed")
    if not found.height:
        return
    for name, column in (("rotation alone", "yaw_raw"), ("as in the tables", "yaw")):
        called = binned(found[column].to_list(), settings.yaw_edges)
        told = [bin_ for bin_ in called if bin_ != UNKNOWN]
        click.echo(share(f"profiles told that are beyond, {name}", [b == BEYOND for b in told]))
    click.echo(f"  profiles: {profiles.height}, not found {profiles.height - found.height}, "
               f"unknown {found['yaw'].null_count()}")  # fmt: skip


def print_fit(faces: pl.DataFrame) -> None:
    """Least squares over turned heads, and the residual."""
    turned = faces.drop_nulls("yaw_raw").filter(pl.col("yaw_raw").abs() > FITTED_FROM)
    sign = turned["yaw_raw"].sign()
    design = np.stack([np.ones(turned.height), (turned["yaw_raw"] * sign), turned["misfit"]], 1)
    wanted = (turned["t_yaw"] * sign).clip(0, 90).to_numpy()
    fitted = np.linalg.lstsq(design, wanted, rcond=None)[0]
    click.echo(f"\nBENT fitted on {turned.height} turned heads: {np.round(fitted, 2).tolist()}")


def frame(rows: Sequence[Row], settings: BucketSettings, own: bool) -> pl.DataFrame:
    """The rows with each person's level taken off, or the usual one."""
    table = pl.DataFrame(rows, infer_schema_length=None)
    people = pl.col("who").rank("dense").cast(pl.Int64) if own else pl.int_range(pl.len())
    return with_own_level(table.with_columns(person_id=people), settings)


@click.command(help=__doc__)
@click.option("--facekit", type=click.Path(path_type=Path, exists=True), help="arrays of the heads")
@click.option("--people", default=60, help="rendered ones")
@click.option("--each", default=14, help="heads of a rendered person")
@click.option("--fit", is_flag=True, help="print the constants of turned heads")
@click.option("--photos", "table", type=click.Path(path_type=Path, exists=True))
@click.option("--models", default="open", help="the pack that holds detector and mesh")
def main(
    facekit: Path | None, people: int, each: int, fit: bool, table: Path | None, models: str
) -> None:
    """Prints the figures."""
    cv2.setNumThreads(1)
    settings = BucketSettings()
    reader = Reader(ModelSettings(face_pack=models, perception=models))
    if facekit is not None:
        found = frame(list(heads(reader, facekit, people, each)), settings, own=False)
        held = pl.col("who").cast(pl.Int64) % 2 == 1
        print_against_truth("rendered heads, held out", found.filter(held), settings)
        if fit:
            print_fit(found.filter(~held))
    elif table is not None:
        rows = pl.DataFrame(list(photos(reader, table)), infer_schema_length=None)
        click.echo(f"{rows.height} photographs of {table.name}")
        print_photos(rows, settings)
    else:
        found = frame(list(rides(reader)), settings, own=True)
        print_against_truth("bundled rides (rendered)", found, settings)


if __name__ == "__main__":
    main()
