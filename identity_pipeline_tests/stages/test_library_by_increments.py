"""The library after one more ride, or a decision, is what a computation of everything gives."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from identity_pipeline.core.library import recompute as core
from identity_pipeline.core.matching import cross_pairs, reassignment
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library import reading
from identity_pipeline.stages.library.recompute import CODE_VERSION, recompute
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.library_memory import LibraryMemories
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import SPACE
from identity_pipeline_tests.storage.small_library import put

NOW = "2026-01-02T03:04:05.000Z"
OTHER_SPACE = "other@000000000000/16"
PEOPLE = 5
KINDS = ("ride", "ride", "ride", "again", "remove", "label", "reject", "merge", "undo", "settings")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 10**6)), min_size=3, max_size=9)


def _settings(floor: float | None = None) -> Settings:
    settings = Settings()
    known = {"default_exclude": 0.3, "pin_suggest": 0.35, "pin_assign": 0.6}
    return settings.model_copy(
        update={
            "match": settings.match.model_copy(update=known),
            "cluster": settings.cluster.model_copy(update={"merge_cos": floor}),
            "models": settings.models.model_copy(update={"arcface_like": True}),
        }
    )


class _Park:
    """A data folder in which things happen, all of them drawn from numbers."""

    def __init__(self, root: Path) -> None:
        self.store = TableStore(Layout(root / "data"))
        self.stores = LibraryStores.of(self.store)
        self.faces = np.random.default_rng(0).standard_normal((PEOPLE, 16))
        self.settings = _settings()
        self.rides: list[str] = []

    def happen(self, kind: str, number: int) -> None:
        """One step; what is not possible now does nothing."""
        rng = np.random.default_rng(number)
        getattr(self, f"_{kind}")(rng)

    def _ride(self, rng: np.random.Generator) -> None:
        video = f"ride-{int(rng.integers(0, 10**6)):06d}"
        self.rides.append(video)
        self.write(video, rng)

    def _again(self, rng: np.random.Generator) -> None:
        if self.rides:
            self.write(self.rides[int(rng.integers(len(self.rides)))], rng)

    def _remove(self, rng: np.random.Generator) -> None:
        if self.rides:
            video = self.rides.pop(int(rng.integers(len(self.rides))))
            for path in self.store.layout.tables.glob(f"*/{video}.*"):
                path.unlink()

    def write(self, video: str, rng: np.random.Generator, space: str = "") -> None:
        """The tables of a ride, of a space that is drawn unless it is given."""
        space = space or (OTHER_SPACE if rng.random() < 0.1 else SPACE)
        rows: list[dict[str, Any]] = []
        for seat in range(int(rng.integers(1, 4))):
            own = self.faces[rng.integers(PEOPLE)] + 0.7 * rng.standard_normal(16)
            start = int(rng.integers(0, 3)) * 6
            rows.append(
                {
                    "track_key": f"track:{video}:{seat + 1}",
                    "video_id": video,
                    "track_id": seat + 1,
                    "face_count": 10,
                    "quality": float(rng.uniform(0.3, 0.9)),
                    "frames": list(range(start, start + 12, 3)),
                    "best_face_id": f"{start:06d}-{seat}",
                    "best_frame": start,
                    "space": space,
                    "template": (own / np.linalg.norm(own)).tolist(),
                }
            )
        put(self.store, "track_templates", video, rows)
        sampled = [{k: row[k] for k in ("track_key", "video_id", "space")} for row in rows]
        faces = [s | {"e_id": r["template"]} for s, r in zip(sampled, rows, strict=True)]
        put(self.store, "face_samples", video, faces)
        pairs = [
            {"space": space, "level": level, "kind": "genuine", "source": "track"}
            | dict.fromkeys(("left", "right"), rows[0]["track_key"])
            | dict.fromkeys(("left_video", "right_video"), video)
            | {"score": float(rng.uniform(0.5, 0.9))}
            for level in ("face", "probe", "template")
        ]
        put(self.store, "calibration_pairs", video, pairs)

    def _tracks(self) -> list[str]:
        found = [self.store.read("track_templates", v, ["track_key"]) for v in sorted(self.rides)]
        return [key for table in found for key in table["track_key"]]

    def _decide(self, rng: np.random.Generator, what: str) -> None:
        tracks, people = self._tracks(), sorted(self.stores.ledger.history().state.active)
        if not tracks or not (people or what == "label"):
            return
        subject = tracks[int(rng.integers(len(tracks)))]
        face = ev.Anchor(subject=subject, frame_idx=0, box=(0, 0, 50, 60))
        stamp = commands.Stamp("curator", NOW, anchors=[face])

        def command(history: Any) -> commands.Planned:
            if what == "label" and (not people or rng.random() < 0.5):
                return commands.name(history, stamp, f"P{len(history.events)}", [subject])
            person = people[int(rng.integers(len(people)))]
            if what == "label":
                return commands.confirm(history, stamp, person, [subject])
            if what == "reject":
                return commands.reject(history, stamp, person, [subject])
            return commands.merge(history, stamp, person, people[0])

        try:
            self.stores.ledger.commit(command)
        except IdentityPipelineError:
            return  # refused: nothing happened

    def _label(self, rng: np.random.Generator) -> None:
        self._decide(rng, "label")

    def _reject(self, rng: np.random.Generator) -> None:
        self._decide(rng, "reject")

    def _merge(self, rng: np.random.Generator) -> None:
        self._decide(rng, "merge")

    def _undo(self, rng: np.random.Generator) -> None:
        del rng
        history = self.stores.ledger.history()
        last = next(iter(history.latest_in_force()), None)
        if last is not None:
            stamp = commands.Stamp("curator", NOW)
            self.stores.ledger.commit(lambda h: commands.undo(h, stamp, last.id))

    def _settings(self, rng: np.random.Generator) -> None:
        self.settings = _settings(None if rng.random() < 0.5 else float(rng.uniform(0.4, 0.7)))

    def compared(self) -> None:
        """Computes by increments and puts that in force; asks that the whole gives the same."""
        whole = recompute(self.stores, self.settings, NOW, publish=False, whole=True)
        done = recompute(self.stores, self.settings, NOW)
        for name, table in whole.tables.items():
            assert done.tables[name].equals(table), name


def _sample_few(patched: pytest.MonkeyPatch) -> None:
    """As in a large library: one more ride leaves the calibration as it is."""
    patched.setattr(core, "RIDES_COMPARED", 2)
    patched.setattr(cross_pairs, "TRACKS_COMPARED", 4)


@examples(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a folder for each try: too slow to be made small
    suppress_health_check=list(HealthCheck),
)
@given(STEPS)
def test_it_is_the_library_computed_whole(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        _sample_few(patched)
        park = _Park(Path(folder))
        for kind, number in steps:
            park.happen(kind, number)
            park.compared()


def _memories(park: _Park) -> LibraryMemories:
    return LibraryMemories(park.store.layout, CODE_VERSION)


@pytest.fixture
def park(tmp_path: Path) -> _Park:
    """Eight rides, computed once."""
    found = _Park(tmp_path)
    for number in range(8):
        found.happen("ride", number)
    found.compared()
    return found


def _read_videos(park: _Park, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos whose tables are read for templates from now on."""
    seen: list[str] = []
    of_video = reading.of_video

    def noted(own: TableStore, video_id: str) -> Any:
        seen.append(video_id)
        return of_video(own, video_id)

    monkeypatch.setattr(reading, "of_video", noted)
    return seen


