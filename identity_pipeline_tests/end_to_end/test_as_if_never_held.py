"""After somebody was forgotten, others have what they would have had, had it never held them.

One bundled ride shows Ada alone, one Ada and Ben, one Ben and somebody else. Ada is forgotten: her
own ride goes, in the shared one she is hidden. The other library hid her in the shared ride from
the start and never saw her own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.ledger import commands
from identity_pipeline.ledger.commands import Stamp
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.privacy.footprint import footprint_of
from identity_pipeline.stages.privacy.redacting import note_redaction, redact_video
from identity_pipeline.stages.privacy.whom import find_whom
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline_tests.benchmarks.parts import shortened
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.curated_library import in_force
from identity_pipeline_tests.library import VideoLibrary

NOW = "2026-01-02T03:04:05Z"
FEW = {"video": {"analysis_fps": 5.0}}
SECONDS = 1.4
"""Of each ride: enough for a template of each rider, and for sets."""
NO_EXPORT = ("identity_dataset", "frame_ledger")
OF_THE_PASS = ("frames", "face_detections", "face_crops")
ALONE, SHARED, OTHER = "solo", "duo_a", "duo_b"
RUNNING_NUMBERS = {"tracklet_id"}
FROM_A_CROP = {
    **dict.fromkeys(("face_landmarks", "candidates", "moments"), "face_id"),
    "camera_votes": "person_id",
}
"""What is measured on stored crops, of which some were decoded, painted and encoded again; and what
is the same of it nonetheless."""


@dataclass(frozen=True)
class Park:
    """A library and the rides of its folder."""

    library: VideoLibrary
    rides: Path

    def run(self, *stems: str) -> None:
        for stem in stems:
            ran = self.library.run(self.rides / f"{stem}.mp4", but=NO_EXPORT)
            assert ran.success
        assert self.library.run_library().success

    def again(self) -> None:
        """Until nothing changes: who is known by name teaches the rides."""
        self.run(SHARED)
        self.run(SHARED, OTHER)

    @property
    def seen(self) -> LibrarySnapshot:
        return LibrarySnapshot.open(LibraryStores.of(self.library.store), NOW, write=False)

    def rider(self, stem: str, seat: int) -> str:
        riders = self.library.table("riders", stem).filter(pl.col("reason") == "rider")
        tracks = riders.sort("mean_centre_x_norm")["track_id"]
        return f"track:{self.library.video_id(stem)}:{tracks[seat]}"

    def name_ben(self) -> None:
        tracks = self.rider(SHARED, -1), self.rider(OTHER, 0)
        Curator(self.seen, "me", NOW).name("Ben", tracks)

    def copy(self, root: Path, instance: dg.DagsterInstance) -> Park:
        shutil.copytree(self.library.root, root, symlinks=True)
        groups = {**self.library.groups, "paths": {"data": str(root)}}
        return replace(
            self, library=replace(self.library, root=root, instance=instance, groups=groups)
        )

    def tables(self) -> dict[tuple[str, str], pl.DataFrame]:
        """Of the rides that both libraries hold."""
        store, found = self.library.store, {}
        for stem in (SHARED, OTHER):
            video_id = self.library.video_id(stem)
            for path in sorted(store.layout.tables.glob(f"*/{video_id}.parquet")):
                found[path.parent.name, stem] = store.read(path.parent.name, video_id)
        return found

    def library_tables(self) -> dict[str, list[dict[str, Any]]]:
        """With a person's name in place of their id, which is drawn."""
        tables = in_force(self.library.store)
        names = dict(tables["people"].select("person_id", "name").iter_rows())

        def named(value: Any) -> Any:
            for person_id, name in names.items() if isinstance(value, str) else ():
                value = value.replace(person_id, name)
            return value

        return {
            asset: [{k: named(v) for k, v in row.items()} for row in table.iter_rows(named=True)]
            for asset, table in tables.items()
        }

    def decisions(self) -> list[tuple[str, str]]:
        """Whose each track is by decision, as the present tables find it."""
        state = self.seen.state
        return sorted((track, state.people[who].name) for track, who in state.assigned.items())


