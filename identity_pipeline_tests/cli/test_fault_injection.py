"""Each small file of one video, damaged in each way: every other video goes on, and no traceback.

A damaged table is its video's failure: the library is computed without it and says so, decisions
on it stay in the ledger, and everything is as before when the file is back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import DAMAGED, FailureNotes
from identity_pipeline_tests.curated_library import PINS, call, write_rides

FILES = (
    "registry/{}.json",
    "tables/track_templates/{}.parquet",
    "tables/track_templates/{}.manifest.json",
    "tables/face_tracks/{}.parquet",
    "tables/face_detections/{}.parquet",
    "tables/frames/{}.parquet",
)
DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "truncated": lambda path, other: path.write_bytes(path.read_bytes()[:-60]),
    "empty": lambda path, other: path.write_bytes(b""),
    "junk": lambda path, other: path.write_bytes(bytes(range(256))),
    "object": lambda path, other: path.write_bytes(b"{}"),
    "exchanged": lambda path, other: shutil.copyfile(other, path),
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A curated library: Ada is named in ride-b, Bob in ride-a."""
    root = tmp_path_factory.mktemp("library")
    write_rides(root)
    call(root, "recluster")
    one, other, *_ = ids_of(root)
    call(root, "label", f"{other}:1", "--name", "Ada")
    call(root, "label", f"{one}:2", "--name", "Bob")
    call(root, "recluster")
    return root


def ids_of(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "data" / "registry").glob("*.json"))


def told(root: Path, *arguments: str) -> str:
    """What a command says on the library; it may refuse, but never end in a traceback."""
    command = [*arguments, "--data", str(root / "data")]
    result = CliRunner().invoke(cli, command, env=PINS)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert "unforeseen" not in result.output, result.output
    return result.output


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_one_damaged_file_of_one_video_stops_no_other(
    pristine: Path, tmp_path: Path, file: str, damage: str
) -> None:
    root = tmp_path
    shutil.copytree(pristine / "data", root / "data", symlinks=True)
    one, hurt, third, fourth = ids_of(root)
    path, other = (root / "data" / file.format(video) for video in (hurt, one))
    DAMAGES[damage](path, other)
    os.utime(path, ns=(1, 1))
    listed = told(root, "videos", "--all")
    assert all(video in listed for video in (one, hurt, third, fourth))
    assert "Ada" in told(root, "people") and "Bob" in told(root, "people")
    told(root, "plan")
    told(root, "explain", f"{third}:2")
    said = told(root, "recluster")
    if "track_templates" in file:
        assert f"without {hurt}" in said
        note = FailureNotes(Layout(root / "data")).get(hurt)
        assert (
            note is not None and note.code == DAMAGED and "identity-pipeline run" in note.sentence
        )
        assert "damaged:" in told(root, "videos", "--all")
        assert "damaged" in told(root, "label", f"{hurt}:1", "--name", "Eve")
    assert "person Dora" in told(root, "label", f"{fourth}:1", "--name", "Dora")
    told(root, "undo", "last")
    assert "Ada" in told(root, "people")
    shutil.copyfile(pristine / "data" / file.format(hurt), path)
    told(root, "recluster")
    assert f"{hurt}:1 is person Ada" in told(root, "explain", f"{hurt}:1")
    assert FailureNotes(Layout(root / "data")).get(hurt) is None
