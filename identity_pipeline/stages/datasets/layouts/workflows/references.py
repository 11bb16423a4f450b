"""Short ordered lists of pictures for editors that are shown whom to draw.

What belongs here: which picture comes first, the folders, and the mosaic of views. What does not:
choosing the pictures (`core.datasets`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from identity_pipeline.core.geometry import Box
from identity_pipeline.stages.datasets.facing import FRONTAL, degrees, first_of
from identity_pipeline.stages.datasets.layouts.files import put
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Person, Picture

if TYPE_CHECKING:
    from identity_pipeline.media.crops import ImageBGR

LISTS: Final = (1, 3, 8)
TILE_PX, MOSAIC_QUALITY = 512, 92
TILE_EXPAND: Final = 2.2
"""Side of a place of the mosaic over the longer side of the face: heads are as large as another."""
GRIDS: Final = (3, 2)
"""Sides of the mosaic, the largest that can be filled."""
VIEWS: Final = {"yaw": (-30.0, 0.0, 30.0), "pitch": (12.0, 0.0, -12.0)}
"""Where the middle of a column and of a row of the mosaic lies, in degrees: the nose to the left,
to the camera, to the right; up, level, down."""

EDITORS: Final = (
    ("FLUX.2 max, pro, flex (API)", "8", "docs.bfl.ai, Editing overview"),
    ("FLUX.2 dev", "6 recommended", "docs.bfl.ai, Editing overview"),
    ("FLUX.2 klein", "4", "docs.bfl.ai, Editing overview"),
    ("GPT image models", "16, each below 50 MB", "OpenAI API reference, images/edits"),
    (
        "Gemini 2.5 Flash Image",
        "3 at best",
        "docs.cloud.google.com, Gemini image generation limits",
    ),
    ("Gemini 3 Pro Image", "14", "docs.cloud.google.com, Gemini image generation limits"),
    ("Qwen-Image-Edit", "3", "docs.comfy.org, QwenImageEditApi"),
)


class References:
    """See the module."""

    name: str = "references"
    sentence: str = "The best 1, 3 and 8 pictures in order, and a mosaic of views, for editors"
    # 384 px: Qwen-Image-Edit's encoder scales every reference to that many squared. 112 px: below
    # it a recogniser is shown an enlarged face.
    limits: Limits = Limits(
        most=9,
        short_side_px=384,
        face_px=112,
        detect_at=(640, 320),
        eyes_open=True,
        portraits=1,
    )

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes `{person}/best-{n}/` and `mosaics/{person}.jpg`."""
        files: dict[str, list[str]] = defaultdict(list)
        for person in dataset.people:
            shown = in_order(dataset.of(person))
            for count in LISTS:
                for place, picture in enumerate(shown[:count], 1):
                    name = f"{person.slug}/best-{count}/{place:02d}.jpg"
                    files[picture.key].append(put(root, name, picture.jpeg))
            self._mosaic(root, person, shown, files)
        return {key: tuple(places) for key, places in files.items()}

    def _mosaic(
        self, root: Path, person: Person, shown: Sequence[Picture], files: dict[str, list[str]]
    ) -> None:
        from identity_pipeline.media.crops import encode_jpeg

        side = next((side for side in GRIDS if side**2 <= len(shown)), None)
        if side is None:
            return
        cells = by_view(shown, side)
        pixels = np.concatenate(
            [np.concatenate([_tile(picture) for picture in row], axis=1) for row in cells]
        )
        place = put(root, f"mosaics/{person.slug}.jpg", encode_jpeg(pixels, MOSAIC_QUALITY))
        for picture in (picture for row in cells for picture in row):
            files[picture.key].append(place)

    def usage(self, dataset: Dataset) -> str:
        """How an editor is pointed at it."""
        first = dataset.people[0].slug
        rows = "\n".join(f"| {name} | {count} | {source} |" for name, count, source in EDITORS)
        return f"""Give the editor one folder, its pictures in the order of their numbers:
`{first}/best-1` where it takes one, `{first}/best-3` where few, `{first}/best-8` where many. The
first is the best frontal one; the next two show both sides where there are such; then the best of
the rest.

`mosaics/{first}.jpg` is one picture of several views, for editors that take a single one: columns
from the nose to the left over the camera to the right, rows from up to down. It lies outside the
folders, so that nobody takes it for a picture of one face. With fewer than nine pictures it has
four, with fewer than four there is none.

| editor | references | as stated by |
|---|---|---|
{rows}
"""


def in_order(pictures: Sequence[Picture]) -> list[Picture]:
    """The order in which pictures are shown: one frontal, one of each side, then the rest.

    Every beginning of it is a good short list. Within each kind the better rank is first.

    Args:
        pictures: of one person, the best first.
    """
    if not pictures:
        return []
    chosen = [first_of(pictures)]
    for sign in (-1, 1):
        chosen += [one for one in _turned(pictures, sign) if one not in chosen][:1]
    return chosen + [picture for picture in pictures if picture not in chosen]


def _turned(pictures: Sequence[Picture], sign: int) -> list[Picture]:
    """Those in which the nose points to one side."""
    return [p for p in pictures if sign * (degrees(p, "yaw") or 0.0) > FRONTAL]


def by_view(pictures: Sequence[Picture], side: int) -> list[list[Picture]]:
    """The first side x side pictures as rows of a mosaic, each near its view.

    Every picture gets one place, so that the angles between pictures and the middles of their
    places are least in all (the Hungarian method). An unmeasured angle is near everything.

    Args:
        pictures: at least side x side.
        side: 2 or 3.
    """
    from scipy.optimize import linear_sum_assignment

    middle = slice(None) if side == 3 else slice(None, None, 2)
    yaws, pitches = VIEWS["yaw"][middle], VIEWS["pitch"][middle]
    cells = [(yaw, pitch) for pitch in pitches for yaw in yaws]
    shown = list(pictures[: side * side])
    costs = [[_away(picture, *cell) for picture in shown] for cell in cells]
    _, taken = linear_sum_assignment(np.array(costs))
    placed = [shown[n] for n in taken]
    return [placed[n : n + side] for n in range(0, side * side, side)]


def _away(picture: Picture, yaw: float, pitch: float) -> float:
    angles = ((degrees(picture, "yaw"), yaw), (degrees(picture, "pitch"), pitch))
    return sum(abs(angle - middle) for angle, middle in angles if angle is not None)


def _tile(picture: Picture) -> ImageBGR:
    """The head in a square of `TILE_PX`, as much of it as the picture has."""
    from identity_pipeline.media.crops import cut, decode_image

    pixels = decode_image(picture.jpeg)
    height, width = pixels.shape[:2]
    side = min(height, width, round(TILE_EXPAND * picture.face.longer_side))
    left, top = (
        int(np.clip(round(middle - side / 2), 0, room - side))
        for middle, room in zip(picture.face.centre, (width, height), strict=True)
    )
    return cut(pixels, Box(left, top, left + side, top + side), TILE_PX, TILE_PX)
