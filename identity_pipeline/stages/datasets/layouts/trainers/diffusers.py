"""DreamBooth scripts of `diffusers`: a folder with nothing but pictures, one prompt for all.

Read from `examples/dreambooth/train_dreambooth_lora.py` and its sisters for SDXL, SD 3 and Flux,
class `DreamBoothDataset`: every entry of `--instance_data_dir` (`Path.iterdir`) is opened as a
picture; a text, a sheet, a folder or a hidden file there ends the training with an error. There is
no recursion, no captions are read (`--instance_prompt` holds for all), and pictures of any size are
resized and cropped to `--resolution`. One person is trained at a time; everybody has a folder.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    Files,
    parts,
    training_side,
    write_lines,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits


class Diffusers:
    """What `--instance_data_dir` reads."""

    name: str = "diffusers"
    sentence: str = "DreamBooth scripts of diffusers: a folder of nothing but pictures, one prompt"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `instance/SLUG/`, `validation/SLUG/`, and `prompts/SLUG.txt` beside them."""
        files: Files = {}
        for person, pictures in parts(dataset, "train"):
            files |= write_pictures(root, f"instance/{person.slug}", pictures, {})
            prompts = root / "prompts"
            prompts.mkdir(exist_ok=True)
            write_lines(prompts / f"{person.slug}.txt", [dataset.prompt_of(person)])
        for person, pictures in parts(dataset, "validation"):
            files |= write_pictures(root, f"validation/{person.slug}", pictures, {})
        return files

    def usage(self, dataset: Dataset) -> str:
        """A command for each person."""
        commands = [
            f"""\
    accelerate launch DIFFUSERS/examples/dreambooth/train_dreambooth_lora_sdxl.py \\
      --pretrained_model_name_or_path=stabilityai/stable-diffusion-xl-base-1.0 \\
      --instance_data_dir={shlex.quote(f"instance/{person.slug}")} \\
      --instance_prompt={shlex.quote(dataset.prompt_of(person))} \\
      --resolution={training_side(dataset)} --output_dir={shlex.quote(f"../lora-{person.slug}")}
"""
            for person, _ in parts(dataset, "train")
        ]
        return (
            "In this folder:\n\n"
            + "\n".join(commands)
            + """
These scripts open every entry of the folder as a picture and know one prompt for all of them, so
there are no captions in it; for scripts that read captions export `--for imagefolder`. Keep
`--random_flip` off: a mirrored face is another face. `validation/`, where there is one, is not
read: it holds sources of which no picture is trained.
"""
        )
