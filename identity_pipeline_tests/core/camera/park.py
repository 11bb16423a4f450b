"""A made-up camera: rows of tables as its videos would leave them, with the truth beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from identity_pipeline.core.camera.versions import Sighting, Version, advance
from identity_pipeline.settings import CameraSettings
from identity_pipeline.tables import TABLES

ASPECT = 16 / 9
ADULT_CM, CHILD_CM = (88.0, 4.0), (66.0, 5.0)
"""Sitting heights: mean and standard deviation."""


@dataclass(frozen=True)
class Seat:
    """A seat before the camera: metres across, below the camera's axis, and away."""

    x: float
    z: float


ROW_OF_TWO = (Seat(-0.35, 1.4), Seat(0.35, 1.4))
TWO_ROWS = (*ROW_OF_TWO, Seat(-0.35, 2.5), Seat(0.35, 2.5))


@dataclass
class Park:
    """Who is seen by one camera.

    Attributes:
        seats: where riders may sit.
        filled: how often each seat is taken.
        child: how many riders are children.
        aside: metres by which the camera is off the middle, to the right.
        turned: degrees by which it looks to the right.
        staff: whether somebody stands beside the car while it boards.
        phases: whether phases are known.
        boarding: share of the video that is boarding.
        sway: standard deviation of where a rider sits, m.
    """

    seats: Sequence[Seat] = TWO_ROWS
    filled: Sequence[float] = (0.8, 0.8, 0.5, 0.5)
    child: float = 0.2
    aside: float = 0.0
    turned: float = 0.0
    staff: bool = True
    phases: bool = True
    boarding: float = 0.1
    sway: float = 0.05
    bystanders: int = 3
    seed: int = 0
    focal: float = 0.9  # picture heights: 58 degrees from top to bottom
    bump: tuple[float, float] = (0.0, 0.0)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 5])

    def seen(
        self, x: float, height_cm: float, z: float, face_m: float
    ) -> tuple[float, float, float]:
        """Where a face is and how large, in picture heights."""
        turn = np.radians(self.turned)
        right, ahead = x - self.aside, z
        right, ahead = (
            right * np.cos(turn) - ahead * np.sin(turn),
            right * np.sin(turn) + ahead * np.cos(turn),
        )
        across = ASPECT / 2 + self.focal * right / ahead + self.bump[0]
        down = 0.5 - self.focal * (height_cm - 80.0) / 100 / ahead + self.bump[1]
        return across, down, self.focal * face_m / ahead

    def video(self, name: str) -> tuple[pl.DataFrame, dict[int, int | None]]:
        """`camera_places` of a video, and the seat of each track (None: no rider)."""
        rng, rows, truth = self.rng, list[dict[str, Any]](), dict[int, int | None]()
        taken = [k for k, share in enumerate(self.filled) if rng.random() < share] or [0]
        for seat in taken:
            child = rng.random() < self.child
            height = rng.normal(*(CHILD_CM if child else ADULT_CM))
            face = rng.normal(0.145 if child else 0.17, 0.008)
            place = self.seats[seat]
            at = self.seen(
                place.x + rng.normal(0, self.sway), height, place.z + rng.normal(0, self.sway), face
            )
            truth[len(rows)] = seat
            tenths = rng.integers(3, 12, 10)
            tenths[4] = 0  # a tunnel
            rows.append(self._row(name, len(rows), at, tenths, boards=False))
        for k in range(self.bystanders + int(self.staff)):
            staff = self.staff and k == self.bystanders
            at = (
                self.seen(1.0 + rng.normal(0, 0.05), rng.normal(120, 4), 1.5, 0.17)
                if staff
                else (rng.uniform(0.1, ASPECT - 0.1), rng.uniform(0.1, 0.4), rng.uniform(0.04, 0.1))
            )
            tenths = np.zeros(10, dtype=np.int64)
            tenths[: max(1, round(10 * self.boarding))] = rng.integers(3, 12)
            truth[len(rows)] = None
            rows.append(self._row(name, len(rows), at, tenths, boards=True))
        tracks = set(truth)
        for row in rows:
            row["beside"] = sorted(tracks - {row["track_id"]})
        return pl.DataFrame(rows, schema={"video_id": pl.String, **TABLES["camera_places"]}), truth

    def _row(
        self, name: str, track: int, at: tuple[float, float, float], tenths: Any, *, boards: bool
    ) -> dict[str, Any]:
        noise = self.rng.normal(0, 0.004, 3)
        usual = self.boarding if self.phases else None
        return {
            "video_id": name,
            "track_id": track,
            "x": at[0] + noise[0],
            "y": at[1] + noise[1],
            "size": at[2] * np.exp(noise[2]),
            "presence": float((tenths > 0).mean()),
            "faces": int(tenths.sum()),
            "tenths": tenths.tolist(),
            "boarding_share": (1.0 if boards else self.boarding) if self.phases else None,
            "boarding_usual": usual,
        }


def videos_of(park: Park, count: int) -> tuple[pl.DataFrame, dict[str, dict[int, int | None]]]:
    """The tracks of some videos, and the seats they really are in."""
    tables, truths = [], {}
    for k in range(count):
        name = f"v{k:05d}"
        table, truths[name] = park.video(name)
        tables.append(table)
    return pl.concat(tables), truths


def sightings(count: int, change: str = "", at: int = 0, seed: int = 1) -> list[Sighting]:
    """Videos of a camera that changes at one of them; `daily`: every five of them."""
    park, rng = Park(seats=ROW_OF_TWO, filled=(0.9, 0.7), seed=seed), np.random.default_rng(seed)
    found = []
    for k in range(count):
        light, sharp, turned = 1.0, 1.0, 0.0
        if change == "bumped" and k >= at:
            park.bump, turned = (0.07, 0.05), 4.0
        if change == "daily" and k % 5 == 0:
            park.bump = tuple(rng.uniform(-0.2, 0.2, 2).tolist())
        if change == "exposure" and k >= at:
            light, sharp = 1.6, 1.6**0.5
        name = f"v{k:04d}"
        places, _ = park.video(name)
        luma = 110 * light * np.exp(rng.normal(0, 0.1))
        figures = {
            "phase": None, "frames": 1200, "luma": luma, "faces_per_frame": rng.normal(1.6, 0.2),
            "sharpness": 150 * sharp * np.exp(rng.normal(0, 0.1)) * (luma / light / 110) ** 0.5,
            "detector_score": rng.normal(0.8, 0.02), "usable_share": rng.normal(0.7, 0.03),
        }  # fmt: skip
        votes = [
            {"person_id": p, "pose_source": "face_mesh", "yaw": rng.normal(12 + turned, 3),
             "pitch": rng.normal(-7, 4), "faces": 50}
            for p in range(2)
        ]  # fmt: skip
        found.append(
            Sighting(
                name,
                f"data-{k}",
                (1280, 720),
                places.drop("video_id"),
                pl.DataFrame(votes, schema=TABLES["camera_votes"]),
                pl.DataFrame([figures], schema=TABLES["camera_figures"]),
            )
        )
    return found


def versions_of(films: Sequence[Sighting], settings: CameraSettings) -> list[Version]:
    """The versions of a camera, by going through all its videos."""
    known = {each.video_id: each for each in films}
    found = [Version()]
    advance(found, list(known), known.get, settings)
    return found
