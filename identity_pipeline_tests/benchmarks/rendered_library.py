"""A library of rendered people with known truth: faces drawn, found and described by the open pack.

`python -m identity_pipeline_tests.benchmarks.rendered_library --facekit ARRAYS` draws the faces and
writes their vectors beside this file; benchmarks read them. Few people ride often, most ride once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.templates import VideoTables
from identity_pipeline.core.vectors import normalise, to_series
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.spaces import templates_of_video
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.library_tables import LibraryTables

FILE = Path(__file__).with_name("rendered_library.npz")
SEED, PEOPLE, FACES = 20, 110, 4
FIRST_FACE = 70_000
"""Seed of the first face: none of the bundled nets has seen it."""
SIDE = 320
GAP_MS = 1500.0
NAMES = ("track_templates", "calibration_pairs", "face_samples")


@dataclass(frozen=True)
class Rendered:
    """The library.

    Attributes:
        vectors: (N, FACES, D) unit vectors of each track's faces.
        person: (N,) who it is.
        ride: (N,) in which ride; two tracks of a ride sit side by side.
        space: key of the recogniser's space.
    """

    vectors: NDArray[np.float32]
    person: NDArray[np.int64]
    ride: NDArray[np.int64]
    space: str

    @property
    def keys(self) -> list[str]:
        """Track keys."""
        seats = [int((self.ride[:n] == ride).sum()) + 1 for n, ride in enumerate(self.ride)]
        return [f"track:ride-{r:04d}:{s}" for r, s in zip(self.ride, seats, strict=True)]

    @property
    def truth(self) -> dict[str, str]:
        """Who each track is."""
        return {key: f"P{who:03d}" for key, who in zip(self.keys, self.person, strict=True)}

    def tables(self, settings: Settings) -> LibraryTables:
        """What the product reads of such rides."""
        parts: dict[str, list[pl.DataFrame]] = {name: [] for name in NAMES}
        for ride in np.unique(self.ride):
            made = templates_of_video(self._video(int(ride)), settings)
            for name in NAMES:
                parts[name].append(made[name])
        joined = {name: pl.concat(several) for name, several in parts.items()}
        tables = (joined[name] for name in NAMES)
        return LibraryTables(*tables, self.space)

    def _video(self, ride: int) -> VideoTables:
        own = np.flatnonzero(self.ride == ride)
        rows = [
            {
                "face_id": f"{face * 15:06d}-{seat}",
                "frame_idx": face * 15,
                "timestamp_ms": face * GAP_MS,
                "track_id": seat + 1,
                "tracklet_id": seat + 1,
                "quality_score": 0.7,
                "loose": True,
                "strict": True,
                "because": "usable",
                "space": self.space,
                **dict(zip(("x1", "y1", "x2", "y2"), box_of(seat), strict=True)),
            }
            for seat in range(len(own))
            for face in range(FACES)
        ]
        vectors = self.vectors[own].reshape(-1, self.vectors.shape[2])
        faces = pl.DataFrame(rows).with_columns(to_series("e_id", vectors))
        riders = [
            {"track_id": seat + 1, "person_id": seat, "reason": "rider"} for seat in range(len(own))
        ]
        return VideoTables(
            f"ride-{ride:04d}",
            embeddings=_as("face_embeddings", faces),
            quality=_as("face_quality", faces),
            tracks=_as("face_tracks", faces),
            riders=_as("riders", pl.DataFrame(riders)),
            detections=_as("face_detections", faces),
        )


def box_of(seat: int) -> tuple[float, float, float, float]:
    """Where a face is in its frame, px."""
    return 200.0 * seat, 0.0, 200.0 * seat + 100, 100.0


def _as(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as a table; what they do not say is null."""
    return rows.select(
        (pl.col(c) if c in rows.columns else pl.lit(None)).cast(dtype).alias(c)
        for c, dtype in TABLES[name].items()
    )


