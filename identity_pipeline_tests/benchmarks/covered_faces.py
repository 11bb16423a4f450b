"""What is called covered: labelled real faces, the same faces with covers painted on, and renders.

    python -m identity_pipeline_tests.benchmarks.covered_faces DATA --labels real_faces.csv
    python -m identity_pipeline_tests.benchmarks.covered_faces --facekit ict_facekit.npz

DATA is the folder of a finished run of the labelled clips; its crops are read anew with the nets
of this version. The nets were trained on no photograph. The limits in `core.faces.occlusion` (from
when on a cell is covered, what a few cells count, what counts beside the outline) were chosen with
the labelled people in view: for the limits, figures on real faces are not held out. Beside them
stands the limit that the other people would set: the middle between their most covered plain face
and their least covered covered one.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.labels import seats_of
from identity_pipeline.core.faces.buckets import occlusion_bin
from identity_pipeline.core.faces.occlusion import CELL_COLUMNS, with_occlusion
from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.media.crops import Region, decode_image
from identity_pipeline.models.face_cover import FaceCover
from identity_pipeline.models.face_mesh import FaceMesh
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import BucketSettings, ModelSettings
from identity_pipeline.stages.video.covers import with_covers
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline_tests.benchmarks.painted_covers import ELSEWHERE, OVER_THE_EYES

_SCHEMA = {
    "face_id": pl.String,
    "kind": pl.String,  # plain, bar, other (not labelled), or what was painted on
    "frame_idx": pl.Int64,
    "person_id": pl.Int64,
    "strict": pl.Boolean,
    "yaw": pl.Float32,
    "eyes": pl.String,
    "occluder": pl.String,
    "occlusion": pl.Float32,
    "occlusion_source": pl.String,
    "eye_left_there": pl.Float32,
    "eye_right_there": pl.Float32,
    **CELL_COLUMNS,
}
PAINTED = OVER_THE_EYES | ELSEWHERE
Points = NDArray[np.floating]


class Reader:
    """The nets of this version."""

    def __init__(self, settings: ModelSettings) -> None:
        hub = ModelHub(settings)
        if hub.perception is None or hub.cover is None:
            raise click.UsageError("models.perception names no pack; cover is looked for on a mesh")
        self.mesh: FaceMesh = hub.perception
        self.cover: FaceCover = hub.cover
        self.spent, self.read = 0.0, 0

    def row(
        self, region: Region, box: Box, points: Points, facts: dict[str, Any]
    ) -> dict[str, Any]:
        """One row of `_SCHEMA`."""
        meshes = self.mesh.read([region], [box], [points])
        known = {"occlusion": None, "occlusion_source": None, **facts}
        started = time.process_time()
        (row,) = with_covers(self.cover, [known], [region], meshes)
        self.spent, self.read = self.spent + time.process_time() - started, self.read + 1
        return row


def _tables(data: Path, clip: str) -> tuple[pl.DataFrame, CropArchive]:
    found = sorted((data / "tables" / "face_landmarks").glob(f"{clip}-*.parquet"))
    if not found:
        raise click.UsageError(f"{data} holds no run of {clip}")
    stem = found[-1].stem
    rows = pl.read_parquet(found[-1])
    for asset in ("face_detections", "face_quality"):
        more = pl.read_parquet(data / "tables" / asset / f"{stem}.parquet")
        rows = rows.join(more.drop("frame_idx", "occlusion", "relative_sharpness", strict=False),
                         on="face_id", how="left")  # fmt: skip
    return rows, CropArchive(data / "crops" / stem)


def _seated(rows: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rows with the seat of each of the two people seen most, and the labels of that seat."""
    who = seats_of(rows, bool(labels["seat"].eq("only").all()))
    told = labels.select(
        "frame_idx", "seat", "eyes", "occluder", "light", "blur", covered="occlusion"
    )
    return rows.join(who, on="person_id").join(told, on=["frame_idx", "seat"], how="left")


def _kind(row: dict[str, Any]) -> str:
    if row["covered"] is None:
        return "other"
    return "plain" if row["covered"] == "none" else "bar"


