"""Faces that a model finds alike: do they look the same way and make the same face?

Of labelled faces of a library that the pipeline has processed, the nearest face of ANOTHER person
is looked up by the vision encoder, by the recogniser, by the aligned pixels and by the mesh, and it
is told how much the two differ: in yaw (as measured), and in the looker's grades of mouth (closed,
slight, open, wide), smile (none, slight, broad) and eyes (open, half, closed). Chance is the mean
over all faces of other people. An encoder that says what is new must be well below chance, whoever
is in the picture; a recogniser is trained not to see it.

Also the encoder's cosines between two faces of one rider in one clip, by how far the two are apart
in what was measured of them, and the cosine that tells near ones from far ones best, for each
person chosen on all others: the figures behind the numbers on the encoder's card.

    identity-pipeline --data DATA run CLIPS
    python -m identity_pipeline_tests.benchmarks.look_alike DATA LABELS.csv --truth FOLDER
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.evaluation.labels import CLEAR, LabelledClip, met_faces, seats_of
from identity_pipeline.core.faces.quality import luma_of
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.novelty import look_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.media.crops import Region, decode_image, face_view
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import CropSettings, ModelSettings, load_settings
from identity_pipeline.stages.evaluation.labelled import collect_labelled
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.real_clips import SOLO

GRADES: dict[str, dict[str, float]] = {
    "mouth": {"closed": 0, "slight": 1, "open": 2, "wide": 3},
    "smile": {"none": 0, "slight": 1, "broad": 2},
    "eyes": {"open": 0, "half": 1, "closed": 2},
}
NOT_HERE = "not measurable here: random weights say nothing; name a folder by --dinov2"
UNITS = {"yaw": 25, "pitch": 15, "roll": 12, "eye_open": 1 / 3, "mouth_open": 1 / 4, "smile": 1 / 3}
"""What counts as one unit between two faces: those that the bundled encoder was trained by."""
NEAR, FAR = 0.4, 0.8
"""Units up to which two faces should count as the same picture, and from which as another one."""
SAME = 0.95
"""The card's `selection.near_duplicate_cos`."""
AHEAD, ANCHOR_GAP_S = 10.0, 1.5
"""Degrees of yaw and of pitch of an anchor, and the time between two."""
Vectors = NDArray[np.float32]
CONSOLE = Console(width=120)


@dataclass(frozen=True)
class Labelled:
    """Labelled faces in plain light, with their crops.

    Attributes:
        table: `clip`, `person`, `yaw`, and the grades; null where the looker was not sure.
        views: (224, 224, 3) face crops as the vision encoder sees them.
        aligned: (112, 112, 3) crops as the recogniser sees them.
        regions: stored regions, for the mesh.
        boxes: rows with the smoothed box.
    """

    table: pl.DataFrame
    views: list[NDArray[np.uint8]]
    aligned: list[NDArray[np.uint8]]
    regions: list[Region]

    def value(self, name: str) -> NDArray[np.float64]:
        """(N,) of a measure; NaN where it is not known."""
        return self.table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    @property
    def people(self) -> NDArray[np.str_]:
        """(N,) who is on each."""
        return self.table["person"].to_numpy().astype(str)


def faces_of(clip: LabelledClip) -> pl.DataFrame:
    """The labelled faces of a clip that were measured, in plain light, with the person's name."""
    landmarks = clip.tables["face_landmarks"]
    seats = seats_of(landmarks, bool(clip.labels["seat"].eq("only").all()))
    measured = landmarks.join(seats, on="person_id").select(
        "face_id", "frame_idx", "seat", "yaw", *(f"smooth_{n}" for n in ("x1", "y1", "x2", "y2"))
    )
    grades = (
        pl.col(n).replace_strict(g, default=None, return_dtype=pl.Float64).alias(f"{n}_grade")
        for n, g in GRADES.items()
    )
    return (
        met_faces(clip)
        .filter(CLEAR)
        .select("clip", "video", "frame_idx", "seat", *grades, person=_person(clip))
        .join(measured.drop_nulls("yaw"), on=["frame_idx", "seat"])
        .rename({f"{n}_grade": n for n in GRADES})
    )


def read(store: TableStore, clips: tuple[LabelledClip, ...], crops: CropSettings) -> Labelled:
    """All labelled faces of some clips."""
    table = pl.concat([faces_of(clip) for clip in clips])
    views, aligned, regions = {}, {}, {}
    for (video,), rows in table.group_by("video", maintain_order=True):
        archive = CropArchive(store.layout.crops(str(video)))
        by_id = {row["face_id"]: row for row in rows.iter_rows(named=True)}
        for face_id, crop in archive.aligned(list(by_id)):
            aligned[video, face_id] = crop
        for face_id, region in _regions(archive, list(by_id)):
            regions[video, face_id] = region
            views[video, face_id] = face_view(region, box_of(by_id[face_id], "smooth_"), crops)
    keys = list(table.select("video", "face_id").iter_rows())
    return Labelled(
        table, [views[k] for k in keys], [aligned[k] for k in keys], [regions[k] for k in keys]
    )


