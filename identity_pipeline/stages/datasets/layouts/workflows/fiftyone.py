"""Pictures for FiftyOne: a COCO dataset as it imports one, with tags, and the lines that load it.

What belongs here: the folder and its script. What does not: the annotations (`coco`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from identity_pipeline.stages.datasets.layouts.files import put
from identity_pipeline.stages.datasets.layouts.workflows.coco import described
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Picture
from identity_pipeline.storage.files import atomic

LOAD: Final = '''"""Loads this folder into FiftyOne and opens its app: python load.py"""

import json
from pathlib import Path

import fiftyone as fo

here = Path(__file__).resolve().parent
tags = json.loads((here / "tags.json").read_text(encoding="utf-8"))
kind = fo.types.COCODetectionDataset
people = fo.Dataset.from_dir(dataset_dir=str(here), dataset_type=kind, label_types="detections")
for sample in people.iter_samples(autosave=True):
    sample.tags.extend(tags[Path(sample.filepath).name])
if __name__ == "__main__":
    fo.launch_app(people).wait()
'''


class FiftyOne:
    """See the module."""

    name: str = "fiftyone"
    sentence: str = "A dataset for FiftyOne with boxes and tags, and the script that loads it"
    limits: Limits = Limits(one_face=False, splits=True)

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes `data/`, `labels.json`, `tags.json` and `load.py`."""
        pictures = list(dataset.pictures)
        made = described(pictures, dataset.captions, nested=False)
        put(root, "labels.json", atomic.json_bytes(made))
        tags = {f"{picture.key}.jpg": tags_of(picture) for picture in pictures}
        put(root, "tags.json", atomic.json_bytes(tags))
        put(root, "load.py", LOAD.encode())
        return {p.key: (put(root, f"data/{p.key}.jpg", p.jpeg),) for p in pictures}

    def usage(self, dataset: Dataset) -> str:
        """How FiftyOne is pointed at it."""
        return """With `fiftyone` installed:

    python load.py

loads `data/` and `labels.json` as a COCODetectionDataset,
sets the tags of `tags.json` (person, split, role, look, kind of source), and opens the app. Who a
face is, and what was measured of it, are attributes of its box.
"""


def tags_of(picture: Picture) -> list[str]:
    """What the pictures are filtered by."""
    told = (picture.person.slug, picture.split, picture.role, picture.variant, picture.source.kind)
    return [tag for tag in told if tag is not None]