def read_clip(data: Path, clip: str, labels: pl.DataFrame, reader: Reader) -> pl.DataFrame:
    """Every face of a clip as it was filmed, and plain labelled ones once more with each cover.

    A painted face is found anew: its mesh is that of the painted picture. It keeps its box.
    """
    rows, archive = _tables(data, clip)
    by_id = {r["face_id"]: r for r in _seated(rows, labels).iter_rows(named=True)}
    columns = ["region_jpeg", "region_x", "region_y", "region_scale"]
    out = []
    for stored in archive.rows(by_id, columns):
        row = by_id[str(stored["face_id"])]
        x, y, scale = (float(stored[c]) for c in columns[1:])  # type: ignore[arg-type]
        region = Region(decode_image(stored["region_jpeg"]), x, y, scale)  # type: ignore[arg-type]
        points = np.array([[row[f"kp{i}_x"], row[f"kp{i}_y"]] for i in range(5)])
        facts = {c: row.get(c) for c in _SCHEMA if c in row and c not in ("occlusion",)}
        facts |= {"kind": _kind(row)}
        out.append(reader.row(region, box_of(row), points, facts))
        clear = row["light"] == "normal" and row["blur"] != "blurred"
        if facts["kind"] == "plain" and clear:
            out += list(_painted(region, box_of(row), points, facts, reader))
    return pl.DataFrame([{c: r.get(c) for c in _SCHEMA} for r in out], schema=_SCHEMA)


def _painted(
    region: Region, box: Box, points: Points, facts: dict[str, Any], reader: Reader
) -> Iterator[dict[str, Any]]:
    seen = reader.mesh.read([region], [box], [points])[0].points.copy()
    seen[:, :2] = (seen[:, :2] - [region.x, region.y]) * region.scale
    for name, paint in PAINTED.items():
        rng = np.random.default_rng(zlib.crc32(f"{facts['frame_idx']} {name}".encode()))
        picture = Region(paint(region.bgr.copy(), seen, rng), region.x, region.y, region.scale)
        # Never a reference of the person's usual look.
        yield reader.row(picture, box, points, facts | {"kind": name, "strict": False})


