"""Images and boxes of faces in COCO's format, for annotation tools and detectors.

What belongs here: the annotation file, and what it says of a face. What does not: viewers that read
it with more (`fiftyone`).

The category is `face`; who it is, is an attribute. The five key points of the detector are not in
COCO's `keypoints`: that asks of each point whether it is visible, which was not measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from identity_pipeline.core.geometry import Box
from identity_pipeline.stages.datasets.layouts.files import put
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Picture
from identity_pipeline.storage.files import atomic

CATEGORY: Final = {"id": 1, "name": "face", "supercategory": "person"}
MEASURED: Final = (
    *("yaw", "pitch", "roll", "yaw_camera", "pitch_camera", "quality_score", "occlusion"),
    *("eyes", "mouth_open", "smile", "expression_bin", "occlusion_bin", "lighting_bin"),
)
"""Columns of `candidates` that become attributes where they were measured."""


class Coco:
    """See the module."""

    name: str = "coco"
    sentence: str = "Images and face boxes in COCO's format; the person is an attribute"
    # Whoever else is in a picture does not matter to who reads boxes, but the person must be there.
    limits: Limits = Limits(one_face=False, splits=True)

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes `images/{split}/` and `annotations/instances_{split}.json`."""
        splits: dict[str, list[Picture]] = defaultdict(list)
        for picture in dataset.pictures:
            splits[picture.split].append(picture)
        files: dict[str, tuple[str, ...]] = {}
        for split, pictures in splits.items():
            for picture in pictures:
                place = f"images/{split}/{picture.key}.jpg"
                files[picture.key] = (put(root, place, picture.jpeg),)
            made = described(pictures, dataset.captions, nested=True)
            put(root, f"annotations/instances_{split}.json", atomic.json_bytes(made))
        return files

    def usage(self, dataset: Dataset) -> str:
        """How tools are pointed at it."""
        told = 'COCO("annotations/instances_train.json").anns[1]["attributes"]["person"]'
        return f"""`images/` and `annotations/` are read by anything that reads COCO:

    python -c 'from pycocotools.coco import COCO; print({told})'

In CVAT make a task of `images/train`, with the label `face` and the text attributes `person` and
`person_id`, and upload `annotations/instances_train.json` as COCO 1.0. The category is `face`; who
it is stands in the attribute `person`. `face_key_points` are the detector's eyes, nose and corners
of the mouth (x, y each). COCO's own `keypoints` are left out, since nobody measured which of them
are hidden. Validation is of other rides than training; its file is there where there are such.
"""


def described(
    pictures: Sequence[Picture], captions: Mapping[str, str], *, nested: bool
) -> dict[str, Any]:
    """The annotation file of pictures.

    Args:
        pictures: in the order of their ids.
        captions: by key.
        nested: attributes below `attributes`, as CVAT and Datumaro read them; else beside the box,
            as FiftyOne does.
    """
    return {
        "info": {"description": "Faces of people", "version": "1"},
        "licenses": [],
        "categories": [CATEGORY],
        "images": [
            {
                "id": n,
                "file_name": f"{picture.key}.jpg",
                "width": picture.width,
                "height": picture.height,
                **({"caption": captions[picture.key]} if picture.key in captions else {}),
            }
            for n, picture in enumerate(pictures, 1)
        ],
        "annotations": [_annotation(n, one, nested=nested) for n, one in enumerate(pictures, 1)],
    }


def _annotation(n: int, picture: Picture, *, nested: bool) -> dict[str, Any]:
    box = picture.face.intersection(Box(0, 0, picture.width, picture.height))
    said = attributes(picture)
    points = [round(float(value), 2) for value in picture.key_points.reshape(-1)]
    return {
        "id": n,
        "image_id": n,
        "category_id": CATEGORY["id"],
        "bbox": [round(v, 2) for v in (box.x1, box.y1, box.width, box.height)],
        "area": round(box.area, 2),
        "segmentation": [],
        "iscrowd": 0,
        **({"attributes": said, "face_key_points": points} if nested else said),
    }


def attributes(picture: Picture) -> dict[str, str | float | bool]:
    """What is said of a face: who it is, where it is from, and what was measured."""
    measured = {name: picture.measured.get(name) for name in MEASURED}
    told = {
        "person": picture.person.name,
        "person_id": picture.person.person_id,
        "origin": picture.source.origin,
        "source": picture.source.source_id,
        "source_kind": picture.source.kind,
        "frame": picture.frame_idx,
        "role": picture.role,
        "rank": picture.rank,
        "look": picture.variant,
        **measured,
    }
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in told.items()
        if value is not None
    }