def _regions(archive: CropArchive, face_ids: list[str]) -> Iterator[tuple[str, Region]]:
    for row in archive.rows(face_ids, ["region_jpeg", "region_x", "region_y", "region_scale"]):
        place = (float(row[f"region_{name}"]) for name in ("x", "y", "scale"))  # type: ignore[arg-type]
        yield str(row["face_id"]), Region(decode_image(row["region_jpeg"]), *place)  # type: ignore[arg-type]


def finders(faces: Labelled, hub: ModelHub) -> dict[str, Vectors]:
    """Unit vectors (N, D) of each measure that finds faces; the nearest has the largest product."""
    looks = np.stack([look_of(luma_of(crop)) for crop in faces.aligned])
    found = {"encoder": hub.vision.embed(faces.views), "raw pixels": looks}
    found["recogniser"] = hub.face_pack.embed(faces.aligned)
    if hub.perception is not None:
        found["mesh"] = _shapes(faces, hub)
    return found


def _shapes(faces: Labelled, hub: ModelHub) -> Vectors:
    """The mesh of each face, centred and of unit size, turned as the head is: (N, 1404)."""
    assert hub.perception is not None
    rows = faces.table.iter_rows(named=True)
    boxes = [box_of(row, "smooth_") for row in rows]
    meshes = hub.perception.read(faces.regions, boxes, [None] * len(boxes))
    points = np.stack([mesh.points for mesh in meshes])
    flat = (points - points.mean(axis=1, keepdims=True)).reshape(len(points), -1)
    flat -= flat.mean(axis=0)  # what all faces share would make them all alike
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def differences(faces: Labelled, vectors: Vectors | None) -> dict[str, float]:
    """Mean difference to the nearest face of another person, by measure; None is chance."""
    other = faces.people[:, None] != faces.people[None, :]
    told = {}
    for name in ("yaw", *GRADES):
        value = faces.value(name)
        known = np.isfinite(value)
        apart = np.abs(value[:, None] - value[None, :])
        eligible = other & known[:, None] & known[None, :]
        some = eligible.any(axis=1)
        if vectors is None:
            per_face = np.nanmean(np.where(eligible, apart, np.nan)[some], axis=1)
        else:
            nearest = np.where(eligible, vectors @ vectors.T, -np.inf).argmax(axis=1)
            per_face = apart[np.arange(len(value)), nearest][some]
        told[name] = float(per_face.mean())
    return told


