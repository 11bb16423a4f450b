"""Photographs of a person: taken in, decided, taken back, stopped between, refused, watched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli import enrol as enrol_command
from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.photo_sensor import new_photos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.library.unclaimed import unclaimed
from identity_pipeline.stages.photos import enrolling
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.photos.photo_sets import PhotoSet
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import LIBRARY_TABLES
from identity_pipeline_tests.conftest import BUNDLED
from identity_pipeline_tests.library import QUIET, reused_assets

PHOTOS = BUNDLED / "photos"
RIDERS = sorted(path.name for path in PHOTOS.iterdir() if path.is_dir())
PASSING = ("sessions", "last_training", "made_of", "sources_sha256", "sha256")
"""What a profile keeps of a session that was taken back: it did take place."""


def photos(rider: int, *numbers: int) -> list[str]:
    """Some photographs of a rider."""
    files = sorted((PHOTOS / RIDERS[rider]).iterdir())
    return [str(files[n]) for n in numbers]


def call(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli, ["--data", str(root), *arguments], env={"COLUMNS": "200", "DAGSTER_HOME": ""}
    )


def said(root: Path, *arguments: str) -> str:
    result = call(root, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def stores_of(root: Path) -> LibraryStores:
    return LibraryStores.of(TableStore(Layout(root)))


STEPS = (
    "identity_pipeline.cli.enrol._Enrolment._measure",
    "identity_pipeline.stages.photos.enrolling.decide",
    "identity_pipeline.cli.enrol._Enrolment._bring_up_to_date",
)
"""Before each of them the command is stopped once."""


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a photograph is Ada's; copy it before changing anything.

    The command was stopped between any two of its steps, and given again.
    """
    root = tmp_path_factory.mktemp("ada") / "data"
    claim_data_folder(Layout(root))
    command = ("enrol", "Ada", *photos(0, 0), "--as", "Clara")
    for n, step in enumerate(STEPS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, _stopped)
            assert call(root, *command).exit_code not in (0, 1)
        assert len(stores_of(root).ledger.history().events) == (n == 2)
        assert len(stores_of(root).photos.ids()) == 1
    output = said(root, *command)
    assert "Ada: profile created, +1 new, 1 in all, session 1." in output
    assert len(stores_of(root).ledger.history().events) == 1
    return root


def _stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def copy(ada: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ada, tmp_path / "data", symlinks=True)


def library(root: Path) -> dict[str, Any]:
    """Everything that the library says, and what is in the profiles."""
    stores = stores_of(root)
    with stores.generations.open() as snapshot:
        tables = {name: snapshot.table(name).to_dicts() for name in LIBRARY_TABLES}
    profiles = {}
    for path in stores.layout.identities.glob("*/profile.json"):
        value = json.loads(path.read_bytes())
        profiles[value["person_id"]] = {k: v for k, v in value.items() if k not in PASSING}
    return {"tables": tables, "profiles": profiles}


def test_a_set_enriches_a_profile_and_undo_takes_it_back_exactly(copy: Path) -> None:
    before = library(copy)
    output = said(copy, "enrol", "ada", *photos(0, 2))
    assert "Ada: profile enriched, +1 new, 2 in all, session 2." in output
    (person,) = json.loads(said(copy, "people", "--json"))
    assert (person["photo_set_count"], person["video_count"], person["confirmed"]) == (2, 0, 2)
    assert library(copy) != before
    again = said(copy, "enrol", "Ada", *photos(0, 2))
    assert "are Ada's already" in again and "profile" not in again.lower().replace("profiles", "")
    assert len(stores_of(copy).ledger.history().events) == 2
    said(copy, "undo", "last")
    said(copy, "recluster")
    assert library(copy) == before
    # Nor does it come back as a ride where its pictures are removed and its tables are not.
    (taken_back,) = unclaimed(Layout(copy), stores_of(copy).ledger.history())
    shutil.rmtree(Layout(copy).photo_set(taken_back))
    said(copy, "recluster")
    assert library(copy) == before


def test_everything_of_a_set_is_shown_where_people_look(ada: Path) -> None:
    (event,) = stores_of(ada).ledger.history().events
    (set_id,) = stores_of(ada).photos.ids()
    assert (event.actor, event.kind) == ("Clara", "name")
    status = json.loads(said(ada, "status", "--json"))
    (shown,) = status["photo_sets"]
    assert (shown["name"], shown["state"], status["videos"]) == (set_id, "done", [])
    planned = json.loads(said(ada, "plan", "--json"))["videos"]
    assert {step["verdict"] for video in planned for step in video["steps"]} == {"reuse"}
    rows = json.loads(said(ada, "sql", "--json", "SELECT status, name FROM photos"))
    assert [row["status"] for row in rows] == ["chosen"]
    assert "photographs" in said(ada, "clean", "--dry-run")
    assert said(ada, "index", "check")


