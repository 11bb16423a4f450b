"""bghira/SimpleTuner: folders with captions, and `multidatabackend.json`.

Read from `simpletuner/helpers/data_backend/config/image.py` and `local.py`,
`metadata/backends/discovery.py` and `base.py`, and `documentation/DATALOADER.md`:

- `instance_data_dir` is walked to its end, and every picture below it is trained.
- A picture below `minimum_image_size` is left out, and with `delete_unwanted_images` its file is
  deleted; with `delete_problematic_images` one that cannot be opened. Each of the three, where a
  data set does not say it, is what the command line says. So all three are said here: nothing is
  deleted, and there is no minimum, which the export has seen to.
- `textfile` reads the `.txt` beside a picture, each line a caption of its own; `instanceprompt`
  needs `instance_prompt`.
- Pictures of one aspect that are fewer than a batch, repeats counted, are left out.
- `repeats` counts how often a picture is shown *again*: 0 is once.
- Nothing but a data set of `text_embeds` that is the default can hold the texts.
- Sizes are written into the folder as JSON. Paths that are not absolute are taken from the folder
  in which it was started.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    FOLDERS,
    Files,
    parts,
    training_side,
    write_json,
    write_pictures,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Person, Split

CONFIG: Final = "multidatabackend.json"


class SimpleTuner:
    """What `--data_backend_config` reads."""

    name: str = "simpletuner"
    sentence: str = "SimpleTuner: folders with captions, multidatabackend.json that deletes nothing"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `images/`, `validation/`, and the backends."""
        files: Files = {}
        backends: list[dict[str, Any]] = []
        for split, folder in FOLDERS.items():
            for person, pictures in parts(dataset, split):
                path = f"{folder}/{person.slug}"
                files |= write_pictures(root, path, pictures, dataset.captions)
                backends.append(_backend(person, path, split, dataset))
        backends.append(
            {
                "id": "texts",
                "type": "local",
                "dataset_type": "text_embeds",
                "default": True,
                "cache_dir": "cache/text",
            }
        )
        write_json(root / CONFIG, backends)
        return files

    def usage(self, dataset: Dataset) -> str:
        """The command."""
        return f"""\
In this folder, with SimpleTuner installed and its `config/config.json` written by
`simpletuner configure`:

    simpletuner train --data_backend_config={CONFIG}

Paths are taken from the folder in which the command is started; caches are written to `cache/`, and
sizes among the pictures. `{CONFIG}` says that nothing is deleted; left to the command line,
`--delete_unwanted_images` with a minimum size would delete these files.
"""


def _backend(person: Person, path: str, split: Split, dataset: Dataset) -> dict[str, Any]:
    captions = (
        {"caption_strategy": "textfile"}
        if dataset.captions
        else {
            "caption_strategy": "instanceprompt",
            "instance_prompt": dataset.prompt_of(person),
        }
    )
    trained = split == "train"
    return {
        "id": f"{person.slug}-{split}",
        "type": "local",
        "dataset_type": "image" if trained else "eval",
        "instance_data_dir": path,
        **captions,
        "resolution": training_side(dataset),
        "resolution_type": "pixel_area",
        "crop": False,
        "minimum_image_size": 0,
        "delete_unwanted_images": False,
        "delete_problematic_images": False,
        "cache_dir_vae": f"cache/vae/{person.slug}-{split}",
        **({"repeats": dataset.repeats - 1} if trained else {}),
    }