@dataclass(frozen=True)
class Pairs:
    """Pairs of faces of one rider in one clip.

    Attributes:
        person: (N,) whose.
        apart: (N,) units between what was measured of both; see `UNITS`.
        cosine: (N,) of the encoder.
        anchors: (N,) whether both look straight ahead, as long apart as two anchors must be.
    """

    person: NDArray[np.str_]
    apart: NDArray[np.float64]
    cosine: NDArray[np.float64]
    anchors: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs."""
        arrays = (self.person, self.apart, self.cosine, self.anchors)
        return Pairs(*(array[chosen] for array in arrays))  # type: ignore[arg-type]

    def errors(self, limit: float) -> tuple[float, float]:
        """Shares of near pairs below a cosine, and of far pairs at or above it."""
        near, far = self.cosine[self.apart < NEAR], self.cosine[self.apart >= FAR]
        return float((near < limit).mean()), float((far >= limit).mean())

    def best_limit(self) -> float:
        """The cosine at which both errors are equal, to a thousandth."""
        limits = np.arange(0.3, 1.0, 0.001)
        return float(min(limits, key=lambda limit: abs(np.subtract(*self.errors(limit)))))


def pairs_of(store: TableStore, clips: tuple[LabelledClip, ...]) -> Pairs:
    """All pairs in clips with labels, by the vision vectors of their run."""
    found: list[tuple[NDArray[Any], ...]] = []
    for clip in clips:
        landmarks = clip.tables["face_landmarks"]
        seats = seats_of(landmarks, bool(clip.labels["seat"].eq("only").all()))
        names = met_faces(clip).select("seat", person=_person(clip)).unique()
        seen = store.read("vision_embeddings", clip.video).select("face_id", "e_vis_face")
        when = store.read("face_detections", clip.video).select("face_id", "timestamp_ms")
        seen = seen.join(when, on="face_id")
        rows = landmarks.drop_nulls(list(UNITS)).join(seats.join(names, on="seat"), on="person_id")
        for (person,), own in rows.join(seen, on="face_id").group_by("person"):
            measured = own.select(pl.col(n) / unit for n, unit in UNITS.items()).to_numpy()
            vectors = to_matrix(own["e_vis_face"]).astype(np.float64)
            one, other = np.triu_indices(own.height, 1)
            apart = np.linalg.norm(measured[one] - measured[other], axis=1)
            cosine = np.einsum("ij,ij->i", vectors[one], vectors[other])
            time = own["timestamp_ms"].to_numpy()
            ahead = own.select(pl.max_horizontal(pl.col("yaw", "pitch").abs()) <= AHEAD)
            straight = ahead.to_series().to_numpy()
            anchors = straight[one] & straight[other]
            anchors &= np.abs(time[one] - time[other]) >= 1000 * ANCHOR_GAP_S
            found.append((np.full(len(one), str(person)), apart, cosine, anchors))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _person(clip: LabelledClip) -> pl.Expr:
    stem = str(clip.labels["clip"][0])
    return pl.lit(SOLO[stem]) if stem in SOLO else pl.col("unit").str.strip_suffix(".mp4")


@click.command(help=(__doc__ or "").split("\n\n", maxsplit=1)[0])
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("labels", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--truth", type=click.Path(exists=True, path_type=Path), help="Truth files.")
@click.option("--models", help="Face pack.")
@click.option("--perception", help="Folder of the mesh.")
@click.option("--vision", help="Vision encoder.")
@click.option("--dinov2", help="Folder with DINOv2-small.")
def main(data: Path, labels: tuple[Path, ...], truth: Path | None, **named: str | None) -> None:
    """Prints both tables."""
    names = {"models": "face_pack", "perception": "perception", "vision": "vision_encoder"}
    given = {names[n]: value for n, value in named.items() if value is not None and n in names}
    settings = load_settings(models={**given, "device": "cpu"})
    store = TableStore(Layout(data))
    material = collect_labelled(store, labels, VideoRegistry(store.layout).all(), truth)
    for clip, why in material.left_out.items():
        click.echo(f"left out: {clip}: {why}", err=True)
    faces = read(store, material.clips, settings.crops)
    found: dict[str, Vectors | None] = {**finders(faces, ModelHub(settings.models))}
    if named["dinov2"]:
        other = ModelSettings(vision_encoder=str(named["dinov2"]), device="cpu")
        found["DINOv2"] = VisionEncoder(other).embed(faces.views)
    show_nearest(faces, {**found, "chance": None})
    if not named["dinov2"]:
        click.echo(f"DINOv2-small: {NOT_HERE}")
    show_scale(pairs_of(store, material.clips))


def show_nearest(faces: Labelled, found: Mapping[str, Vectors | None]) -> None:
    """Prints how much nearest faces differ."""
    people = len(set(faces.people))
    title = f"Nearest face of another person, {len(faces.people)} real faces of {people} people"
    table = Table(title=title)
    for column in ("found by", "yaw, degrees", "mouth, grades", "smile, grades", "eyes, grades"):
        table.add_column(column, justify="left" if column == "found by" else "right")
    for name, vectors in found.items():
        told = differences(faces, vectors)
        cells = (f"{told[n]:.{1 if n == 'yaw' else 2}f}" for n in ("yaw", *GRADES))
        table.add_row(name, *cells)
    CONSOLE.print(table)


def show_scale(pairs: Pairs) -> None:
    """Prints the encoder's cosines by distance, and the limit for each person from the others."""
    table = Table(title="Cosines of the encoder between faces of one rider, 5 / 50 / 95 %")
    for column in ("units apart", "pairs", "cosines", f"above {SAME}"):
        table.add_column(column)

    def add(words: str, values: NDArray[np.float64]) -> None:
        spread = " / ".join(f"{v:.3f}" for v in np.percentile(values, [5, 50, 95]))
        table.add_row(words, str(len(values)), spread, f"{(values > SAME).mean():.3f}")

    for low, high in pairwise((0.0, 0.2, NEAR, FAR, 1.6, 3.0, np.inf)):
        add(f"{low:g} to {high:g}", pairs.cosine[(pairs.apart >= low) & (pairs.apart < high)])
    add(f"straight ahead, {ANCHOR_GAP_S:g} s apart", pairs.cosine[pairs.anchors])
    CONSOLE.print(table)
    table = Table(title=f"Near (below {NEAR} units) against far (from {FAR}): the cosine between")
    for column in ("judged on", "chosen on the others", "near called far", "far called near"):
        table.add_column(column)
    for person in sorted(set(pairs.person)):
        own = pairs.person == person
        limit = pairs.of(~own).best_limit()
        table.add_row(person, f"{limit:.3f}", *(f"{e:.2f}" for e in pairs.of(own).errors(limit)))
    limit = pairs.best_limit()
    table.add_row("all", f"{limit:.3f}, on all", *(f"{e:.2f}" for e in pairs.errors(limit)))
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