def test_pictures_of_somebody_else_are_refused_unless_one_is_sure(copy: Path) -> None:
    before, there = library(copy), stores_of(copy).photos.ids()
    refused = call(copy, "enrol", "Ada", *photos(2, 1))
    assert refused.exit_code == 1 and "far from Ada" in refused.output
    assert "--sure" in refused.output
    said(copy, "recluster")
    assert library(copy) == before
    # A set that was left over, named by its private copies, as a sentence may say.
    (left_over,) = set(stores_of(copy).photos.ids()) - set(there)
    folder = stores_of(copy).layout.photo_set(left_over)
    assert "Bea/../x, who is new" in said(copy, "enrol", "Bea/../x", str(folder))
    for_another = call(copy, "enrol", "Ada", *photos(2, 1))
    assert for_another.exit_code == 1 and "were taken in for Bea/../x" in for_another.output
    assert not (copy.parent / "x").exists()


def test_who_becomes_known_while_pictures_are_measured_is_not_made_twice(copy: Path) -> None:
    measure = enrol_command._Enrolment._measure

    def meanwhile(work: enrol_command._Enrolment, photo_set: PhotoSet) -> None:
        measure(work, photo_set)
        said(copy, "rename", "Ada", "Bea")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enrol_command._Enrolment, "_measure", meanwhile)
        said(copy, "enrol", "Bea", *photos(0, 2))
    (person,) = json.loads(said(copy, "people", "--json"))
    assert (person["name"], person["photo_set_count"]) == ("Bea", 2)


def test_what_is_not_called_like_a_picture_is_named(tmp_path: Path) -> None:
    claim_data_folder(Layout(tmp_path / "data"))
    folder = tmp_path / "holiday"
    (folder / "more").mkdir(parents=True)
    shutil.copyfile(photos(0, 0)[0], folder / "a.jpg")
    (folder / "dance.gif").write_bytes(b"GIF89a")
    told = call(tmp_path / "data", "enrol", "Ada", str(folder), "--dry-run")
    assert (
        told.exit_code == 0
        and "2 not called like pictures, left out: dance.gif, more" in told.output
    )


def test_a_set_that_is_nobodys_is_decided_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "data"
    claim_data_folder(Layout(root))
    stores_of(root).photos.register("Ada", [Path(photo) for photo in photos(2, 1, 2)])
    one_of_two = call(root, "enrol", "Bea", *photos(2, 1))
    assert one_of_two.exit_code == 1 and "decided as a whole" in one_of_two.output
    assert not stores_of(root).ledger.history().events


def test_a_backup_has_the_photographs(copy: Path, tmp_path: Path) -> None:
    said(copy, "backup", str(tmp_path / "b.zip"))
    other = tmp_path / "other"
    claim_data_folder(Layout(other))
    shutil.rmtree(other)
    said(other, "restore", str(tmp_path / "b.zip"))
    (there,), (back,) = stores_of(copy).photos.all(), stores_of(other).photos.all()
    assert there == back
    for picture in back.pictures:
        assert stores_of(other).photos.content(back, picture)
    assert next(stores_of(other).profiles.all()) == next(stores_of(copy).profiles.all())


@pytest.mark.parametrize("name", ["face.jpg", "ride.mp4"])
def test_a_photograph_is_no_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copyfile(photos(0, 0)[0], path)
    claim_data_folder(Layout(tmp_path / "data"))
    refused = call(tmp_path / "data", "run", str(path))
    assert refused.exit_code == 1
    assert "is a photograph (JPEG), not a video" in refused.output
    assert "enrol PERSON" in refused.output
    assert not list((tmp_path / "data").glob("registry/*.json"))