def _bins(rows: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    by_look = with_occlusion(rows)
    alone = with_occlusion(rows.with_columns(strict=pl.lit(False)))
    shown = pl.Series([occlusion_bin(v, settings) for v in by_look["occlusion"]])
    return by_look.with_columns(bin=shown, alone=alone["occlusion"])


def _share(rows: pl.DataFrame, test: pl.Expr) -> str:
    hits = rows.filter(test).height
    return f"{hits}/{rows.height}" + (f" ({100 * hits / rows.height:.1f} %)" if rows.height else "")


def _number(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _print_people(faces: pl.DataFrame) -> None:
    click.echo(
        "\nREAL FACES, by person (a clip and seat); never trained on, but limits chosen in view"
    )
    none, hidden = pl.col("bin") == "none", pl.min_horizontal("eye_left_there", "eye_right_there")
    for (who,), own in faces.group_by("who", maintain_order=True):
        plain, bars = own.filter(pl.col("kind") == "plain"), own.filter(pl.col("kind") == "bar")
        rest, value = faces.filter(pl.col("who") != who), pl.col("occlusion")
        low = _number(rest.filter(pl.col("kind") == "plain")["occlusion"].max(), 0.0)
        high = _number(rest.filter(pl.col("kind") == "bar")["occlusion"].min(), 1.0)
        limit = (low + high) / 2
        click.echo(
            f"  {who:18s} plain called covered {_share(plain, ~none)}, eye called hidden "
            f"{_share(plain, hidden < 0.5)}; bars called none {_share(bars, none)}; most covered "
            f"plain {_number(plain['occlusion'].max(), 0.0):.3f}, least covered bar "
            f"{_number(bars['occlusion'].min(), 1.0):.3f}; by the others' limit "
            f"{limit:.2f}: {_share(plain, value >= limit)}, {_share(bars, value < limit)}"
        )
    plain, bars = faces.filter(pl.col("kind") == "plain"), faces.filter(pl.col("kind") == "bar")
    click.echo(
        f"  all: plain called covered {_share(plain, ~none)}, bars called none {_share(bars, none)}"
    )
    shut = plain.filter(pl.col("eyes") == "closed")
    glasses = plain.filter(pl.col("occluder") == "glasses")
    click.echo(f"  closed eyes called hidden {_share(shut, hidden < 0.5)}; eyes behind clear "
               f"glasses called hidden {_share(glasses, hidden < 0.5)}")  # fmt: skip


def _print_painted(faces: pl.DataFrame) -> None:
    click.echo("\nPAINTED ON REAL FACES: called none (in brackets: were it worn all the ride)")
    for name in PAINTED:
        own = faces.filter(pl.col("kind") == name)
        always = f"[{_share(own, pl.col('alone') < 0.1)}]"
        worst = max(
            (group.filter(pl.col("bin") == "none").height / group.height, str(who))
            for (who,), group in own.group_by("who")
        )
        eyes = pl.min_horizontal("eye_left_there", "eye_right_there") < 0.5
        click.echo(
            f"  {name:11s} {_share(own, pl.col('bin') == 'none')} {always}; worst person "
            f"{100 * worst[0]:.1f} %; an eye called hidden {_share(own, eyes)}"
        )


def _print_rendered(facekit: Path, people: int, reader: Reader, settings: BucketSettings) -> None:
    """Held-out rendered people (never trained on), without any look of their own known."""
    from tools.bundled_models import cover_samples, covers
    from tools.bundled_models import facekit as kits
    from tools.bundled_models.degrade import Backgrounds, composite
    from tools.bundled_models.identity import person_of
    from tools.bundled_models.pool import HELD_OUT, five_points

    kit, behind = kits.load(facekit), Backgrounds(40, cover_samples.SIZE, 5)
    rows = []
    for seed in range(HELD_OUT, HELD_OUT + people):
        person, rng = person_of(kit, seed), np.random.default_rng([seed, 17])
        portrait, _ = cover_samples.render(kit, person, rng, 0.1)
        front = np.clip(portrait.rgba * 255 + 0.5, 0, 255).astype(np.uint8)
        plain = composite(front, behind.get(rng, cover_samples.SIZE, cover_samples.SIZE))
        marks, box = portrait.landmarks.astype(np.float64), Box(*map(float, portrait.box))
        worn = portrait.face & ~portrait.visible & ~portrait.framed
        eyes = [cover_samples.hidden_share(worn.astype(np.float32), marks, eye) for eye in (0, 1)]
        share = worn.sum() / max(1, portrait.face.sum())
        first = "lens, hat, hair or arm" if max(eyes) > 0.65 else "between"
        first = "plain" if share < 0.03 and max(eyes) < 0.1 else first
        pictures = {first: plain}
        for name in ("goggles", "visor", "hand", "hair", "scarf", "brim", "shadow"):
            picture, mask = covers.COVERS[name](plain, marks, rng, behind)
            hidden = max(cover_samples.hidden_share(mask, marks, eye) for eye in (0, 1))
            if name == "scarf" or hidden > 0.65 or (name == "shadow" and first == "plain"):
                pictures[name] = picture
        for name, picture in pictures.items():
            region = Region(np.ascontiguousarray(picture[..., ::-1]), 0, 0, 1.0)
            facts = {"kind": name, "person_id": seed, "strict": False, "yaw": portrait_yaw(marks)}
            rows.append(reader.row(region, box, five_points(marks), facts))
    faces = _bins(
        pl.DataFrame([{c: r.get(c) for c in _SCHEMA} for r in rows], schema=_SCHEMA), settings
    )
    click.echo("\nRENDERED (held-out people): called none; of plain and shadow: called covered")
    for (kind,), own in faces.sort("kind").group_by("kind", maintain_order=True):
        fine = pl.col("bin") != "none" if kind in ("plain", "shadow") else pl.col("bin") == "none"
        click.echo(f"  {kind:24s} {_share(own, fine)}")


def portrait_yaw(marks: Points) -> float:
    """A rough yaw by which the cells beside the outline are left out or not; degrees."""
    left, right = marks[30, 0] - marks[0, 0], marks[16, 0] - marks[30, 0]
    return float(90 * (left - right) / max(1e-6, left + right))


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--labels", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option(
    "--facekit", type=click.Path(path_type=Path, exists=True), help="for the rendered rows"
)
@click.option("--people", default=200, help="rendered ones")
@click.option("--perception", default="open", help="the pack that holds the mesh")
def main(
    data: Path | None, labels: tuple[Path, ...], facekit: Path | None, people: int, perception: str
) -> None:
    """Prints the figures."""
    cv2.setNumThreads(1)
    reader, settings = Reader(ModelSettings(perception=perception)), BucketSettings()
    if data is not None:
        told = pl.concat([pl.read_csv(p, infer_schema_length=0) for p in labels], how="diagonal")
        told = told.rename({"video": "clip"}, strict=False).with_columns(
            pl.col("frame_idx").cast(pl.Int64)
        )
        parts = []
        for (clip,), own in told.group_by("clip", maintain_order=True):
            rows = _bins(read_clip(data, str(clip), own, reader), settings)
            seat = pl.col("person_id").rank("dense").cast(pl.String)
            parts.append(rows.with_columns(who=pl.lit(f"{clip} ") + seat))
        faces = pl.concat(parts)
        _print_people(faces)
        _print_painted(faces)
    if facekit is not None:
        _print_rendered(facekit, people, reader, settings)
    click.echo(
        f"\n{1000 * reader.spent / max(1, reader.read):.1f} ms of processor time a face, one by one"
    )


if __name__ == "__main__":
    main()
