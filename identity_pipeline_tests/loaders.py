"""Loaders of trainers as their code reads a folder, from the rules that the layouts cite.

Each is started in the export's root, as the layouts say, and returns what would be trained.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

KOHYA = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif"}
ONETRAINER = {".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Sample:
    """One training picture.

    Attributes:
        image: its file, relative to the export.
        captions: those that it may be trained with.
        times: it is shown in an epoch.
        held_back: it is for validation.
        control: of editing models, what it is made from.
    """

    image: str
    captions: tuple[str, ...]
    times: int
    held_back: bool = False
    control: str | None = None


def open_image(path: str | Path) -> None:
    """Opens a file as every loader does, to its last pixel."""
    with Image.open(path) as image:
        image.convert("RGB").load()


def _flat(folder: str, endings: set[str]) -> list[Path]:
    found = [path for path in Path(folder).iterdir() if path.suffix.lower() in endings]
    for path in found:
        open_image(path)
    return sorted(found)


def _walked(folder: str, endings: set[str]) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        for file in sorted(files):
            if Path(file).suffix.lower() in endings and not file.startswith("."):
                open_image(Path(place) / file)
                yield Path(place) / file


def _lines(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    return tuple(
        line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    )


def diffusers(folder: str) -> list[str]:
    """`DreamBoothDataset`: every entry is opened."""
    entries = list(Path(folder).iterdir())
    for entry in entries:
        open_image(entry)
    return sorted(entry.as_posix() for entry in entries)


KOHYA_GENERAL = {"enable_bucket", "bucket_no_upscale", "caption_extension", "flip_aug"}
KOHYA_DATASET = {"resolution", "batch_size", "subsets"}
KOHYA_SUBSET = {"image_dir", "class_tokens", "num_repeats", "validation_split"}


def kohya(config: str) -> list[Sample]:
    """`load_user_config`, and `load_dreambooth_dir` of each subset; unknown keys are refused."""
    told = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    assert told.keys() == {"general", "datasets"} and told["general"].keys() <= KOHYA_GENERAL
    samples = []
    for dataset in told["datasets"]:
        assert dataset.keys() <= KOHYA_DATASET
        for subset in dataset["subsets"]:
            assert subset.keys() <= KOHYA_SUBSET and subset["num_repeats"] >= 1
            for image in _flat(subset["image_dir"], KOHYA):
                beside = image.with_suffix(told["general"]["caption_extension"])
                said = beside.read_text(encoding="utf-8").splitlines() if beside.exists() else None
                caption = subset["class_tokens"] if said is None else said[0].strip()
                held_back = subset.get("validation_split", 0.0) == 1.0
                samples.append(
                    Sample(image.as_posix(), (caption,), subset["num_repeats"], held_back)
                )
    return samples


def kohya_folders(train_data_dir: str) -> dict[str, tuple[int, str]]:
    """`generate_dreambooth_subsets_config_by_subdirs`: repeats and class tokens by folder."""
    found = {}
    for folder in sorted(Path(train_data_dir).iterdir()):
        number, *rest = folder.name.split("_")
        found[folder.as_posix()] = (int(number), "_".join(rest))
    return found


MUSUBI_KEYS = {
    *("resolution", "caption_extension", "batch_size", "enable_bucket", "bucket_no_upscale"),
    *("num_repeats", "image_directory", "cache_directory", "image_jsonl_file"),
}


def musubi(config: str) -> list[Sample]:
    """`ImageDirectoryDatasource` and `ImageJsonlDatasource` of each data set."""
    told = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    assert told["general"].keys() <= MUSUBI_KEYS
    caches = [dataset["cache_directory"] for dataset in told["datasets"]]
    assert len(set(caches)) == len(caches)
    samples = []
    for dataset in told["datasets"]:
        assert dataset.keys() <= MUSUBI_KEYS
        times = dataset["num_repeats"]
        if "image_jsonl_file" in dataset:
            samples += _musubi_lines(dataset["image_jsonl_file"], times)
            continue
        ending = told["general"]["caption_extension"]
        for image in _flat(dataset["image_directory"], KOHYA):
            beside = image.with_suffix(ending)
            if beside.exists():  # passed over without a word otherwise
                caption = beside.read_text(encoding="utf-8").strip()
                samples.append(Sample(image.as_posix(), (caption,), times))
    return samples


def _musubi_lines(file: str, times: int) -> list[Sample]:
    samples = []
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        data = json.loads(line)
        for name in ("image_path", "control_path_0"):
            open_image(data[name])
        samples.append(
            Sample(data["image_path"], (data["caption"],), times, control=data["control_path_0"])
        )
    return samples


def ai_toolkit(config: str) -> list[Sample]:
    """`get_config`, and `AiToolkitDataset` of each folder."""
    text = Path(config).read_text(encoding="utf-8")
    assert not re.search(r"\$\{[^}]+\}", text)  # an error where it is not in the environment
    job: dict[str, Any] = yaml.safe_load(text)
    assert job["job"] == "extension" and job["config"]["name"]
    samples = []
    for dataset in job["config"]["process"][0]["datasets"]:
        assert not dataset["flip_x"]
        for image in _walked(dataset["folder_path"], {".jpg", ".jpeg", ".png", ".webp"}):
            beside = image.with_suffix(f".{dataset['caption_ext']}")
            said = beside.read_text(encoding="utf-8") if beside.exists() else ""
            caption = " ".join(said.split()) or dataset["default_caption"]
            samples.append(Sample(image.as_posix(), (caption,), dataset["num_repeats"]))
    return samples


def onetrainer(config: str) -> list[Sample]:
    """`CollectPaths` and `LoadMultipleTexts` of each concept; masks fit their pictures."""
    samples = []
    for concept in json.loads(Path(config).read_text(encoding="ascii")):
        assert concept["enabled"] and not concept["include_subdirectories"]
        assert not concept["image"]["enable_random_flip"]
        text = concept["text"]
        for image in _flat(concept["path"], ONETRAINER):
            if image.stem.endswith(("-masklabel", "-condlabel")):
                continue
            with Image.open(image) as picture, Image.open(mask_of(image)) as mask:
                assert mask.mode == "L" and mask.size == picture.size
            beside = image.with_suffix(".txt")
            source = beside if text["prompt_source"] == "sample" else Path(text["prompt_path"])
            held_back = concept["type"] == "VALIDATION"
            assert held_back == concept["validation_concept"]
            times = int(concept["balancing"])
            samples.append(Sample(image.as_posix(), _lines(source) or ("",), times, held_back))
    return samples


def mask_of(image: Path) -> Path:
    """`ModifyPath`."""
    return image.with_name(f"{image.stem}-masklabel.png")


def simpletuner(config: str, *, delete: bool = True) -> list[Sample]:
    """`LocalDataBackend` and `DiscoveryMetadataBackend` of each backend.

    Args:
        config: its file.
        delete: what the command line says of deleting, and that all pictures are too small.
    """
    backends = json.loads(Path(config).read_text(encoding="ascii"))
    texts = [one for one in backends if one["dataset_type"] == "text_embeds"]
    assert len(texts) == 1 and texts[0]["default"] and texts[0]["cache_dir"]
    assert len({one["id"] for one in backends}) == len(backends)
    samples = []
    for backend in backends:
        if backend["dataset_type"] == "text_embeds":
            continue
        for image in list(_walked(backend["instance_data_dir"], ONETRAINER)):
            with Image.open(image) as picture:
                small = min(picture.size) < backend.get("minimum_image_size", 10**6)
            if small:
                if backend.get("delete_unwanted_images", delete):
                    image.unlink()
                continue
            strategy = backend["caption_strategy"]
            captions = (
                _lines(image.with_suffix(".txt"))
                if strategy == "textfile"
                else (backend["instance_prompt"],)
            )
            held_back = backend["dataset_type"] == "eval"
            times = backend.get("repeats", 0) + 1
            samples.append(Sample(image.as_posix(), captions, times, held_back))
    return samples