def test_one_more_ride_is_the_only_one_that_is_read(
    park: _Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _read_videos(park, monkeypatch)
    park.happen("ride", 99)
    recompute(park.stores, park.settings, NOW)
    assert seen == [park.rides[-1]]


@pytest.mark.parametrize("others", ["a", "d", "f", "ac", "be"])
def test_rides_of_another_space_lie_anywhere_among_the_rest(tmp_path: Path, others: str) -> None:
    """Before, between and behind them, at first and as one more."""
    park, rng = _Park(tmp_path), np.random.default_rng(0)
    for video in "abdf":
        park.write(video, rng, OTHER_SPACE if video in others else SPACE)
    park.compared()
    for video in "ec":
        park.write(video, rng, OTHER_SPACE if video in others else SPACE)
        park.compared()
    found = recompute(park.stores, park.settings, NOW)
    assert found.other_space == tuple(others)


def test_only_tracks_of_one_more_ride_are_matched(
    park: _Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sample_few(monkeypatch)
    for number in range(4):
        park.happen("label", number)
    park.compared()
    matched: list[str] = []
    assign = reassignment.assign

    def noted(templates: pl.DataFrame, *rest: Any) -> pl.DataFrame:
        matched.extend(templates["video_id"])
        return assign(templates, *rest)

    monkeypatch.setattr(reassignment, "assign", noted)
    park.happen("ride", 99)
    recompute(park.stores, park.settings, NOW)
    assert set(matched) == {park.rides[-1]}
    park.compared()


def test_a_damaged_memory_is_none(park: _Park, caplog: pytest.LogCaptureFixture) -> None:
    for path in park.store.layout.library_memory.glob("links-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    park.happen("ride", 99)
    park.compared()
    assert "the library is computed whole" in caplog.text


@pytest.mark.parametrize("name", ["base", "links", "videos"])
def test_what_is_damaged_is_kept_anew(park: _Park, name: str) -> None:
    """Also where it is what it was, so that it has the name of the damaged file."""
    for path in park.store.layout.library_memory.glob(f"{name}-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    recompute(park.stores, park.settings, NOW, whole=True)
    assert _memories(park).recall(None)


def test_what_another_version_left_is_not_taken_up(
    park: _Park, caplog: pytest.LogCaptureFixture
) -> None:
    assert _memories(park).recall(None)
    assert LibraryMemories(park.store.layout, "another").recall(None) is None
    path = park.store.layout.library_memory / "memory.json"
    note = json.loads(path.read_bytes()) | {"format": "1/8"}
    path.write_text(json.dumps({k: v for k, v in note.items() if k != "generation"}))
    assert _memories(park).recall(None) is None
    park.happen("ride", 99)
    park.compared()
    assert _memories(park).recall(None) and not caplog.text, "it is no damage"


def test_a_ride_that_is_gone_leaves_no_vector_in_the_memory(park: _Park) -> None:
    gone = park.rides[0]
    vector = park.store.read("track_templates", gone)["template"].explode().to_numpy().tobytes()
    folder = park.store.layout.library_memory
    assert any(vector[:64] in path.read_bytes() for path in folder.iterdir())
    for path in park.store.layout.tables.glob(f"*/{gone}.*"):
        path.unlink()
    park.rides.remove(gone)
    park.compared()
    assert not any(vector[:64] in path.read_bytes() for path in folder.iterdir())


def test_a_crash_before_the_note_leaves_the_old_memory(
    park: _Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _memories(park).recall(None)
    park.happen("ride", 99)
    with monkeypatch.context() as patched:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(LibraryMemories, "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            recompute(park.stores, park.settings, NOW)
    after = _memories(park).recall(None)
    assert before and after and after.rides.videos.equals(before.rides.videos)
    park.compared()


def test_the_night_says_where_increments_went_wrong(park: _Park) -> None:
    memories = _memories(park)
    memory = memories.recall(None)
    assert memory and memory.grouping
    assert not recompute(park.stores, park.settings, NOW, whole=True).differs
    wrong = replace(
        memory.grouping,
        root=np.zeros_like(memory.grouping.root),  # all of one part would be one person
        valid=np.full_like(memory.grouping.valid, (-2.0, 2.0)),
    )
    laid = memories.laid_down(replace(memory, grouping=wrong))
    memories.put_in_force(laid, memory.generation)
    done = recompute(park.stores, park.settings, NOW, whole=True)
    assert "unknown_clusters" in done.differs
    assert not recompute(park.stores, park.settings, NOW, whole=True).differs


def test_the_night_takes_no_damaged_ride_for_a_fault_of_its_own(park: _Park) -> None:
    table = park.store.layout.table("track_templates", park.rides[0])
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    done = recompute(park.stores, park.settings, NOW, whole=True)
    assert list(done.damaged) == park.rides[:1] and not done.differs


@pytest.mark.parametrize("kind", ["ride", "again"])
def test_the_night_takes_no_ride_of_meanwhile_for_a_fault_of_its_own(
    park: _Park, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put_in_force = LibraryMemories.put_in_force

    def kept(memories: LibraryMemories, *rest: Any) -> None:
        put_in_force(memories, *rest)
        park.happen(kind, 99)  # the night is long, and rides go on being processed

    monkeypatch.setattr(LibraryMemories, "put_in_force", kept)
    assert not recompute(park.stores, park.settings, NOW, whole=True).differs


def test_a_memory_that_cannot_be_written_fails_no_library(
    park: _Park, caplog: pytest.LogCaptureFixture
) -> None:
    folder = park.store.layout.library_memory
    shutil.rmtree(folder)
    folder.write_text("in the way")
    park.happen("ride", 99)
    park.compared()
    assert "cannot be written" in caplog.text


def test_without_a_memory_everything_is_as_before(park: _Park) -> None:
    shutil.rmtree(park.store.layout.library_memory)
    park.happen("label", 5)
    park.compared()
