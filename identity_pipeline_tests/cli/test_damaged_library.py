"""A damaged file of the library in force is said, and `recluster` mends it; nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import asked, call, in_force, write_rides


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations; Ada is known in the second, and the other cluster keeps its number."""
    root = tmp_path_factory.mktemp("named")
    write_rides(root)
    call(root, "recluster")
    call(root, "label", "cluster", "1", "--name", "Ada")
    call(root, "recluster")
    return root


@pytest.fixture
def root(named: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(named, tmp_path / "copy", symlinks=True))


def cut(folder: Path) -> None:
    path = folder / "person_assignments.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def exchange(folder: Path) -> None:
    """By hand, with the table of the generation before."""
    earlier = min(folder.parent.glob("0*"))
    shutil.copy(earlier / "person_assignments.parquet", folder / "person_assignments.parquet")


def lose_a_table(folder: Path) -> None:
    (folder / "person_assignments.parquet").unlink()


def lose_a_manifest(folder: Path) -> None:
    (folder / "person_assignments.manifest.json").unlink()


def spoil_the_note(folder: Path) -> None:
    (folder / "generation.json").write_bytes(b"[]")


def lose_the_note(folder: Path) -> None:
    (folder / "generation.json").unlink()


def lose_it_all(folder: Path) -> None:
    shutil.rmtree(folder)


WAYS = (
    cut,
    exchange,
    lose_a_table,
    lose_a_manifest,
    spoil_the_note,
    lose_the_note,
    lose_it_all,
)


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_it_is_said_and_mended(root: Path, damage: Callable[[Path], None]) -> None:
    generations = Generations(Layout(root / "data"))
    before = in_force_rows(root)
    damage(generations.link.resolve())
    said = " ".join(call(root, "explain", "ride-a:1", code=1).split())
    assert "recluster" in said and "unforeseen" not in said
    call(root, "recluster")
    assert in_force_rows(root) == before
    assert [person["name"] for person in asked(root, "people")] == ["Ada"]
    call(root, "label", "cluster", "2", "--name", "Bea")


def in_force_rows(root: Path) -> list[tuple[object, ...]]:
    """Who each track is, and in which cluster."""
    table = in_force(TableStore(Layout(root / "data")))["person_assignments"]
    return sorted(table.select("track_key", "person_id", "cluster_id").iter_rows())
