"""What the layouts of trainers share: folders of pictures, captions beside them, sizes, texts.

What belongs here: what is the same for several consumers. What does not: any consumer's rules.

Paths in configurations are relative to the root of the export, and every trainer is started there:
each of them takes a relative path from the folder that it was started in, so that an export can be
moved or copied to another machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from identity_pipeline.stages.datasets.layouts.files import put
from identity_pipeline.stages.datasets.pictures import Dataset, Person, Picture, Split

Files = dict[str, tuple[str, ...]]
"""Of each picture by its key, relative to the root."""
FOLDERS: Final[Mapping[Split, str]] = {"train": "images", "validation": "validation"}
"""What the folder of everybody's pictures of a split is called, where no loader wants a name."""
STEP: Final = 64
"""Sides of training pictures are multiples of it: `bucket_reso_steps` of kohya-ss/sd-scripts."""
LARGEST: Final = 1024
"""What SDXL, Flux and Qwen-Image are trained at."""
SMALLEST: Final = 256
"""`min_bucket_reso` of kohya-ss/sd-scripts."""


def write_pictures(
    root: Path, folder: str, pictures: Iterable[Picture], captions: Mapping[str, str]
) -> Files:
    """Writes pictures into a folder, and a `.txt` beside each one that has a caption.

    Args:
        root: of the export.
        folder: relative to it; made where there is a picture.
        pictures: of anybody; their keys are unique.
        captions: by key.
    """
    files: Files = {}
    for picture in pictures:
        stem = f"{folder}/{picture.key}"
        places = [put(root, f"{stem}.jpg", picture.jpeg)]
        if picture.key in captions:
            places.append(put(root, f"{stem}.txt", f"{captions[picture.key]}\n".encode()))
        files[picture.key] = tuple(places)
    return files


def parts(dataset: Dataset, split: Split) -> list[tuple[Person, list[Picture]]]:
    """Everybody who has pictures in a split, with them, the best first."""
    found = [
        (person, [p for p in dataset.of(person) if p.split == split]) for person in dataset.people
    ]
    return [(person, pictures) for person, pictures in found if pictures]


def all_captions(dataset: Dataset) -> dict[str, str]:
    """Of loaders that pass over a picture without a caption: its own, or the person's prompt."""
    return {picture.key: dataset.caption_of(picture) for picture in dataset.pictures}


def training_side(dataset: Dataset) -> int:
    """Side in pixels of a square of the area that pictures are trained at.

    Half of the pictures are at least as large, so that few are enlarged; at most what current
    models are trained at. A multiple of 64.
    """
    sides = [(picture.width * picture.height) ** 0.5 for picture in dataset.pictures]
    usual = median(sides) if sides else LARGEST
    return int(min(max(usual, SMALLEST), LARGEST)) // STEP * STEP


def title(people: Sequence[Person]) -> str:
    """A dataset's name in configurations: the slugs of those in it."""
    return "+".join(person.slug for person in people)


def toml_text(value: str | float | bool) -> str:
    """A value of TOML: JSON's form of texts, numbers and truths is TOML's too.

    But for U+007F, which TOML wants escaped.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_lines(values: Mapping[str, str | float | bool]) -> list[str]:
    """Lines `name = value`."""
    return [f"{name} = {toml_text(value)}" for name, value in values.items()]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of text."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON in plain ASCII; keys in the order given.

    OneTrainer opens it in the system's own encoding, which is not everywhere UTF-8.
    """
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="ascii")
