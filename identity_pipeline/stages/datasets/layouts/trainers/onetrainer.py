"""Nerogar/OneTrainer: folders with captions and masks, and `concepts.json`.

Read from `modules/dataLoader/mixin/DataLoaderText2ImageMixin.py`,
`modules/util/config/ConceptConfig.py`, `DataLoaderMgdsMixin.py` and `path_util.py` there, and from
`CollectPaths.py` and `LoadMultipleTexts.py` of Nerogar/mgds:

- Every .bmp, .jpg, .jpeg, .png, .tif, .tiff or .webp of a concept's folder is trained, but for
  stems that end in `-masklabel` and `-condlabel`; folders below it only with
  `include_subdirectories`.
- With the prompt source `sample`, each line of the `.txt` beside a picture is a caption of its own,
  one of which is drawn; without the file the caption is empty. With `concept` the lines of one file
  are.
- A mask is `{stem}-masklabel.png`, white where it is trained; it is looked at only where masked
  training is on.
- Pictures are mirrored at random unless that is turned off, which it is here.
- A validation concept is told by `type` (before that by `validation_concept`); what is not known is
  passed over, so both are written.
- The file is opened in the system's own encoding: it is plain ASCII.
- Paths that are not absolute are taken from the folder in which OneTrainer was started.

Masks: the head as the rest of the package reckons it from the measured box of the face
(`core.geometry.head_box`). What hair or helmet really covers was not measured, so it is a box and
no outline.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from identity_pipeline.core.geometry import head_box
from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    FOLDERS,
    Files,
    parts,
    training_side,
    write_json,
    write_lines,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Person, Picture, Split

CONFIG: Final = "concepts.json"
MASK: Final = "-masklabel.png"
SEED: Final = 0
"""Of a concept's order and crops; without it OneTrainer draws another one each time."""


class OneTrainer:
    """What OneTrainer's concepts read."""

    name: str = "onetrainer"
    sentence: str = "OneTrainer: folders with captions and masks of the head, concepts.json"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `images/`, `validation/`, prompts where there are no captions, and concepts."""
        files: Files = {}
        concepts = []
        for split, folder in FOLDERS.items():
            for person, pictures in parts(dataset, split):
                path = f"{folder}/{person.slug}"
                written = write_pictures(root, path, pictures, dataset.captions)
                for picture in pictures:
                    mask = f"{path}/{picture.key}{MASK}"
                    (root / mask).write_bytes(head_mask(picture))
                    written[picture.key] += (mask,)
                files |= written
                concepts.append(_concept(person, path, split, dataset))
        for person in dataset.people if not dataset.captions else ():
            prompts = root / "prompts"
            prompts.mkdir(exist_ok=True)
            write_lines(prompts / f"{person.slug}.txt", [dataset.prompt_of(person)])
        write_json(root / CONFIG, concepts)
        return files

    def usage(self, dataset: Dataset) -> str:
        """The commands, and how the paths become absolute."""
        return f"""\
OneTrainer takes paths from its own folder, so give it a copy with the place of this one, made in
this folder:

    sed "s#: \\"\\(images\\|validation\\|prompts\\)/#: \\"$PWD/\\1/#" {CONFIG} \\
      > ONETRAINER/training_concepts/concepts.json

Then open it under Concepts, or train without the window, with a configuration that names it:

    cd ONETRAINER && python scripts/train.py --config-path CONFIG.json

Resolution: {training_side(dataset)}. Masks hold the head as a box reckoned from the measured face;
they are looked at only with masked training on. Validation, where there is one, is a concept of its
own: sources of which no picture is trained.
"""


def head_mask(picture: Picture) -> bytes:
    """A PNG of the picture's size in one channel: white in the head's box, black elsewhere."""
    from PIL import Image

    mask = Image.new("L", (picture.width, picture.height), 0)
    head = head_box(picture.face)
    left, top = max(0, round(head.x1)), max(0, round(head.y1))
    right, bottom = min(picture.width, round(head.x2)), min(picture.height, round(head.y2))
    mask.paste(255, (left, top, right, bottom))
    kept = io.BytesIO()
    mask.save(kept, "PNG")
    return kept.getvalue()


def _concept(person: Person, path: str, split: Split, dataset: Dataset) -> dict[str, Any]:
    held_back = split == "validation"
    captioned = bool(dataset.captions)
    return {
        "name": f"{person.slug} {split}",
        "path": path,
        "seed": SEED,
        "enabled": True,
        "type": "VALIDATION" if held_back else "STANDARD",
        "validation_concept": held_back,
        "include_subdirectories": False,
        "balancing": 1.0 if held_back else float(dataset.repeats),
        "balancing_strategy": "REPEATS",
        "image": {"enable_random_flip": False, "enable_crop_jitter": False},
        "text": {
            "prompt_source": "sample" if captioned else "concept",
            "prompt_path": "" if captioned else f"prompts/{person.slug}.txt",
        },
    }
