"""kohya-ss/musubi-tuner: folders with captions and cache folders, and pairs for editing models.

Read from `src/musubi_tuner/dataset/config_utils.py`, `datasources.py` and `media_utils.py`:

- `image_directory` is not walked. With `caption_extension`, a picture without a caption is passed
  over without a word, and without it there are no captions to open: every picture has one here.
- Every data set needs a `cache_directory` of its own; two that share one are refused. Without it
  the cache lies among the pictures.
- Lines of an `image_jsonl_file` are `image_path`, `caption`, and for editing models
  `control_path_0` and on; where one line has a control, all must. Keys that are not known are
  refused in TOML.
- Paths that are not absolute are taken from the folder in which the script was started.

Pairs: the person's best frontal picture is the control, every other one the target, under the
target's caption. There is no validation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from identity_pipeline.stages.datasets.facing import first_of
from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    SMALLEST,
    Files,
    all_captions,
    parts,
    toml_lines,
    training_side,
    write_lines,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits

CONFIG: Final = "dataset_config.toml"
PAIRS: Final = "pairs.jsonl"
PAIRS_CONFIG: Final = "pairs_config.toml"


class Musubi:
    """What `--dataset_config` reads."""

    name: str = "musubi"
    sentence: str = "kohya-ss/musubi-tuner: TOML with cache folders, and pairs for editing models"
    limits: Limits = Limits(short_side_px=SMALLEST, splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `images/`, `validation/`, and the configurations."""
        captions, files = all_captions(dataset), {}
        for person, pictures in parts(dataset, "validation"):
            files |= write_pictures(root, f"validation/{person.slug}", pictures, captions)
        config = _general(dataset)
        for person, pictures in parts(dataset, "train"):
            files |= write_pictures(root, f"images/{person.slug}", pictures, captions)
            config += [
                "",
                "[[datasets]]",
                *toml_lines(
                    {
                        "image_directory": f"images/{person.slug}",
                        "cache_directory": f"cache/{person.slug}",
                        "num_repeats": dataset.repeats,
                    }
                ),
            ]
        write_lines(root / CONFIG, config)
        _write_pairs(root, dataset, captions)
        return files

    def usage(self, dataset: Dataset) -> str:
        """The three commands."""
        pairs = (
            f"""
`{PAIRS_CONFIG}` is for editing models (`flux_kontext_…`, `qwen_image_…` with an edit model): from
the person's best frontal picture to each of the others.
"""
            if _pairs(dataset, {})
            else ""
        )
        return f"""\
In this folder, `MUSUBI` being `src/musubi_tuner` of its repository:

    python MUSUBI/qwen_image_cache_latents.py --dataset_config {CONFIG} --vae VAE
    python MUSUBI/qwen_image_cache_text_encoder_outputs.py --dataset_config {CONFIG} \\
      --text_encoder TEXT_ENCODER
    accelerate launch MUSUBI/qwen_image_train_network.py --dataset_config {CONFIG} --dit DIT \\
      --vae VAE --text_encoder TEXT_ENCODER --network_module networks.lora_qwen_image \\
      --output_dir .. --output_name lora

Paths are taken from the folder in which the commands are started; caches are written to `cache/`.
{pairs}
`validation/`, where there is one, is not read: it holds sources of which no picture is trained.
"""


def _general(dataset: Dataset) -> list[str]:
    return [
        "[general]",
        *toml_lines(
            {
                "resolution": training_side(dataset),
                "caption_extension": ".txt",
                "batch_size": 1,
                "enable_bucket": True,
                "bucket_no_upscale": True,
            }
        ),
    ]


def _write_pairs(root: Path, dataset: Dataset, captions: dict[str, str]) -> None:
    """The pairs and their configuration, where anybody has two pictures."""
    pairs = _pairs(dataset, captions)
    if not pairs:
        return
    write_lines(root / PAIRS, (json.dumps(pair, ensure_ascii=False) for pair in pairs))
    lines = [
        *_general(dataset),
        "",
        "[[datasets]]",
        *toml_lines(
            {
                "image_jsonl_file": PAIRS,
                "cache_directory": "cache/pairs",
                "num_repeats": dataset.repeats,
            }
        ),
    ]
    write_lines(root / PAIRS_CONFIG, lines)


def _pairs(dataset: Dataset, captions: dict[str, str]) -> list[dict[str, Any]]:
    pairs = []
    for person, pictures in parts(dataset, "train"):
        reference = first_of(pictures)
        pairs += [
            {
                "image_path": f"images/{person.slug}/{picture.key}.jpg",
                "control_path_0": f"images/{person.slug}/{reference.key}.jpg",
                "caption": captions.get(picture.key, ""),
            }
            for picture in pictures
            if picture is not reference
        ]
    return pairs
