"""A library in a space of which nobody knows the numbers, and one of the pack before."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.library.explanation import explain
from identity_pipeline.stages.library.recompute import in_force_fits, recompute
from identity_pipeline.stages.library.spaces import UnknownNumbersError, settings_of_library
from identity_pipeline.stages.planning.model_notes import model_notes
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import RIDES, call, look, write_video
from identity_pipeline_tests.library import VideoLibrary, failure_of
from identity_pipeline_tests.storage.small_library import write_ride

NOW = "2026-03-01T00:00:00+00:00"
MINE, OTHER = "mine/net@0123456789ab/16", "other/net@ba9876543210/16"


def stores_in(root: Path, space: str, videos: tuple[str, ...] = tuple(RIDES)) -> LibraryStores:
    """The small library with its templates in a space."""
    store, own = TableStore(Layout(root / "data")), 4
    for video in videos:
        looks = {}
        for track, (person, likeness) in RIDES[video].items():
            looks[track] = look(person, likeness, own)
            own += 1
        write_video(store, video, looks, space=space)
    return LibraryStores.of(store)


def with_pack(root: Path, **card: object) -> Settings:
    folder = root / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "pack.json").write_text(json.dumps(card))
    return load_settings(models={"face_pack": str(folder)}, match={"pin_assign": 0.45})


def test_nothing_is_decided_in_a_space_without_numbers(tmp_path: Path) -> None:
    stores, unknown = stores_in(tmp_path, MINE), with_pack(tmp_path)
    with pytest.raises(UnknownNumbersError, match=r"models calibrate.*models\.arcface_like"):
        recompute(stores, unknown, NOW)
    assert stores.generations.current() is None
    told = " ".join(model_notes(stores.tables, unknown))
    assert "tracking.stitch_cos 0.5" in told and "decides nothing" in told
    recompute(stores, with_pack(tmp_path, arcface_like=True), NOW)
    assert stores.generations.current() is not None


def test_the_job_of_the_library_says_so_and_is_to_blame_on_nobody(tmp_path: Path) -> None:
    stores_in(tmp_path, MINE)
    (tmp_path / "mine").mkdir()
    for opened in VideoLibrary.open(tmp_path / "data", tmp_path / "mine", tmp_path):
        opened.groups["models"]["arcface_like"] = False
        code, sentence = failure_of(opened.run_library())
        assert code == "not_ready" and "models calibrate" in sentence


def test_the_packs_numbers_group_the_unknown(tmp_path: Path) -> None:
    stores = stores_in(tmp_path, MINE)

    def groups(floor: float) -> int:
        card = {"arcface_like": True, "numbers": {"cluster.merge_cos": floor}}
        return recompute(stores, with_pack(tmp_path, **card), NOW).tables["unknown_clusters"].height

    assert (groups(0.99), groups(0.6)) == (0, 2)


def test_vectors_of_the_pack_before_are_not_held_against_the_numbers_of_the_present_one(
    tmp_path: Path,
) -> None:
    stores = stores_in(tmp_path, "buffalo_l/w600k_r50@ba9876543210/16")
    numbers = {"cluster.merge_cos": 0.99, "match.default_assign": 0.9}
    settings = with_pack(tmp_path, arcface_like=True, numbers=numbers)
    decided = settings_of_library(stores, settings)
    assert decided.cluster.merge_cos is None
    assert decided.match.default_assign == 0.45
    assert decided.match.pin_assign == 0.45  # a person's word holds in any space
    assert not decided.numbers.unknown
    (note,) = model_notes(stores.tables, settings)
    assert note.startswith("4 videos made with the face pack buffalo_l; the settings name mine")
    assert 'face_pack = "buffalo_l"' in note
    recompute(stores, settings, NOW)
    assert in_force_fits(stores, settings, stores.ledger.history())


def test_a_track_is_explained_by_the_numbers_that_it_was_decided_by(tmp_path: Path) -> None:
    stores = stores_in(tmp_path, "buffalo_l/w600k_r50@ba9876543210/16")
    call(tmp_path, "recluster")
    for place, name in {"ride-a:1": "Ada", "ride-a:2": "Bea"}.items():
        call(tmp_path, "label", place, "--name", name)
    match = {"pin_assign": 0.45}
    same = load_settings(models={"face_pack": "buffalo_l"}, match=match)
    recompute(stores, same, NOW)
    numbers = {"match.margin_min": 0.9, "match.default_suggest": 0.1}
    moved = with_pack(tmp_path, arcface_like=True, numbers=numbers)
    library = LibrarySnapshot.open(stores, NOW, write=False)
    told = [
        [explain(library, track, s).as_json() for track in sorted(library.assignments)]
        for s in (same, moved)
    ]
    assert told[0] == told[1] and any(one["flip"]["margin_needed"] for one in told[0])


def test_a_library_of_a_pack_that_is_gone_is_decided_on_only_if_it_was_before(
    tmp_path: Path,
) -> None:
    stores = stores_in(tmp_path, OTHER)
    now_open = load_settings(models={"face_pack": "open"}, match={"pin_assign": 0.45})
    with pytest.raises(UnknownNumbersError, match="the face pack other"):
        recompute(stores, now_open, NOW)
    folder = tmp_path / "other"
    folder.mkdir()
    before = load_settings(models={"face_pack": str(folder), "arcface_like": True})
    recompute(stores, before, NOW)
    assert recompute(stores, now_open, NOW).generation.space == OTHER


def test_a_library_of_a_pack_that_is_gone_keeps_the_numbers_of_that_pack(tmp_path: Path) -> None:
    stores, numbers = (
        stores_in(tmp_path, MINE),
        {"match.default_assign": 0.9, "cluster.merge_cos": 0.8},
    )
    recompute(stores, with_pack(tmp_path, arcface_like=True, numbers=numbers), NOW)
    (tmp_path / "mine" / "pack.json").unlink()
    (tmp_path / "mine").rmdir()
    match = {"pin_assign": 0.45, "default_suggest": 0.4}
    decided = settings_of_library(stores, load_settings(models={"face_pack": "open"}, match=match))
    assert (decided.match.default_assign, decided.cluster.merge_cos) == (0.9, 0.8)
    assert decided.match.lookalike_cos is None, "the open pack's is none of that space"
    assert decided.match.default_suggest == 0.4, "what a person sets wins"
    assert not decided.numbers.unknown
    still_named = load_settings(models={"face_pack": str(tmp_path / "mine")}, match=match)
    assert still_named.numbers.unknown
    there = settings_of_library(stores, still_named)
    assert (there.match.default_assign, there.numbers.unknown) == (0.9, ())


def test_the_library_moves_when_most_videos_have_and_decisions_move_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = stores_in(tmp_path, MINE)
    for name, value in {"FACE_PACK": str(tmp_path / "mine"), "ARCFACE_LIKE": "true"}.items():
        monkeypatch.setenv(f"IDENTITY_PIPELINE__MODELS__{name}", value)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "recluster")
    settings = load_settings(models={"face_pack": "open"}, match={"pin_assign": 0.45})

    def shown() -> tuple[str, set[str]]:
        done = recompute(stores, settings, NOW)
        known = done.tables["person_assignments"].filter(pl.col("origin") == "human")
        return done.generation.space, set(known["track_key"].to_list())

    new = "open/net@0123456789ab/16"
    stores_in(tmp_path, new, ("ride-d",))
    assert shown() == (MINE, {"track:ride-a:1"})
    (note,) = model_notes(stores.tables, settings)
    assert note.startswith("3 videos made with the face pack mine; the settings name open (1 video")
    stores_in(tmp_path, new, ("ride-a", "ride-b"))
    assert shown() == (new, {"track:ride-a:1"})
    stores_in(tmp_path, new, ("ride-c",))
    assert model_notes(stores.tables, settings) == ()


def test_another_vision_encoder_is_told_before_a_run(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path / "data"))
    write_ride(store, "a-00000001", vision="facebook/dinov2-small@ed25f3a31f01/6")
    told = model_notes(store, load_settings())
    assert [note for note in told if note.startswith("1 video seen by the vision encoder facebook")]
    assert "the settings name bundled." in told[-1] and "who is who does not change" in told[-1]
    same = load_settings(models={"vision_encoder": "facebook/dinov2-small"})
    assert not [note for note in model_notes(store, same) if "vision encoder" in note]


def test_another_precision_is_told_before_a_run(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path / "data"))
    write_ride(store, "a-00000001", vision="vision@ed25f3a31f01/6")
    (told,) = (
        note
        for note in model_notes(store, load_settings(models={"vision_precision": "bf16"}))
        if "vision encoder" in note
    )
    assert "seen by the vision encoder bundled; the settings name bundled+bf16." in told
    assert 'vision_encoder = "bundled", vision_precision = "full" in settings.toml' in told