def forget_ada(park: Park) -> None:
    """In the library whose shared ride was looked at with her in it."""
    library, layout = park.library, park.library.store.layout
    footprint = footprint_of(park.seen, find_whom(park.seen, "Ada"))
    alone, shared = library.video_id(ALONE), library.video_id(SHARED)
    assert {*footprint.faces} == {alone, shared}
    note_redaction(layout, shared, footprint.faces[shared])
    LibraryStores.of(library.store).ledger.commit(
        lambda history: commands.forget(history, Stamp("me", NOW), footprint.person_ids, (alone,))
    )
    settings = load_settings(**library.groups)
    done = redact_video(library.store, settings, shared)
    assert done.faces >= len(footprint.faces[shared]) and done.outputs > 15
    judged = judge_video(
        library.store, settings, Models(*ModelHub(settings.models).here()), shared, thorough=True
    )
    assert {judged[name].verdict for name in OF_THE_PASS} == {Verdict.REUSE}
    for path in sorted(layout.root.rglob(f"*{alone}*"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    library.instance.delete_dynamic_partition(str(videos.name), alone)


@pytest.fixture(scope="module")
def parks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Park, Park]]:
    """One that forgot Ada and rewrote the shared ride in place, and one that never held her."""
    root = tmp_path_factory.mktemp("held")
    for stem in (ALONE, SHARED, OTHER):
        shortened(BUNDLED / "rides" / f"demo_{stem}.mp4", SECONDS, root / f"{stem}.mp4")
    with dg.DagsterInstance.ephemeral() as instance:
        for opened in VideoLibrary.open(root / "held", OPEN, BUNDLED / "vision"):
            opened.groups.update(FEW)
            held = Park(opened, root)
            held.run(OTHER)
            never = held.copy(root / "never", instance)
            held.run(ALONE, SHARED)
            curator = Curator(held.seen, "me", NOW)
            curator.name("Ada", [held.rider(ALONE, 0), held.rider(SHARED, 0)])
            held.name_ben()
            forget_ada(held)
            held.again()
            never.library.register(root / f"{SHARED}.mp4")
            shared = never.library.video_id(SHARED)
            hidden = held.library.store.layout.redaction(shared)
            target = never.library.store.layout.redaction(shared)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(hidden, target)
            never.run(SHARED)
            never.name_ben()
            never.again()
            yield held, never


@pytest.mark.slow
def test_rewritten_in_place_others_have_their_tables_sets_and_decisions(
    parks: tuple[Park, Park],
) -> None:
    """To the bit, but for what is measured on crops that were painted and stored again."""
    held, never = (park.tables() for park in parks)
    assert held.keys() == never.keys()
    for key, table in never.items():
        same = [c for c in table.columns if c not in RUNNING_NUMBERS]
        if key[0] in FROM_A_CROP:
            named = FROM_A_CROP[key[0]]
            assert held[key][named].equals(table[named]), key
        else:
            assert held[key].select(same).equals(table.select(same)), key
    sets = [held[name, stem].height for name in SET_ASSETS for stem in (SHARED, OTHER)]
    assert sum(sets) > 3
    assert parks[0].library_tables() == parks[1].library_tables()
    assert parks[0].decisions() == parks[1].decisions() and len(parks[0].decisions()) == 2
    assert {row["name"] for row in parks[0].library_tables()["people"]} == {"Ben"}


@pytest.mark.slow
def test_recomputed_from_the_source_everything_is_the_same_to_the_bit(
    parks: tuple[Park, Park],
) -> None:
    """The kept source stays under its redaction: nothing brings her face back."""
    held, never = parks
    layout, shared = held.library.store.layout, held.library.video_id(SHARED)
    for name in OF_THE_PASS:
        layout.manifest(name, shared).unlink()
    held.run(SHARED)
    before, after = never.tables(), held.tables()
    assert after.keys() == before.keys()
    assert [key for key, table in before.items() if not after[key].equals(table)] == []
    crops = [park.library.store.crops(shared).data_version() for park in parks]
    assert crops[0] == crops[1]
    assert held.library_tables() == never.library_tables()
    assert held.decisions() == never.decisions()