def read() -> Rendered:
    """The library that was drawn."""
    with np.load(FILE, allow_pickle=False) as kept:
        vectors = normalise(
            kept["vectors"].astype(np.float32).reshape(-1, kept["vectors"].shape[2])
        )
        shape = kept["vectors"].shape
        return Rendered(vectors.reshape(shape), kept["person"], kept["ride"], str(kept["space"]))


def plan(rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Who rides with whom: person and ride of each track."""
    rides = np.minimum(1 + rng.zipf(1.9, PEOPLE), 18) - rng.integers(0, 2, PEOPLE)
    people = rng.permutation(np.repeat(np.arange(PEOPLE), np.maximum(rides, 1)))
    person, ride, left = [], [], people.tolist()
    while left:
        first = left.pop()
        mate = next((n for n in range(len(left) - 1, -1, -1) if left[n] != first), None)
        seated = [first] if mate is None or rng.random() < 0.35 else [first, left.pop(mate)]
        person += seated
        ride += [ride[-1] + 1 if ride else 0] * len(seated)
    return np.array(person, dtype=np.int64), np.array(ride, dtype=np.int64)


def draw(facekit_file: Path, settings: Settings) -> Rendered:
    """Draws every face and describes it by the pack of the settings."""
    import cv2

    from identity_pipeline.media.crops import align
    from identity_pipeline.models.face_pack import FacePack
    from tools.bundled_models import facekit, head, moments
    from tools.bundled_models.degrade import camera as seen_by
    from tools.bundled_models.identity import rider_of
    from tools.bundled_models.outfit import Outfit

    cv2.setNumThreads(1)
    rng = np.random.default_rng(SEED)
    person, ride = plan(rng)
    kit, pack = facekit.load(facekit_file), FacePack(settings.models)
    camera = head.Camera(SIDE, SIDE * 0.45 / 18, supersampling=1.25)
    vectors = np.zeros((len(person), FACES, pack.space.dimension), dtype=np.float32)
    with click.progressbar(range(len(person)), label="tracks", file=None) as tracks:
        for track in tracks:
            body = rider_of(kit, FIRST_FACE + int(person[track]))
            seed = int(rng.integers(1 << 30))
            outfit = Outfit(glasses=body.traits.wears_glasses, seed=seed, seated=True)
            crops: list[NDArray[np.uint8]] = []
            while len(crops) < FACES:
                pitch, yaw, roll = moments.sample_pose(rng)
                portrait = head.draw(
                    kit,
                    body,
                    moments.sample_expression(kit, rng),
                    (pitch, yaw, roll),
                    moments.sample_light(rng),
                    camera,
                    outfit,
                    (0.0, 0.2 * yaw, 0.0),
                )
                alpha, colour = portrait.rgba[..., 3:], portrait.rgba[..., :3]
                behind = rng.uniform(0.2, 0.8, 3)
                picture = np.clip(255 * (colour * alpha + behind * (1 - alpha)), 0, 255)
                damaged = seen_by(picture.astype(np.uint8), rng, 1.0)
                frame = np.ascontiguousarray(damaged[..., ::-1])
                found = pack.detect(frame)
                if len(found.boxes) == 1:
                    crops.append(align(frame, found.key_points[0]))
            vectors[track] = pack.embed(crops)
    return Rendered(vectors, person, ride, pack.space.key)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--facekit", type=click.Path(exists=True, path_type=Path), required=True)
def main(facekit: Path) -> None:
    """Draws and writes."""
    made = draw(facekit, load_settings(models={"face_pack": "open"}))
    np.savez_compressed(
        FILE,
        vectors=made.vectors.astype(np.float16),
        person=made.person,
        ride=made.ride,
        space=np.array(made.space),
    )
    sizes = np.bincount(made.person)
    click.echo(
        f"{len(made.person)} tracks of {(sizes > 0).sum()} people in {made.ride.max() + 1} rides; "
        f"{(sizes == 1).sum()} people ride once, the most frequent {sizes.max()} times"
    )


if __name__ == "__main__":
    main()
