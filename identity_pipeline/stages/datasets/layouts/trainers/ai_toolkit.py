"""ostris/ai-toolkit: a folder per person with captions, and a job in YAML.

Read from `toolkit/data_loader.py` (`AiToolkitDataset`), `toolkit/dataloader_mixins.py`,
`toolkit/config_modules.py` (`DatasetConfig`), `toolkit/config.py` and `toolkit/buckets.py`:

- `folder_path` is walked to its end: every .jpg, .jpeg, .png or .webp below it is trained, but for
  names that begin with a dot and folders called `_controls`. So it names a person's folder.
- A caption is the whole `.txt` beside a picture, its commas being separators; where there is none,
  `default_caption`.
- Pictures are not enlarged: a smaller one gets the bucket of its own area.
- Sizes (`.aitk_size.json`) and latents are written into the folder.
- `${NAME}` in the job is replaced from the environment and is an error where it is not set, so a
  `${` is escaped.
- Paths that are not absolute are taken from the folder in which `run.py` was started.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    FOLDERS,
    Files,
    parts,
    title,
    training_side,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits

CONFIG: Final = "ai_toolkit.yaml"


class AiToolkit:
    """What `run.py` reads."""

    name: str = "ai-toolkit"
    sentence: str = "ostris/ai-toolkit: folders with captions, a job in YAML"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `images/`, `validation/`, and the job."""
        files: Files = {}
        for split, folder in FOLDERS.items():
            for person, pictures in parts(dataset, split):
                files |= write_pictures(root, f"{folder}/{person.slug}", pictures, dataset.captions)
        (root / CONFIG).write_text(_yaml(_job(dataset)), encoding="utf-8")
        return files

    def usage(self, dataset: Dataset) -> str:
        """The command."""
        return f"""\
In this folder:

    python AI_TOOLKIT/run.py {CONFIG}

Paths are taken from the folder in which the command is started. Model, steps and rank in `{CONFIG}`
are those of ai-toolkit's own example for Flux on 24 GB; change them to yours. It writes sizes and
latents among the pictures. `validation/`, where there is one, is not read: it holds sources of
which no picture is trained. Keep `flip_x` off: a mirrored face is another face.
"""


def _job(dataset: Dataset) -> dict[str, Any]:
    """A whole job; numbers of training are those of `config/examples/train_lora_flux_24gb.yaml`."""
    people = [person for person, _ in parts(dataset, "train")]
    folders = [
        {
            "folder_path": f"images/{person.slug}",
            "caption_ext": "txt",
            "default_caption": dataset.prompt_of(person),
            "caption_dropout_rate": 0.05,
            "shuffle_tokens": False,
            "cache_latents_to_disk": True,
            "num_repeats": dataset.repeats,
            "flip_x": False,
            "resolution": [training_side(dataset)],
        }
        for person in people
    ]
    process = {
        "type": "sd_trainer",
        "training_folder": "../output",
        "device": "cuda:0",
        "network": {"type": "lora", "linear": 16, "linear_alpha": 16},
        "save": {"dtype": "float16", "save_every": 250, "max_step_saves_to_keep": 4},
        "datasets": folders,
        "train": {
            "batch_size": 1,
            "steps": 2000,
            "gradient_accumulation_steps": 1,
            "train_unet": True,
            "train_text_encoder": False,
            "gradient_checkpointing": True,
            "noise_scheduler": "flowmatch",
            "optimizer": "adamw8bit",
            "lr": 0.0001,
            "dtype": "bf16",
        },
        "model": {
            "name_or_path": "black-forest-labs/FLUX.1-dev",
            "is_flux": True,
            "quantize": True,
        },
        "sample": {
            "sampler": "flowmatch",
            "sample_every": 250,
            "width": 1024,
            "height": 1024,
            "prompts": [dataset.prompt_of(person) for person in people],
            "seed": 42,
            "guidance_scale": 4,
            "sample_steps": 20,
        },
    }
    return {"job": "extension", "config": {"name": f"{title(people)}-lora", "process": [process]}}


def _yaml(job: dict[str, Any]) -> str:
    """The job with every text in double quotes, in which a `${` can be escaped."""
    import yaml

    class Quoted(yaml.SafeDumper):
        """Writes texts in double quotes."""

    Quoted.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'),
    )
    text = yaml.dump(job, Dumper=Quoted, allow_unicode=True, sort_keys=False, width=10_000)
    return text.replace("${", "\\x24{")
