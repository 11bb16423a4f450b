"""kohya-ss/sd-scripts: folders with captions, and `dataset_config.toml`.

Read from `library/train_util.py` (`glob_images`, `DreamBoothDataset`) and `library/config_util.py`:

- `image_dir` is not walked: pictures in folders below it are not seen. Any .jpg, .png, .webp or
  .bmp in it is a training picture.
- A caption is the first line of the file with the picture's stem and `caption_extension`, which is
  `.caption` unless it is set; an empty one is an error. Where there is none, `class_tokens` is the
  caption, and without that the empty text.
- With `--train_data_dir` instead of a configuration, folders below it are named
  `{repeats}_{class tokens}`; the folders here are called so, and serve for both.
- A folder with less than one repeat, or without a picture, is passed over.
- `bucket_no_upscale` leaves small pictures as they are; sides are cut to multiples of 64, and
  `min_bucket_reso` is 256, which is the least short side here.
- A folder whose `validation_split` is 1.0 is all validation (its page Validation Loss). Versions
  before that refuse the key, so it is in a configuration of its own.
- Paths that are not absolute are taken from the folder in which the script was started.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    SMALLEST,
    Files,
    parts,
    title,
    toml_lines,
    training_side,
    write_lines,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Person, Split

CONFIG: Final = "dataset_config.toml"
WITH_VALIDATION: Final = "dataset_config_validation.toml"


class Kohya:
    """What `--dataset_config` and `--train_data_dir` read."""

    name: str = "kohya"
    sentence: str = "kohya-ss/sd-scripts: folders with captions, dataset_config.toml"
    limits: Limits = Limits(short_side_px=SMALLEST, splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `train/`, `validation/`, and the configuration."""
        files: Files = {}
        for split in ("train", "validation"):
            for person, pictures in parts(dataset, split):
                folder = _folder(person, dataset, split)
                files |= write_pictures(root, folder, pictures, dataset.captions)
        write_lines(root / CONFIG, _config(dataset, ("train",)))
        if parts(dataset, "validation"):
            write_lines(root / WITH_VALIDATION, _config(dataset, ("train", "validation")))
        return files

    def usage(self, dataset: Dataset) -> str:
        """The command, and what else reads the folders."""
        name = shlex.quote(title([person for person, _ in parts(dataset, "train")]))
        validation = (
            f"""
`{WITH_VALIDATION}` also names `validation/`, sources of which no picture is trained; sd-scripts
that know `validation_split` report its loss.
"""
            if parts(dataset, "validation")
            else ""
        )
        return f"""\
In this folder:

    accelerate launch SD_SCRIPTS/sdxl_train_network.py --dataset_config={CONFIG} \\
      --pretrained_model_name_or_path=MODEL.safetensors --network_module=networks.lora \\
      --output_dir=.. --output_name={name}

Paths in `{CONFIG}` are taken from the folder in which the command is started. Without it,
`--train_data_dir=train --caption_extension=.txt` reads the same pictures as often. Keep `flip_aug`
off: a mirrored face is another face, and captions say left and right.
{validation}"""


def _folder(person: Person, dataset: Dataset, split: Split) -> str:
    """`train/{repeats}_{token} {class word}`; the slug where those are no folder's name."""
    own = _words(person)
    alike = [one for one in dataset.people if _words(one).casefold() == own.casefold()]
    is_name = re.fullmatch(r"[\w-]+( [\w-]+)*", own) is not None and len(alike) == 1
    repeats = dataset.repeats if split == "train" else 1
    return f"{split}/{repeats}_{own if is_name else person.slug}"


def _words(person: Person) -> str:
    return f"{person.token} {person.class_word}"


def _config(dataset: Dataset, splits: Sequence[Split]) -> list[str]:
    lines = [
        "[general]",
        *toml_lines(
            {
                "enable_bucket": True,
                "bucket_no_upscale": True,
                "caption_extension": ".txt",
                "flip_aug": False,
            }
        ),
        "",
        "[[datasets]]",
        *toml_lines({"resolution": training_side(dataset), "batch_size": 1}),
    ]
    for split in splits:
        for person, _ in parts(dataset, split):
            trained = split == "train"
            lines += [
                "",
                "[[datasets.subsets]]",
                *toml_lines(
                    {
                        "image_dir": _folder(person, dataset, split),
                        "class_tokens": dataset.prompt_of(person),
                        "num_repeats": dataset.repeats if trained else 1,
                        **({} if trained else {"validation_split": 1.0}),
                    }
                ),
            ]
    return lines
