"""Every loader that is pointed at an export of a ride finds its images, and nothing else."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from identity_pipeline.stages.imagesets.image_meta import LINE
from identity_pipeline.stages.specs.exported import sidecar_file
from identity_pipeline_tests.exports import described_images, images_of, said_of_rider
from identity_pipeline_tests.library import VideoLibrary

RIDE = "demo_solo"
SETS = ("anchors", "coverage", "challenge")


@pytest.fixture(scope="module")
def folder(demo: VideoLibrary) -> Path:
    return demo.export(RIDE)


def walked(root: Path, *, recursive: bool = True) -> list[Path]:
    """As `os.walk` of trainers that look for images in all folders, or in one."""
    found = []
    for place, folders, files in os.walk(root):
        found += [Path(place) / file for file in files]
        if not recursive:
            folders.clear()
    return sorted(found)


@pytest.mark.parametrize("name", SETS)
def test_a_loader_that_opens_every_entry_of_a_set_opens_images(folder: Path, name: str) -> None:
    """As the scripts of diffusers do, which list a folder and open all of it."""
    entries = list((folder / "person_0" / name).iterdir())
    assert entries
    for entry in entries:
        with Image.open(entry) as picture:
            assert picture.format == "JPEG"


def test_a_loader_that_walks_a_rider_finds_all_of_that_riders_images_alone(folder: Path) -> None:
    of_rider = [file for file in images_of(folder) if file.startswith("person_0/")]
    assert walked(folder / "person_0") == [folder / file for file in of_rider]
    assert len(of_rider) == said_of_rider(folder)["total_saved"] >= 10
    assert walked(folder, recursive=False) == sorted(
        folder / name for name in ("index.html", "manifest.json", "metadata.jsonl")
    )


def test_the_page_leads_to_every_image_its_metadata_and_the_sheet(folder: Path) -> None:
    page = (folder / "index.html").read_text(encoding="utf-8")
    led = {unquote(target) for target in re.findall(r'href="([^"#]+)"', page)}
    images = images_of(folder)
    beside = {path.relative_to(folder).as_posix() for path in images.values()}
    assert led == {*images, *beside, "meta/person_0.json", "sheets/person_0.jpg"}
    assert all((folder / file).is_file() for file in led)


def test_hugging_face_datasets_read_a_rider_and_the_whole_export(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    def loaded(place: Path) -> Any:
        return datasets.load_dataset(
            "imagefolder", data_dir=str(place), split="train", cache_dir=str(tmp_path)
        )

    rider = loaded(folder / "person_0")
    names = rider.features["label"].names
    kinds = Counter(PurePosixPath(file).parts[1] for file in images_of(folder))
    assert Counter(names[label] for label in rider["label"]) == kinds
    # Below the export lies a contact sheet too, which is none of its images.
    whole = {row["metadata"]: row for row in loaded(folder)}
    told = {sidecar_file(meta["file"]): meta for _, meta in described_images(folder)}
    assert whole.keys() == told.keys()
    for place, meta in told.items():
        assert whole[place]["image"].size == tuple(meta["size_px"])
        assert [whole[place][name] for name in LINE] == [meta.get(name) for name in LINE]


def test_metadata_is_found_in_an_export_that_has_it_beside_the_images(tmp_path: Path) -> None:
    files = [{"file": "person_1/coverage/cov_a.jpg", "type": "coverage"}]
    files.append({"file": "person_1/contact_sheet.jpg", "type": "metadata"})
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 1, "files": files}))
    found = images_of(tmp_path)
    assert list(found.values()) == [tmp_path / "person_1" / "coverage" / "cov_a_meta.json"]