class Watched:
    """A data folder whose photos are watched, tick by tick."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        claim_data_folder(Layout(root))
        self.root, self.instance, self.cursor = root, instance, None
        self.defs = build_defs(SettingsResource.of(paths={"data": str(root)}))
        self.runs: list[dg.ExecuteInProcessResult] = []

    def put(self, name: str, *pictures: str) -> None:
        folder = self.root / "photos" / name
        folder.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            shutil.copyfile(picture, folder / Path(picture).name)

    def tick(self) -> str:
        """One evaluation; the runs that it asks for are done at once. What it says."""
        assert self.defs.resources
        resources = {name: self.defs.resources[name] for name in ("store", "settings")}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=resources
        ) as context:
            result = new_photos(context)
            self.cursor = getattr(result, "cursor", None) or context.cursor
        if isinstance(result, dg.SkipReason):
            return str(result.skip_message)
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions("photo_sets", request.partition_keys)
        for request in result.run_requests or []:
            job = self.defs.resolve_job_def("per_photo_set")
            self.runs.append(
                job.execute_in_process(
                    instance=self.instance,
                    partition_key=request.partition_key,
                    run_config=QUIET,
                    tags=request.tags,
                )
            )
        return ""

    def events(self) -> list[Any]:
        return list(stores_of(self.root).ledger.history().events)


@pytest.fixture
def watched(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Watched]:
    yield Watched(tmp_path / "data", instance)


def test_a_folder_of_a_name_decides_and_is_overruled_for_good(watched: Watched) -> None:
    watched.put("Bea", *photos(1, 0))
    (watched.root / "photos" / "Bea" / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    assert "1 folder still changing" in watched.tick()
    watched.tick()
    (run,) = watched.runs
    assert run.success and not any(reused_assets(run).values())
    (faces,) = run.asset_materializations_for_node("photo_faces")
    assert {"picture", "not_used", "taken_in_as"} <= faces.metadata.keys()
    assert "1 set decided" in watched.tick()
    (event,) = watched.events()
    assert (event.kind, event.actor) == ("name", "folder photos/Bea")
    assert "0 sets decided" in watched.tick() and len(watched.runs) == 1
    # Somebody takes it back: the folder does not insist.
    said(watched.root, "undo", "last", "--as", "Clara")
    watched.cursor = None
    for _ in range(3):
        watched.tick()
    assert [event.kind for event in watched.events()] == ["name", "undo"]
    assert len(watched.runs) == 1
    # All is current, so that a run would reuse it.
    job = watched.defs.resolve_job_def("per_photo_set")
    (set_id,) = stores_of(watched.root).photos.ids()
    again = job.execute_in_process(
        instance=watched.instance, partition_key=set_id, run_config=QUIET
    )
    assert all(reused_assets(again).values())


def test_names_that_are_not_utf8_hold_up_no_other_folder(watched: Watched) -> None:
    odd = os.fsdecode(b"\xff")
    watched.put(odd, *photos(0, 0))
    watched.put("Bea", *photos(1, 0))
    (watched.root / "photos" / "Bea" / f"{odd}.jpg").write_bytes(b"\xff\xd8\xff no")
    watched.tick()
    watched.tick()
    assert [one.name for one in stores_of(watched.root).photos.all()] == ["Bea"]
    assert watched.cursor and "can be nobody's name" in watched.cursor
    assert json.loads(watched.cursor).keys() == {"Bea", r"\udcff"}


def test_two_people_of_a_name_are_told_and_nothing_is_taken(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "people_called", lambda *_: ["a" * 8, "b" * 8])
    watched.put("Ada", *photos(0, 0))
    watched.tick()
    watched.tick()
    assert not stores_of(watched.root).photos.ids()
    assert watched.cursor and "2 people fit 'Ada'" in watched.cursor


def test_whom_a_name_means_is_known_by_their_pictures_after_a_rename(copy: Path) -> None:
    said(copy, "rename", "Ada", "Adele")
    library = LibrarySnapshot.open(stores_of(copy), "2026-01-01T00:00:00+00:00", write=False)
    (person,) = library.state.people
    assert enrolling.whom(library, "ada") == enrolling.Named("Adele", person)
    assert enrolling.whom(library, person[:8]).person_id == person
    assert enrolling.whom(library, "Bea") == enrolling.Named("Bea", None)
    with pytest.raises(CurationError, match="can be nobody's name"):
        enrolling.whom(library, " \n ")


def test_a_folder_without_pictures_and_a_name_forgotten_are_said(tmp_path: Path) -> None:
    root, nothing = tmp_path / "data", tmp_path / "nothing"
    claim_data_folder(Layout(root))
    nothing.mkdir()
    (nothing / "notes.txt").write_text("no picture")
    empty = call(root, "enrol", "Ada", str(nothing))
    assert empty.exit_code == 1 and "holds no picture" in empty.output
    forgotten = call(root, "enrol", *photos(0, 0, 1))
    assert forgotten.exit_code == 2 and "the first word says who it is" in forgotten.output
    (nothing / "a.jpg").write_bytes(b"\xff\xd8\xff broken")
    unreadable = call(root, "enrol", "Ada", str(nothing))
    assert unreadable.exit_code == 1 and "no picture was taken in for Ada" in unreadable.output
    dry = said(root, "enrol", "Ada", *photos(0, 0), "--dry-run")
    assert "1 picture would be photos-ada-" in dry and "Ada, who would be new" in dry
    assert not stores_of(root).photos.ids() and not stores_of(root).ledger.history().events
