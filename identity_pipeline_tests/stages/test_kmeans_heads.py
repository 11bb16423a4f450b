"""K-means heads of a curated library: who teaches, what is reused, what follows the decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.core.vectors import SpaceMismatchError
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.kmeans_heads import (
    HeadsTrained,
    heads_at_work,
    read_confirmed,
    train_kmeans_heads,
)
from identity_pipeline.stages.library.kmeans_summary import by_person, summary
from identity_pipeline.stages.library.recompute import recompute
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations, NoGenerationError
from identity_pipeline.storage.library.kmeans_heads import KMeansHeadsError, KMeansHeadStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.core.builders import axis
from identity_pipeline_tests.curated_library import PINS, SPACE, call, write_rides
from identity_pipeline_tests.storage.small_library import put

NOW = "2026-01-02T03:04:05Z"
LATER = "2026-02-02T03:04:05Z"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """The four rides, with the samples of their faces; nobody has a name."""
    made = write_rides(tmp_path)
    for video in made.videos_with("track_templates"):
        rows = made.read("track_templates", video).iter_rows(named=True)
        samples = [
            {name: row[name] for name in ("track_key", "video_id", "space")}
            | {"e_id": row["template"]}
            for row in rows
            for _ in range(3)
        ]
        put(made, "face_samples", video, samples)
    call(tmp_path, "recluster")
    return made


def named(store: TableStore, *decisions: tuple[str, ...]) -> TableStore:
    """The tables alone are computed: what follows them is what is tested here."""
    for words in decisions:
        call(store.layout.root.parent, *words)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PINS.items():
            patch.setenv(name, value)
        recompute(LibraryStores.of(store), load_settings(), NOW)
    return store


ADA = ("label", "cluster", "1", "--name", "Ada")
BEN = ("label", "cluster", "2", "--name", "Ben")


def train(store: TableStore, now: str = NOW) -> HeadsTrained:
    return train_kmeans_heads(LibraryStores.of(store), Settings(), now)


def names_of(store: TableStore) -> dict[str, str]:
    return dict(
        Generations(store.layout).open().table("people").select("person_id", "name").iter_rows()
    )


def trained_people(store: TableStore, trained: HeadsTrained) -> list[str]:
    assert trained.heads is not None
    names = names_of(store)
    return sorted(names[head.person_id] for head in trained.heads.people)


def test_only_what_humans_confirmed_teaches(store: TableStore) -> None:
    named(store, ("label", "ride-a:1", "--name", "Ada"), ("label", "ride-a:2", "--name", "Ben"))
    known = Generations(store.layout).open().table("person_assignments")
    assert "auto" in known["origin"].to_list()
    confirmed = read_confirmed(LibraryStores.of(store), Settings())
    assert len(confirmed.templates.track) == 2
    assert len(confirmed.faces.track) == 6
    trained = train(store)
    assert trained_people(store, trained) == ["Ada", "Ben"]
    assert trained.messages == ("Trained 2 heads with 2 centres, of 2 confirmed tracks.",)


def test_people_of_two_videos_are_tested_and_others_are_not(store: TableStore) -> None:
    named(store, ADA, BEN, ("label", "ride-d:1", "--name", "Dan"))
    trained = train(store)
    left_out = trained.metrics["left_out"]
    assert (left_out["videos"], left_out["tracks"], left_out["right"]) == (4, 4, 4)
    assert (left_out["strangers"], left_out["strangers_named"]) == (1, 0)
    assert trained.metrics["faces"]["people"] == 3
    assert trained.metrics["faces"]["testable"] == 2
    assert trained.metrics["faces"]["auc"] == 1.0
    text = summary(trained)
    assert "| given the right name | 4 |" in text
    assert "| ROC-AUC | 1.0000 | 1.0000 |" in text
    assert "| TAR at FAR 0.01 | not measured | not measured |" in text
    assert by_person(trained, names_of(store)).splitlines()[2:] == [
        "| Ada | 2 | 2 |",
        "| Ben | 2 | 2 |",
    ]


def test_nothing_is_computed_twice(store: TableStore) -> None:
    named(store, ADA)
    first = train(store)
    again = train(store, LATER)
    assert not first.reused and again.reused
    assert again.messages[0].startswith(f"Nothing has changed since {NOW}: 1 head with 1 centre")
    assert again.metrics == first.metrics
    named(store)
    assert train(store, LATER).reused
    named(store, BEN)
    assert not train(store, LATER).reused


def test_heads_that_cannot_be_used_are_trained_anew(store: TableStore) -> None:
    named(store, ADA)
    train(store)
    folder = KMeansHeadStore(store.layout).folder(SPACE)
    (folder / "heads.safetensors").write_bytes(b"")
    with pytest.raises(KMeansHeadsError):
        heads_at_work(LibraryStores.of(store), Settings())
    assert not train(store).reused
    assert heads_at_work(LibraryStores.of(store), Settings()).known.gallery.people


def test_people_who_are_gone_are_gone_after_training(store: TableStore) -> None:
    named(store, ADA, BEN)
    train(store)
    named(store, ("undo", "last"))
    after = train(store)
    assert trained_people(store, after) == ["Ada"]
    assert "gone, because confirmed no more: 1" in after.messages[0]
    named(store, ("undo", "last"))
    nobody = train(store)
    assert nobody.heads is None
    assert "No track is confirmed" in nobody.messages[0] and "removed" in nobody.messages[0]
    assert summary(nobody) == nobody.messages[0]
    with pytest.raises(KMeansHeadsError, match="no k-means heads"):
        heads_at_work(LibraryStores.of(store), Settings())


def test_the_heads_name_people_and_raw_templates_those_who_came_later(store: TableStore) -> None:
    named(store, ADA)
    train(store)
    named(store, BEN)
    heads, names = heads_at_work(LibraryStores.of(store), Settings(), "template"), names_of(store)
    assert heads.thresholds.level == "template"
    assert heads_at_work(LibraryStores.of(store), Settings()).thresholds.level == "probe"
    answers = [heads.identify(np.array(axis(i, 16)), SPACE) for i in range(3)]
    assert [(names.get(a.result.person_id or ""), a.by) for a in answers[:2]] == [
        ("Ada", "centre"),
        ("Ben", "raw_reference"),
    ]
    assert answers[2].result.answer == "unknown"
    with pytest.raises(SpaceMismatchError):
        heads.identify(np.array(axis(0, 16)), "other")


def test_a_video_that_was_processed_anew_is_left_aside(store: TableStore) -> None:
    named(store, ADA, BEN)
    [video] = [v for v in store.videos_with("track_templates") if v.startswith("ride-b")]
    put(store, "track_templates", video, [])
    trained = train(store)
    assert "ride-b" in trained.messages[1] and "recluster" in trained.messages[1]
    assert trained.metrics["left_out"]["videos"] == 2
    for other in store.videos_with("track_templates"):
        put(store, "track_templates", other, [])
    nothing = train(store)
    assert nothing.heads is None and "recluster" in nothing.messages[0]
    assert KMeansHeadStore(store.layout).load(SPACE).heads.people  # nobody took anything back


def test_without_a_library_there_is_nothing_to_train(tmp_path: Path) -> None:
    with pytest.raises(NoGenerationError, match="recluster"):
        train(TableStore(Layout(tmp_path)))
