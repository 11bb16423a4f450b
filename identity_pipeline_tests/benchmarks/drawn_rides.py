"""Drawn rides of one camera in a data folder, and which of the drawn each found face is.

What belongs here: truth files beside the tables of their videos. What does not: figures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import polars as pl

from identity_pipeline.core.box import Box
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.made_up_cameras import order_of

SAME_FACE = 0.3
"""Overlap from which on a found face is the drawn one."""
RIDER = "rider"
Row = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A library of the camera without a name, and how it was drawn.

    Attributes:
        store: tables of its data folder.
        folder: of the drawn videos, with `cast.json` and a truth file each.
    """

    store: TableStore
    folder: Path
    _read: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Path, folder: Path) -> Drawn:
        """By the two folders."""
        return cls(TableStore(Layout(data)), folder)

    @property
    def cameras(self) -> Cameras:
        """What is known of the camera."""
        return Cameras(self.store.layout)

    def ride_model(self) -> Edition:
        """The newest model of its ride.

        Raises:
            ClickException: there is none.
        """
        model = self.cameras.model(None, RIDE)
        if model is None:
            raise click.ClickException(
                "This ride is not known yet: `identity-pipeline camera list`."
            )
        return model

    @property
    def videos(self) -> list[str]:
        """In the order in which they came."""
        return order_of(self.cameras, None)

    @property
    def cast(self) -> Row:
        """How the library was drawn."""
        return json.loads((self.folder / "cast.json").read_text(encoding="utf-8"))

    def changes(self, kind: str | None = None) -> list[tuple[str, int]]:
        """What was changed, and from which ride on; `foreign` is one ride of another track."""
        told = ((each["kind"], each["ride"]) for each in self.cast["changes"])
        return [(name, ride) for name, ride in told if kind in (None, name)]

    def number(self, video: str) -> int:
        """Which of the drawn rides a video is, from 0."""
        return [ride["name"] for ride in self.cast["rides"]].index(_name(video))

    def is_foreign(self, video: str) -> bool:
        """Whether it was drawn on another track."""
        return self.number(video) in {ride for _, ride in self.changes("foreign")}

    def own_videos(self) -> list[str]:
        """Those of the camera's own track, in the order in which they came."""
        return [video for video in self.videos if not self.is_foreign(video)]

    def truth(self, video: str) -> Row:
        """The truth file of a video."""
        if video not in self._read:
            path = self.folder / f"{_name(video)}.truth.json"
            self._read[video] = json.loads(path.read_text(encoding="utf-8"))
        return self._read[video]

    def faces(self, video: str) -> pl.DataFrame:
        """Found faces that were drawn: face_id, frame_idx, and of the drawn one `person`, `role`,
        `seat`, `pitch`, `yaw`, `smile`, `mouth_open` (names with `drawn_` before them)."""
        drawn = {frame["frame_idx"]: frame["faces"] for frame in self.truth(video)["frames"]}
        rows = []
        for found in self.store.read("face_detections", video).iter_rows(named=True):
            box = Box(*(found[name] for name in ("x1", "y1", "x2", "y2")))
            each = ((box.iou(Box(*one["box"])), one) for one in drawn.get(found["frame_idx"], ()))
            overlap, face = max(each, key=lambda pair: pair[0], default=(0.0, {}))
            if overlap >= SAME_FACE:
                rows.append((found["face_id"], found["frame_idx"], *_told(face)))
        return pl.DataFrame(rows, schema=_FACES, orient="row")

    def tracks(self, video: str) -> pl.DataFrame:
        """track_id, and by most of its faces the `drawn_person`, `drawn_role`, `drawn_seat`."""
        return self._most(video, "face_tracks", "track_id")

    def seats(self, video: str) -> dict[str, int]:
        """The seat of each drawn rider of a video."""
        faces = (face for frame in self.truth(video)["frames"] for face in frame["faces"])
        return {face["person"]: face["seat"] for face in faces if face["role"] == RIDER}

    def riders(self, video: str) -> dict[int, str]:
        """The drawn person that most faces of each rider (person_id) are."""
        found = self._most(video, "face_landmarks", "person_id")
        return dict(found.select("person_id", "drawn_person").iter_rows())

    def _most(self, video: str, table: str, of: str) -> pl.DataFrame:
        whose = self.store.read(table, video, ("face_id", of)).drop_nulls()
        who = ("drawn_person", "drawn_role", "drawn_seat")
        counted = self.faces(video).join(whose, on="face_id").group_by(of, *who).len()
        ordered = counted.sort("len", "drawn_person", descending=[True, False])
        return ordered.group_by(of, maintain_order=True).first().drop("len").sort(of)


_FACES = {
    "face_id": pl.String,
    "frame_idx": pl.Int64,
    "drawn_person": pl.String,
    "drawn_role": pl.String,
    "drawn_seat": pl.Int64,
    "drawn_pitch": pl.Float64,
    "drawn_yaw": pl.Float64,
    "drawn_smile": pl.Float64,
    "drawn_mouth": pl.Float64,
}


def _told(face: Mapping[str, Any]) -> tuple[Any, ...]:
    pitch, yaw, _ = map(float, face["pose"])
    looks = (pitch, yaw, float(face["smile"]), float(face["mouth_open"]))
    return (face["person"], face["role"], face["seat"], *looks)


def _name(video: str) -> str:
    return video.rpartition("-")[0]


def counted(values: Counter[str]) -> str:
    """Counts in words, the commonest first."""
    return ", ".join(f"{n} {name}" for name, n in values.most_common()) or "none"
