"""WebDataset: tar files of samples, one run of them per person and split.

Read from `webdataset/tariterators.py` (`base_plus_ext`, `tar_file_iterator`, `group_by_keys`) and
`shardlists.py`:

- A sample's key is its name up to the first dot; files of a sample stand side by side. Keys have no
  dots, and no name begins and ends with two underscores, which would be passed over.
- All samples have the same files: `jpg`, `json`, and `txt` where there are captions.
- Shards of a person are numbered, so that `{slug}-{000000..000003}.tar` names them all.

What is unmeasured is null in a sample's record. The reader of that name in Hugging Face `datasets`
guesses types from the first five samples and then refuses a number where they had null: the layout
`imagefolder` is for it.

The same pictures give the same bytes: times, owners and rights in the tar files are fixed.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from identity_pipeline.stages.datasets.layouts.trainers.folders import Files, parts
from identity_pipeline.stages.datasets.layouts.trainers.records import record_of
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Picture

SHARD: Final = 1000
"""Samples in a shard, at most. Chosen: one shard for a person, as long as there is no limit to
`datasets.count`."""


class WebDataset:
    """What `webdataset.WebDataset` and `load_dataset("webdataset", ...)` read."""

    name: str = "webdataset"
    sentence: str = "WebDataset: tar files of a person's pictures, records and captions"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `train/SLUG-000000.tar` and on, and `validation/` likewise."""
        files: Files = {}
        for split in ("train", "validation"):
            for person, pictures in parts(dataset, split):
                for number, start in enumerate(range(0, len(pictures), SHARD)):
                    shard = f"{split}/{person.slug}-{number:06d}.tar"
                    (root / split).mkdir(exist_ok=True)
                    some = pictures[start : start + SHARD]
                    _write_shard(root / shard, some, dataset)
                    files |= dict.fromkeys((picture.key for picture in some), (shard,))
        return files

    def usage(self, dataset: Dataset) -> str:
        """How the shards are opened."""
        shards = [
            f"train/{_braces(person.slug, len(pictures))}"
            for person, pictures in parts(dataset, "train")
        ]
        opened = shards[0] if len(shards) == 1 else "{" + ",".join(shards) + "}"
        return f"""\
In this folder:

    import webdataset

    pictures = webdataset.WebDataset("{opened}", shardshuffle=False).decode("pil")

Each sample has `jpg`, `json` (all that was measured; null is unmeasured), and `txt` where there are
captions. `validation/`, where there is one, holds sources of which no picture is in `train/`.
For Hugging Face `datasets` export `--for imagefolder`: its reader of these files wants no nulls.
"""


def _braces(slug: str, count: int) -> str:
    """The name of all shards of so many samples, which the reader unfolds."""
    last = (count - 1) // SHARD
    return f"{slug}-000000.tar" if last == 0 else f"{slug}-{{000000..{last:06d}}}.tar"


def _write_shard(path: Path, pictures: Sequence[Picture], dataset: Dataset) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
        for picture in pictures:
            for ending, data in _sample(picture, dataset):
                entry = tarfile.TarInfo(f"{picture.key}.{ending}")
                entry.size, entry.mode = len(data), 0o644
                shard.addfile(entry, io.BytesIO(data))


def _sample(picture: Picture, dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """Endings and contents of a sample's files."""
    yield "jpg", picture.jpeg
    record = json.dumps(record_of(picture, dataset), ensure_ascii=False, allow_nan=False)
    yield "json", record.encode()
    if picture.key in dataset.captions:
        yield "txt", dataset.captions[picture.key].encode()
