"""Every layout of a trainer is read back: by its real reader, or by the rules of its code."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from PIL import Image

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.stages.datasets.layouts.trainers import TRAINERS
from identity_pipeline.stages.datasets.layouts.trainers.records import COLUMNS, MEASURED
from identity_pipeline.stages.datasets.pictures import Dataset, Layout, Person, Picture, Source
from identity_pipeline_tests import loaders
from identity_pipeline_tests.loaders import Sample

ADA: Final = Person("0d9a1c52-3a5e-4a35-8a58-0f3f6f0c1a01", "Ada Sol", "ada-sol", "ada", "person")
VAL: Final = Person(
    *("7c1d2e34-5b6f-4c7d-9e8f-1a2b3c4d5e02", 'Zoë "Val" O\'Neil/Ωβ', "val"),
    *('zoë "v" ${HOME} #1', "person: \\n"),
)
"""Whom loaders could trip on: quotes, letters beyond ASCII, a slash, a slug that names a split."""
RIDE: Final = Source("solo-00000001", "ride", "ab" * 32, "2026-05-01", "human")
LATER: Final = Source("duo-00000002", "ride", "cd" * 32, None, "auto")
STILLS: Final = Source("photos-ada-00000003", "photos", "ef" * 32, "2026-06-01", "human")
BY_NAME: Final = {layout.name: layout for layout in TRAINERS}
Dress = Callable[[Path], list[Sample]]


def picture(person: Person, rank: int, source: Source = RIDE, **measured: Any) -> Picture:
    """A plain square, another one each time."""
    side = 320 + 16 * rank
    shade = (40 * rank + 11 * len(person.slug)) % 255
    pixels = np.full((side, side, 3), shade, np.uint8)
    return Picture(
        key=f"{person.slug}_{rank:03d}",
        person=person,
        source=source,
        face_id=f"{rank:06d}-0",
        frame_idx=rank,
        timestamp_ms=40.0 * rank if source.kind == "ride" else None,
        role="anchor",
        rank=rank,
        split="validation" if source is LATER else "train",
        variant=None,
        jpeg=encode_jpeg(pixels, 90),
        width=side,
        height=side,
        face=Box(100, 90, 200, 230),
        key_points=np.arange(10, dtype=np.float32).reshape(5, 2),
        measured={"yaw": 3.5 * rank, "quality_score": 0.1, "eyes": "open", "stable": True}
        | measured,
    )


def dataset(*people: Person, captioned: bool = True, repeats: int = 3) -> Dataset:
    """Of everybody two pictures of a ride, one photograph, and one of a ride that is held back."""
    pictures = []
    for person in people:
        pictures += [
            picture(person, 1, yaw=40.0, occlusion=0.0),
            picture(person, 2, yaw=2.0, pitch=1.25),
            picture(person, 3, STILLS, yaw=float("nan"), smile=None),
            picture(person, 4, LATER),
        ]
    captions = {
        one.key: f'photo of {one.person.token} {one.person.class_word}, "{one.rank}", naïve'
        for one in pictures
    }
    return Dataset(people, pictures, captions if captioned else {}, repeats=repeats)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Dataset], Path]:
    """Writes a layout into a folder, in which its loader is then started."""

    def written(name: str, given: Dataset) -> Path:
        root = tmp_path / "export" / name
        root.mkdir(parents=True)
        files = BY_NAME[name].write(root, given)
        assert files.keys() == {one.key for one in given.pictures}
        assert all((root / file).is_file() for own in files.values() for file in own)
        # What the export itself adds: no loader takes it for a picture of the person.
        (root / "about").mkdir()
        Image.new("RGB", (40, 40)).save(root / "about" / "sheet.jpg")
        for text in ("manifest.json", "README.md", "about/index.html"):
            (root / text).write_text("{}", encoding="utf-8")
        monkeypatch.chdir(root)
        return root

    return written


def expected(given: Dataset, *, held_back: bool, captioned: bool = True) -> dict[str, str]:
    """Captions of what should be read, by the stem of the file."""
    return {
        one.key: given.captions[one.key] if captioned else given.prompt_of(one.person)
        for one in given.pictures
        if held_back or one.split == "train"
    }


def as_read(samples: list[Sample]) -> dict[str, str]:
    assert len({sample.image for sample in samples}) == len(samples)
    assert all(len(sample.captions) == 1 for sample in samples)
    return {Path(sample.image).stem: sample.captions[0] for sample in samples}


LOADERS: Final[dict[str, tuple[str, Callable[[str], list[Sample]], bool]]] = {
    "kohya": ("dataset_config.toml", loaders.kohya, False),
    "musubi": ("dataset_config.toml", loaders.musubi, False),
    "ai-toolkit": ("ai_toolkit.yaml", loaders.ai_toolkit, False),
    "onetrainer": ("concepts.json", loaders.onetrainer, True),
    "simpletuner": ("multidatabackend.json", loaders.simpletuner, True),
}
"""Of each: its configuration, its reader, and whether that reads what is held back too."""


@pytest.mark.parametrize("captioned", [True, False])
@pytest.mark.parametrize("name", LOADERS)
def test_a_trainer_finds_every_picture_its_caption_and_how_often(
    write: Callable[[str, Dataset], Path], name: str, captioned: bool
) -> None:
    given = dataset(ADA, VAL, captioned=captioned)
    write(name, given)
    config, read, all_splits = LOADERS[name]
    samples = read(config)
    assert as_read(samples) == expected(given, held_back=all_splits, captioned=captioned)
    held_back = {one.key for one in given.pictures if one.split == "validation"}
    for sample in samples:
        assert sample.held_back == (Path(sample.image).stem in held_back)
        assert sample.times == (1 if sample.held_back else 3)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_same_pictures_give_the_same_bytes_and_paths_that_can_be_moved(
    tmp_path: Path, name: str
) -> None:
    written = []
    for place in ("one", "two"):
        root = tmp_path / place
        root.mkdir()
        BY_NAME[name].write(root, dataset(ADA, VAL))
        files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
        assert not any(str(tmp_path).encode() in data for data in files.values())
        written.append(files)
    assert written[0] == written[1]
    assert not any("embedding" in name or name.startswith("e_vis") for name in COLUMNS)


@pytest.mark.parametrize("name", BY_NAME)
def test_folders_of_pictures_hold_nothing_but_pictures_and_their_texts(
    write: Callable[[str, Dataset], Path], name: str
) -> None:
    root = write(name, dataset(ADA, VAL))
    beside = {
        "diffusers": {".jpg"},
        "imagefolder": {".jpg", ".jsonl"},
        "onetrainer": {".jpg", ".txt", ".png"},
        "webdataset": {".tar"},
    }.get(name, {".jpg", ".txt"})
    folders = [place for place in root.iterdir() if place.is_dir()]
    of_pictures = [f for f in folders if f.name in ("train", "images", "instance", "validation")]
    assert of_pictures
    endings = {path.suffix for f in of_pictures for path in f.rglob("*") if path.is_file()}
    assert endings == beside


def test_scripts_of_diffusers_open_every_entry_of_a_persons_folder(
    write: Callable[[str, Dataset], Path],
) -> None:
    given = dataset(ADA, VAL)
    root = write("diffusers", given)
    for person in given.people:
        found = loaders.diffusers(f"instance/{person.slug}")
        assert [Path(file).stem for file in found] == [
            one.key for one in given.of(person) if one.split == "train"
        ]
        prompt = (root / "prompts" / f"{person.slug}.txt").read_text(encoding="utf-8")
        assert prompt == f"photo of {person.token} {person.class_word}\n"
    usage = BY_NAME["diffusers"].usage(given)
    assert "--instance_prompt='photo of ada person'" in usage
    assert "${HOME}" in usage and '"${HOME}' not in usage  # no shell puts anything in its place


def test_kohya_reads_the_folders_without_a_configuration_too(
    write: Callable[[str, Dataset], Path],
) -> None:
    write("kohya", dataset(ADA, VAL))
    assert loaders.kohya_folders("train") == {
        "train/3_ada person": (3, "ada person"),
        "train/3_val": (3, "val"),  # whose token is no name of a folder
    }
    samples = loaders.kohya("dataset_config_validation.toml")
    assert [Path(one.image).stem for one in samples if one.held_back] == [
        *("ada-sol_004", "val_004"),
    ]


def test_two_people_with_one_token_do_not_share_a_folder(
    write: Callable[[str, Dataset], Path],
) -> None:
    other = Person(VAL.person_id, "Other Ada", VAL.slug, "Ada", "person")
    write("kohya", dataset(ADA, other))
    assert set(loaders.kohya_folders("train")) == {"train/3_ada-sol", "train/3_val"}
    assert len(as_read(loaders.kohya("dataset_config.toml"))) == 6


def test_musubi_gets_pairs_from_the_best_frontal_picture_to_the_others(
    write: Callable[[str, Dataset], Path], tmp_path: Path
) -> None:
    given = dataset(ADA, VAL)
    write("musubi", given)
    pairs = loaders.musubi("pairs_config.toml")
    assert {(Path(one.image).stem, Path(str(one.control)).stem) for one in pairs} == {
        ("ada-sol_001", "ada-sol_002"),
        ("ada-sol_003", "ada-sol_002"),
        ("val_001", "val_002"),
        ("val_003", "val_002"),
    }
    assert all(one.captions == (given.captions[Path(one.image).stem],) for one in pairs)
    alone = tmp_path / "alone"
    alone.mkdir()
    BY_NAME["musubi"].write(alone, Dataset([ADA], [picture(ADA, 1)]))
    assert not (alone / "pairs.jsonl").exists() and not (alone / "pairs_config.toml").exists()
    assert "pairs_config" not in BY_NAME["musubi"].usage(Dataset([ADA], [picture(ADA, 1)]))


def test_a_mask_is_white_where_the_measured_head_is(
    write: Callable[[str, Dataset], Path],
) -> None:
    write("onetrainer", dataset(ADA))
    with Image.open(loaders.mask_of(Path("images/ada-sol/ada-sol_001.jpg"))) as mask:
        white = np.asarray(mask) == 255
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    assert white.sum() == len(rows) * len(columns)
    # face 100 to 200, 90 to 230: `core.geometry.head_box`, cut off at the picture
    assert (columns[0], columns[-1] + 1) == (51, 249)
    assert (rows[0], rows[-1] + 1) == (41, 265)


@pytest.mark.parametrize("captioned", [True, False])
def test_the_command_for_onetrainer_makes_paths_absolute(
    write: Callable[[str, Dataset], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    captioned: bool,
) -> None:
    given = dataset(ADA, VAL, captioned=captioned)
    root = write("onetrainer", given)
    home = tmp_path / "onetrainer"
    (home / "training_concepts").mkdir(parents=True)
    command = BY_NAME["onetrainer"].usage(given).split("\n\n")[1]
    subprocess.run(["bash", "-c", command.replace("ONETRAINER", str(home))], cwd=root, check=True)
    monkeypatch.chdir(home)
    samples = loaders.onetrainer("training_concepts/concepts.json")
    assert as_read(samples) == expected(given, held_back=True, captioned=captioned)


def test_simpletuner_deletes_nothing_though_the_command_line_says_so(
    write: Callable[[str, Dataset], Path],
) -> None:
    root = write("simpletuner", dataset(ADA))
    assert len(loaders.simpletuner("multidatabackend.json", delete=True)) == 4
    assert len(list(root.glob("*/ada-sol/*.jpg"))) == 4
    backends = json.loads((root / "multidatabackend.json").read_text(encoding="ascii"))
    for backend in backends[:-1]:
        assert backend["delete_unwanted_images"] is backend["delete_problematic_images"] is False
        del backend["delete_unwanted_images"], backend["minimum_image_size"]
    (root / "multidatabackend.json").write_text(json.dumps(backends), encoding="ascii")
    loaders.simpletuner("multidatabackend.json", delete=True)
    assert not list(root.glob("*/ada-sol/*.jpg"))  # so it would have


@pytest.mark.parametrize("captioned", [True, False])
def test_hugging_face_datasets_read_columns_types_and_splits(
    write: Callable[[str, Dataset], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    captioned: bool,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets

    given = dataset(ADA, VAL, captioned=captioned)
    root = write("imagefolder", given)
    loaded: Any = datasets.load_dataset(
        "imagefolder", data_dir=str(root), cache_dir=str(tmp_path / "cache")
    )
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 6, "validation": 2}
    for split, rows in loaded.items():
        features = rows.features
        assert {name: str(features[name].dtype) for name in ("yaw", "rank", "stable", "eyes")} == {
            **{"yaw": "float64", "rank": "int64", "stable": "bool", "eyes": "string"},
        }
        assert "null" not in repr(features)
        assert ("text" in features) == captioned
        assert "pitch" not in features  # nobody measured it in what is held back
        by_key = {one.key: one for one in given.pictures if one.split == split}
        assert set(rows["key"]) == by_key.keys()
        for row in rows:
            told = by_key[row["key"]]
            assert row["image"].size == (told.width, told.height)
            assert row["person"] == told.person.name and row["token"] == told.person.token
            assert row["face"] == list(told.face)
            assert not captioned or row["text"] == given.captions[told.key]
            assert row["yaw"] is None if told.rank == 3 else row["yaw"] is not None
    whole = pl.read_parquet(root / "columns.parquet")
    assert whole.schema == {"file_name": pl.String, **COLUMNS}
    assert whole.filter(key="ada-sol_002")["pitch"].item() == 1.25
    assert whole["pitch"].null_count() == 6 and whole["smile"].dtype == pl.Float64
    assert all((root / file).is_file() for file in whole["file_name"])


def test_numbers_are_told_to_the_digits_that_they_have_and_vectors_are_not() -> None:
    assert {"yaw", "smile", "expression_bin", "occlusion"} <= MEASURED.keys()
    assert not MEASURED.keys() & {"e_vis_face", "e_vis_body", "look", "strict_fails", "crop_x1"}


@pytest.mark.parametrize("captioned", [True, False])
def test_webdataset_reads_shards_by_person(
    write: Callable[[str, Dataset], Path], monkeypatch: pytest.MonkeyPatch, captioned: bool
) -> None:
    from webdataset.compat import WebDataset

    monkeypatch.setattr("identity_pipeline.stages.datasets.layouts.trainers.webdataset.SHARD", 2)
    given = dataset(ADA, VAL, captioned=captioned)
    root = write("webdataset", given)
    shards = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.tar"))
    assert shards == [
        *("train/ada-sol-000000.tar", "train/ada-sol-000001.tar", "train/val-000000.tar"),
        *("train/val-000001.tar", "validation/ada-sol-000000.tar", "validation/val-000000.tar"),
    ]
    opened = "{train/ada-sol-{000000..000001}.tar,train/val-{000000..000001}.tar}"
    assert f'WebDataset("{opened}"' in BY_NAME["webdataset"].usage(given)
    opened_shards: Any = WebDataset(opened, shardshuffle=False).decode("pil")
    samples = list(opened_shards)
    assert [sample["__key__"] for sample in samples] == [
        one.key for one in given.pictures if one.split == "train"
    ]
    for sample, told in zip(
        samples, (p for p in given.pictures if p.split == "train"), strict=True
    ):
        assert sample["jpg"].size == (told.width, told.height)
        assert sample["json"]["person"] == told.person.name
        assert sample["json"]["pitch"] == (1.25 if told.rank == 2 else None)
        assert sample.get("txt") == (given.captions[told.key] if captioned else None)
    with tarfile.open(root / shards[0]) as shard:
        assert {entry.mtime for entry in shard} == {0}


@pytest.mark.parametrize("layout", TRAINERS, ids=lambda layout: layout.name)
def test_the_way_to_use_it_is_told_of_everybody_and_of_one(layout: Layout) -> None:
    assert layout.sentence and "\n" not in layout.sentence
    for people in ((ADA,), (ADA, VAL)):
        usage = layout.usage(dataset(*people))
        assert usage.endswith("\n") and "{" not in usage.replace("${HOME}", "").replace(
            "{train", ""
        )
