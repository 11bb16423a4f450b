"""What a curator's words mean, what the ledger is told, and who is on a picture."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.core.library.changes import GONE, NEW, library_changes
from identity_pipeline.core.vectors import normalise
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.pictures import picture_rows, yaw_word
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.curation.targets import find_event, find_person, find_targets
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.curated_library import PINS, call, write_rides, write_video
from identity_pipeline_tests.storage.small_library import put

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    made = write_rides(tmp_path)
    call(tmp_path, "recluster")
    return made


def curator(store: TableStore, **options: bool) -> Curator:
    return Curator(
        LibrarySnapshot.open(LibraryStores.of(store), NOW, write=False), "tester", NOW, **options
    )


def found(library: LibrarySnapshot, *words: str) -> list[str]:
    """Targets as `ride-a:1`, without the digest of the video."""
    parts = [subject.split(":") for subject in find_targets(library, words).subjects]
    return [f"{video.rpartition('-')[0]}:{local}" for _, video, local in parts]


def test_a_target_may_be_typed_in_many_ways(store: TableStore) -> None:
    decides = curator(store)
    library = decides.library
    [video] = [v for v in library.videos if v.startswith("ride-a")]
    one_way = ("ride-a:1", "ride-a#1", f"{video}:1", f"track:{video}:1", "track:ride-a:1")
    for word in (*one_way, "ride-a@3-0", f"face:{video}:000003-0", "ride-a@000003-0"):
        assert found(library, word) == ["ride-a:1"], word
    cluster = ("cluster 1", "unknown_cluster_1", "cluster_1", "Cluster:1", "cluster#1")
    for word in cluster:
        assert found(library, word) == ["ride-a:1", "ride-b:1"], word
    assert found(library, "cluster", "1", "cluster", "2", "ride-a:1") == [
        "ride-a:1", "ride-a:2", "ride-b:1", "ride-c:2",
    ]  # fmt: skip
    with pytest.raises(CurationError, match="nothing that is known"):
        found(library, "1")
    planned = decides.name("Ada", find_targets(library, ["cluster 1"]).subjects)
    [person] = planned.state.people
    for word in ("Ada", "ada", person, f"person_{person}", person[:6]):
        assert found(decides.library, word) == ["ride-a:1", "ride-b:1"], word
        assert find_person(decides.library, word) == person
    for word in ("last", "1", "#1", planned.event.id, planned.event.id[:8]):
        assert find_event(decides.library, word) == planned.event


def test_two_tracks_of_one_noise_name_must_be_told_apart(store: TableStore) -> None:
    library = curator(store).library
    names = [row["display"] for row in library.assignments.values()]
    [twice] = {name for name in names if names.count(name) > 1 and "noise" in str(name)}
    with pytest.raises(CurationError, match="tracks are called unknown_noise"):
        found(library, str(twice))


def test_decisions_carry_the_best_face_and_what_the_tables_know(store: TableStore) -> None:
    decides = curator(store, dry_run=True)
    subjects = find_targets(decides.library, ["cluster 1"]).subjects
    planned = decides.name("Ada", subjects)
    assert [(a.frame_idx, a.box) for a in planned.event.anchors] == [(6, (100, 0, 160, 60))] * 2
    [shift] = planned.effect.shifts
    assert (shift.before, shift.faces, shift.videos) == ("unknown_cluster_1", 20, 2)
    # A dry run follows its own decisions, so that several can be tried together.
    again = decides.reject(next(iter(planned.state.people)), subjects[:1])
    assert again.event.seq == 2 and not store.layout.ledger.exists()


def test_a_track_without_template_can_be_named_by_its_largest_face(store: TableStore) -> None:
    [video] = [v for v in store.videos_with("track_templates") if v.startswith("ride-d")]
    templates = store.read("track_templates", video)
    store.write("track_templates", video, templates.clear(), "g")
    decides = curator(store, dry_run=True)
    planned = decides.name("Dan", find_targets(decides.library, ["ride-d:1"]).subjects)
    assert planned.event.anchors[0].box == (100, 0, 160, 60)


def test_a_face_in_no_track_can_be_set_aside_but_not_named(store: TableStore) -> None:
    [video] = [v for v in store.videos_with("face_tracks") if v.startswith("ride-d")]
    tracks = store.read("face_tracks", video)
    loose = tracks.with_columns(
        track_id=pl.when(pl.col("face_id") == "000003-0").then(None).otherwise(pl.col("track_id"))
    )
    store.write("face_tracks", video, loose, "g")
    decides = curator(store, dry_run=True)
    chosen = find_targets(decides.library, ["ride-d@3-0"]).subjects
    assert chosen == (f"face:{video}:000003-0",)
    with pytest.raises(CurationError, match="in no track"):
        decides.name("Dan", chosen)


def test_changes_are_told_by_the_way_tracks_went() -> None:
    def table(*rows: tuple[str, str, int | None, str | None]) -> pl.DataFrame:
        names = ("track_key", "state", "cluster_id", "person_id")
        full = [dict(zip(names, row, strict=True)) for row in rows]
        return pl.DataFrame(full, schema=TABLES["person_assignments"])

    before = table(
        ("a", "unknown", 5, None),
        ("b", "unknown", 5, None),
        ("c", "noise", None, None),
        ("g", "unknown", 6, None),
    )
    after = table(
        ("a", "known", None, "p"),
        ("b", "known", None, "p"),
        ("c", "suggested", 7, "p"),
        ("n", "ignored", None, None),
    )
    changes = library_changes(before, after, {"p": "Ada"}.__getitem__)
    assert [str(move) for move in changes.moves] == [
        "2 tracks from unknown_cluster_5 to person Ada",
        f"1 track from {NEW} to ignored",
        "1 track from noise to unknown_cluster_7",
        f"1 track from unknown_cluster_6 to {GONE}",
    ]
    assert (changes.new_clusters, changes.retired_clusters) == ((7,), (5, 6))
    assert changes.suggested == ("c",)


def test_a_cluster_gets_its_number_back_when_its_name_is_taken_back(tmp_path: Path) -> None:
    write_rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "cluster", "1", "--name", "Ada")
    call(tmp_path, "recluster")
    # Three more generations, so that none that knew the cluster is kept.
    for name in ("Bea", "Cy", "Dee"):
        call(tmp_path, "label", "ride-d:1", "--name", name)
        call(tmp_path, "recluster")
        call(tmp_path, "undo", "last")
    call(tmp_path, "undo", "last")
    told = call(tmp_path, "recluster")
    assert "2 tracks from person Ada to unknown_cluster_1" in told
    assert "1 cluster appears: unknown_cluster_1" in told


@pytest.mark.slow
def test_a_picture_is_a_name_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from identity_pipeline.media.crops import align

    models = {"face_pack": str(OPEN), "device": "cpu"}
    pack = ModelHub(load_settings(models=models).models).face_pack
    ride = cv2.VideoCapture(str(BUNDLED / "rides" / "demo_duo_a.mp4"))
    frames = [ride.read()[1] for _ in range(300)]
    looked = {n: pack.detect(frames[n]) for n in range(60, 300, 24)}
    clear = [n for n, faces in looked.items() if len(faces.boxes) == 2]
    assert len(clear) >= 3, "the demo ride shows both riders"
    *known, asked = clear[:3]
    left = [pack.embed([align(frames[n], looked[n].key_points[0])])[0] for n in known]
    store = write_rides(tmp_path)
    for video in store.videos_with("track_templates"):
        store.layout.table("track_templates", video).unlink()
    template = normalise(sum(left)[None])[0].tolist()
    write_video(store, "demo", {1: template}, space=pack.space.key)
    (row,) = store.read("track_templates", "demo").iter_rows(named=True)
    sample = {name: row[name] for name in ("track_key", "video_id", "space")}
    put(store, "face_samples", "demo", [sample | {"e_id": template} for _ in range(3)])
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), frames[asked])
    for name in ("FACE_PACK", "DEVICE"):
        value = str(models[name.lower()])
        monkeypatch.setenv(f"IDENTITY_PIPELINE__MODELS__{name}", value)

    call(tmp_path, "identify", str(picture), code=1)
    call(tmp_path, "recluster")
    answers = json.loads(call(tmp_path, "identify", str(picture), "--json"))
    assert [a["answer"] for a in answers] == ["unknown", "unknown"]
    call(tmp_path, "label", "demo:1", "--name", "Ada")
    call(tmp_path, "recluster")
    answers = json.loads(call(tmp_path, "identify", str(picture), "--json"))
    assert [a["answer"] for a in answers] == ["not_calibrated", "not_calibrated"], answers
    assert {a["people"][0]["assign"] for a in answers} == {None}
    assert "not calibrated (nearest: Ada)" in call(tmp_path, "identify", str(picture))
    pins = {"EXCLUDE": "0.3", "SUGGEST": "0.55", "ASSIGN": "0.99"}
    for name, value in pins.items():
        monkeypatch.setitem(PINS, f"IDENTITY_PIPELINE__MATCH__PIN_PROBE_{name}", value)
    call(tmp_path, "recluster")
    answers = json.loads(call(tmp_path, "identify", str(picture), "--json"))
    assert [a["answer"] for a in answers] == ["probably", "unknown"], answers
    assert (answers[0]["says"], answers[0]["name"]) == ("probably Ada", None)
    assert answers[0]["probable_name"] == "Ada"
    assert "probably Ada" in call(tmp_path, "identify", str(picture))
    monkeypatch.setitem(PINS, "IDENTITY_PIPELINE__MATCH__PIN_PROBE_ASSIGN", "0.6")
    call(tmp_path, "recluster")
    answers = json.loads(call(tmp_path, "identify", str(picture), "--json"))
    assert [a["answer"] for a in answers] == ["known", "unknown"], answers
    assert answers[0]["name"] == "Ada" and answers[0]["people"][0]["score"] > 0.6
    assert "Ada" in call(tmp_path, "identify", str(picture))
    assert "no picture" in call(tmp_path, "identify", __file__, code=1)
    assert {a["rule"] for a in answers} == {"reference"}

    heads = ("identify", str(picture), "--by", "heads")
    answers = json.loads(call(tmp_path, *heads, "--json"))
    assert [a["answer"] for a in answers] == ["known", "unknown"], answers
    assert answers[0]["name"] == "Ada" and answers[0]["rule"] == "centre"
    assert "heads: a k-means centre" in call(tmp_path, *heads)
    KMeansHeadStore(store.layout).clear()
    assert "no k-means heads" in call(tmp_path, *heads, code=1)


def test_pictures_are_decided_on_by_their_faces(store: TableStore) -> None:
    """And say nothing about who the tracks of these faces are."""
    decides = curator(store)
    [video] = [v for v in decides.library.videos if v.startswith("ride-a")]
    faces = decides.pictures(["ride-a@6-0", f"face:{video}:000003-1", "ride-a@6-0"])
    assert faces == (f"face:{video}:000006-0", f"face:{video}:000003-1")
    planned = decides.order_pictures(faces)
    boxes = {anchor.subject: (anchor.frame_idx, anchor.box) for anchor in planned.event.anchors}
    assert boxes == {
        faces[0]: (6, (100, 0, 160, 60)), faces[1]: (3, (200, 0, 260, 60))
    }  # fmt: skip
    assert planned.event.named_subjects == faces
    before = decides.library.state.people_hash
    decides.reject_pictures(faces[:1], "eyes")
    decides.anchor_picture(faces[1], faces[0])
    state = decides.library.state
    assert state.people_hash == before and not state.people_subjects
    assert [row["verdict"] for row in picture_rows(decides.library, "ride-a")] == [
        "accepted", "rejected",
    ]  # fmt: skip
    with pytest.raises(CurationError, match="no face"):
        decides.pictures(["ride-a@900-0"])
    with pytest.raises(CurationError, match="is no picture"):
        decides.pictures(["ride-a:1"])
    edges = load_settings().buckets.yaw_edges
    assert [yaw_word(word, edges) for word in ("20", "-90", "[15,30)")] == [
        "[15,30)", "beyond", "[15,30)",
    ]  # fmt: skip
