"""The index holds exactly what the tables say: per video, per kind, per embedding space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.vectors import NotUnitNormError
from identity_pipeline.stages.library import indexing
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.index.client import IndexPlace, server_client
from identity_pipeline.storage.index.points import (
    IndexPoint,
    MixedSpacesError,
    VideoPoints,
    checksum,
    collection_name,
)
from identity_pipeline.storage.index.session import Filter, Replaced
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline_tests.core.builders import MODEST
from identity_pipeline_tests.storage.small_library import (
    RIDE_A,
    RIDE_B,
    SPACE,
    VISION,
    index_of,
    name_track,
    write_ride,
)

OTHER_SPACE, OTHER_VISION = "pack/other@000000000000/8", "vision@000000000000/6"
PERSON = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(Layout(tmp_path))
    write_ride(store, RIDE_A, seed=1)
    write_ride(store, RIDE_B, seed=2)
    return store


@pytest.fixture
def index(store: TableStore) -> VectorIndex:
    index = index_of(store)
    indexing.rebuild(LibraryStores.of(store), index)
    return index


def states(store: TableStore, index: VectorIndex) -> dict[str, str]:
    return {d.video_id: d.state for d in indexing.check(LibraryStores.of(store), index)}


# --- points ------------------------------------------------------------------------------------


def test_a_video_gives_its_templates_and_its_exported_images(store: TableStore) -> None:
    name_track(store, RIDE_A, 1, PERSON)
    video = indexing.points_of_video(
        LibraryStores.of(store), RIDE_A, indexing.known_in_force(LibraryStores.of(store))
    )
    assert (video.space, video.vision_space) == (SPACE, VISION)
    templates = [p for p in video.points if p.kind == "template"]
    images = [p for p in video.points if p.kind == "image"]
    assert [(p.track_id, set(p.vectors), p.set) for p in templates] == [
        (0, {"e_id"}, None),
        (1, {"e_id"}, None),
    ]
    assert len(images) == 8
    assert {p.set for p in images} == {asset.removesuffix("_set") for asset in SET_ASSETS}
    assert all(set(p.vectors) == {"e_id", "e_vis_face", "e_vis_body"} for p in images)
    assert {p.person_id for p in video.points if p.track_id == 1} == {PERSON}
    assert {p.person_id for p in video.points if p.track_id == 0} == {None}


def test_a_video_without_tables_gives_no_points(tmp_path: Path) -> None:
    empty_store = TableStore(Layout(tmp_path))
    assert indexing.points_of_video(LibraryStores.of(empty_store), RIDE_A) == VideoPoints(
        RIDE_A, None, None, ()
    )


def test_tables_of_two_spaces_in_one_video_are_refused(store: TableStore) -> None:
    templates = store.read("track_templates", RIDE_A)
    write_ride(store, RIDE_A, space=OTHER_SPACE)
    store.write("track_templates", RIDE_A, templates, "f")
    with pytest.raises(MixedSpacesError, match="process the video again"):
        indexing.points_of_video(LibraryStores.of(store), RIDE_A)


@given(st.permutations(["a", "b", "c", "d"]))
@MODEST
def test_the_checksum_knows_no_order(digests: list[str]) -> None:
    assert checksum(digests) == checksum(["a", "b", "c", "d"]) != checksum(["a", "b", "c"])


def test_equal_points_have_equal_ids_and_others_not(store: TableStore) -> None:
    one, two = (
        list(indexing.points_of_video(LibraryStores.of(store), v).digests())
        for v in (RIDE_A, RIDE_A)
    )
    assert one == two and len(set(one)) == 10
    other = indexing.points_of_video(LibraryStores.of(store), RIDE_B).digests()
    assert not set(one) & set(other)
    point = indexing.points_of_video(LibraryStores.of(store), RIDE_A).points[0]
    assert point.point_id(SPACE) != point.point_id(OTHER_SPACE)
    assert point.point_id(SPACE) != replace(point, kind="exemplar").point_id(SPACE)


def test_every_change_of_a_point_changes_its_digest(store: TableStore) -> None:
    video = indexing.points_of_video(LibraryStores.of(store), RIDE_A)
    point = video.points[-1]
    flipped = {**point.vectors, "e_vis_body": -point.vectors["e_vis_body"]}
    for other in (
        replace(point, quality=0.1),
        replace(point, person_id=PERSON),
        replace(point, vectors=flipped),
    ):
        changed = replace(video, points=(*video.points[:-1], other))
        assert changed.digests().keys() == video.digests().keys()
        assert changed.digests() != video.digests()


def test_a_vector_that_is_not_of_unit_length_never_gets_in(store: TableStore) -> None:
    video = indexing.points_of_video(LibraryStores.of(store), RIDE_A)
    long = replace(video.points[0], vectors={"e_id": np.ones(8, np.float32)})
    with pytest.raises(NotUnitNormError):
        replace(video, points=(long,))
    with pytest.raises(ValueError, match="without its space"):
        replace(video, vision_space=None)
    with pytest.raises(ValueError, match="no point of"):
        replace(video, video_id=RIDE_B)


def test_collections_have_safe_names_and_one_per_space() -> None:
    assert collection_name(SPACE) != collection_name(OTHER_SPACE)
    assert collection_name("a/b") != collection_name("a_b")
    assert len({collection_name(SPACE, v) for v in (None, VISION, OTHER_VISION)}) == 3
    assert set(collection_name(SPACE)).isdisjoint('<>:"/\\|?*')


# --- writing -----------------------------------------------------------------------------------


def test_an_empty_library_has_an_empty_index(tmp_path: Path) -> None:
    empty_store = TableStore(Layout(tmp_path / "none"))
    index = index_of(empty_store)
    assert indexing.check(LibraryStores.of(empty_store), index) == []
    assert indexing.rebuild(LibraryStores.of(empty_store), index).points == 0
    with index.open("testing") as session:
        assert session.search(SPACE, np.eye(8)[0]) == []
        assert session.collections() == []


def test_writing_again_writes_nothing(store: TableStore) -> None:
    index = index_of(store)
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(LibraryStores.of(store), session, RIDE_A) == Replaced(10, 0, 0)
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(LibraryStores.of(store), session, RIDE_A) == Replaced(0, 0, 10)
    assert states(store, index) == {RIDE_B: "missing"}
    assert index.unfinished() == []


def test_a_new_run_replaces_exactly_its_own_points(store: TableStore, index: VectorIndex) -> None:
    with index.open("testing") as session:
        before = session.contents()
    write_ride(store, RIDE_A, seed=1, faces=6)  # two images fewer, the rest equal or not
    with index.open("testing", write=True) as session:
        done = indexing.sync_video(LibraryStores.of(store), session, RIDE_A)
        after = session.contents()
    assert done.removed == 2 and done.written + done.unchanged == 8
    assert after[RIDE_B] == before[RIDE_B] and after[RIDE_A].count == 8
    assert states(store, index) == {}


def test_kinds_are_replaced_on_their_own(store: TableStore, index: VectorIndex) -> None:
    video = indexing.points_of_video(LibraryStores.of(store), RIDE_A)
    exemplar = replace(video.points[0], kind="exemplar", person_id=PERSON)
    alone = replace(video, points=(exemplar,))
    with index.open("testing", write=True) as session:
        assert session.replace(alone, kinds=("exemplar",)) == Replaced(1, 0, 0)
        assert session.replace(video, kinds=("template", "image")) == Replaced(0, 0, 10)
        assert session.contents()[RIDE_A].count == 11
        gone = replace(alone, points=())
        assert session.replace(gone, kinds=("exemplar",)) == Replaced(0, 1, 0)
        session.replace(alone, kinds=("exemplar",))
    assert states(store, index) == {RIDE_A: "changed"}
    assert indexing.sync(LibraryStores.of(store), index) == {RIDE_A: Replaced(0, 1, 10)}


def test_naming_people_changes_their_payload_only(store: TableStore, index: VectorIndex) -> None:
    name_track(store, RIDE_A, 1, PERSON)
    assert states(store, index) == {RIDE_A: "changed"}
    assert indexing.sync(LibraryStores.of(store), index) == {RIDE_A: Replaced(5, 0, 5)}
    assert states(store, index) == {} and indexing.sync(LibraryStores.of(store), index) == {}


def test_videos_that_are_gone_are_removed(store: TableStore, index: VectorIndex) -> None:
    for asset in ("track_templates", *SET_ASSETS):
        store.layout.table(asset, RIDE_B).unlink()
    assert states(store, index) == {RIDE_B: "superfluous"}
    assert indexing.sync(LibraryStores.of(store), index) == {RIDE_B: Replaced(0, 10, 0)}
    assert states(store, index) == {}


def test_a_rebuild_is_what_single_writes_are(store: TableStore, index: VectorIndex) -> None:
    other = VectorIndex(IndexPlace(store.layout.root / "other"), index.settings)
    with other.open("testing", write=True) as session:
        for video_id in (RIDE_B, RIDE_A):
            indexing.sync_video(LibraryStores.of(store), session, video_id)
        one = session.contents()
    with index.open("testing") as session:
        assert session.contents() == one


def test_a_rebuild_catches_up_with_tables_that_changed_meanwhile(store: TableStore) -> None:
    index, sources = index_of(store), indexing.sources_of(LibraryStores.of(store))

    def points_of(video_id: str) -> VideoPoints:
        points = sources.points_of(video_id)
        if video_id == RIDE_A and store.noted("track_templates", RIDE_A).rows == 2:
            write_ride(store, RIDE_A, seed=9, faces=4)
            store.write("track_templates", RIDE_A, store.read("track_templates", RIDE_A)[:1], "f")
        return points

    index.rebuild(replace(sources, points_of=points_of))
    assert states(store, index) == {}


def test_a_copy_of_the_data_folder_that_followed_the_link_still_works(
    store: TableStore, index: VectorIndex
) -> None:
    target = index.place.store.resolve()
    index.place.store.unlink()
    target.rename(index.place.store)
    assert states(store, index) == {}
    assert indexing.rebuild(LibraryStores.of(store), index).points == 20
    assert states(store, index) == {}
    assert index.place.store.is_symlink()


# --- spaces ------------------------------------------------------------------------------------


def test_a_video_of_another_recogniser_goes_to_a_collection_of_its_own(
    store: TableStore, index: VectorIndex
) -> None:
    write_ride(store, RIDE_B, seed=2, space=OTHER_SPACE)
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(LibraryStores.of(store), session, RIDE_B) == Replaced(10, 10, 0)
        assert {c.space: c.count for c in session.collections()} == {SPACE: 10, OTHER_SPACE: 10}
        hits = session.search(OTHER_SPACE, np.eye(8)[0], limit=50)
    assert {hit.video_id for hit in hits} == {RIDE_B}
    assert states(store, index) == {}


def test_two_encoders_share_the_index_and_are_never_compared(
    store: TableStore, index: VectorIndex
) -> None:
    """A library goes over to another encoder video by video; until then it has both."""
    write_ride(store, RIDE_B, seed=2, vision=OTHER_VISION)
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(LibraryStores.of(store), session, RIDE_B) == Replaced(10, 10, 0)
        found = {c.vision_space: (c.space, c.count) for c in session.collections()}
        assert found == {VISION: (SPACE, 10), OTHER_VISION: (SPACE, 10)}
        query = np.eye(6, dtype=np.float32)[0]
        seen = session.search(OTHER_VISION, query, 50, using="e_vis_face")
        assert {hit.video_id for hit in seen} == {RIDE_B}
        same_recogniser = session.search(SPACE, np.eye(8)[0], 50)
        assert {hit.video_id for hit in same_recogniser} == {RIDE_A, RIDE_B}
    assert states(store, index) == {}
    write_ride(store, RIDE_A, vision=OTHER_VISION)
    assert set(indexing.sync(LibraryStores.of(store), index)) == {RIDE_A}
    with index.open("testing") as session:
        assert {c.vision_space: c.count for c in session.collections() if c.count} == {
            OTHER_VISION: 20
        }
    assert states(store, index) == {}


def test_bodies_of_an_encoder_of_their_own_are_found_in_its_space_alone(
    store: TableStore, index: VectorIndex
) -> None:
    body = "body@cccccccccccc/4"
    write_ride(store, RIDE_B, seed=2, body=body)
    indexing.sync(LibraryStores.of(store), index)
    with index.open("testing") as session:
        found = {(c.vision_space, c.body_space): c.count for c in session.collections()}
        assert found == {(VISION, None): 10, (VISION, body): 10}
        (of_body,) = {
            hit.video_id for hit in session.search(body, np.eye(4)[0], 50, using="e_vis_body")
        }
        of_face = {
            hit.video_id for hit in session.search(VISION, np.eye(6)[0], 50, using="e_vis_face")
        }
        bodies_of_the_face_encoder = {
            hit.video_id for hit in session.search(VISION, np.eye(6)[0], 50, using="e_vis_body")
        }
        with pytest.raises(MixedSpacesError, match="of two models"):
            session.search(body, np.eye(4)[0], 50, using="e_vis_face")
    assert of_body == RIDE_B and of_face == {RIDE_A, RIDE_B}
    assert bodies_of_the_face_encoder == {RIDE_A}
    assert states(store, index) == {}
    assert indexing.rebuild(LibraryStores.of(store), index).refused == {}
    assert states(store, index) == {}
    write_ride(store, RIDE_B, seed=2)
    assert states(store, index) == {RIDE_B: "changed"}


def test_a_video_without_vision_vectors_fits_in_beside_any_encoder(
    store: TableStore, index: VectorIndex
) -> None:
    write_ride(store, RIDE_B, seed=2, vision=OTHER_VISION)
    indexing.sync(LibraryStores.of(store), index)
    video = indexing.points_of_video(LibraryStores.of(store), RIDE_A)
    bare = replace(video, points=video.points[:2], vision_space=None)
    with index.open("testing", write=True) as session:
        assert session.replace(bare) == Replaced(0, 8, 2)
        assert session.replace(bare) == Replaced(0, 0, 2)
        assert session.replace(video) == Replaced(8, 0, 2)
    assert states(store, index) == {}


def test_a_rebuild_holds_the_videos_of_every_encoder(store: TableStore) -> None:
    for n, video_id in enumerate(("x-1", "x-2")):
        write_ride(store, video_id, seed=n, vision=OTHER_VISION)
    index = index_of(store)
    built = indexing.rebuild(LibraryStores.of(store), index)
    assert built.points == 40 and built.refused == {}
    assert states(store, index) == {}


def test_vision_vectors_may_come_later_than_the_templates(store: TableStore) -> None:
    index = index_of(store)
    templates = store.read("track_templates", RIDE_A)
    video = indexing.points_of_video(LibraryStores.of(store), RIDE_A)
    first = replace(video, points=video.points[: templates.height], vision_space=None)
    with index.open("testing", write=True) as session:
        session.replace(first)
    with index.open("testing", write=True) as session:
        assert session.replace(video) == Replaced(8, 0, 2)
    with index.open("testing") as session:
        (collection,) = session.collections()
        assert collection.vision_space == VISION
        assert collection.dimensions == {"e_id": 8, "e_vis_face": 6, "e_vis_body": 6}
        image = video.points[-1]
        hit = session.search(VISION, image.vectors["e_vis_body"], 1, using="e_vis_body")[0]
    assert hit.subject == image.subject


# --- searching ---------------------------------------------------------------------------------


def test_a_search_finds_the_nearest_with_its_cosine(store: TableStore, index: VectorIndex) -> None:
    points: list[IndexPoint] = []
    for video_id in (RIDE_A, RIDE_B):
        points += indexing.points_of_video(LibraryStores.of(store), video_id).points
    query = points[0].vectors["e_id"]
    cosines = sorted((float(p.vectors["e_id"] @ query) for p in points), reverse=True)
    with index.open("testing") as session:
        hits = session.search(SPACE, query, limit=5)
    assert [hit.score for hit in hits] == pytest.approx(cosines[:5], abs=1e-6)
    assert {hits[0].subject, hits[1].subject} == {
        points[0].subject,
        f"face:{RIDE_A}:{points[0].face_id}",
    }


def test_filters_narrow_a_search(store: TableStore, index: VectorIndex) -> None:
    name_track(store, RIDE_A, 1, PERSON)
    indexing.sync(LibraryStores.of(store), index)
    query = np.eye(8, dtype=np.float32)[0]
    with index.open("testing") as session:

        def found(**fields: object) -> set[str]:
            hits = session.search(SPACE, query, 100, Filter(**fields))  # type: ignore[arg-type]
            return {hit.subject for hit in hits}

        everything = found()
        assert len(everything) == 20
        assert found(kinds=["template"]) == {s for s in everything if s.startswith("track:")}
        assert found(video_ids=[RIDE_A]) == found(without_videos=[RIDE_B])
        assert len(found(person_ids=[PERSON])) == 5 == len(found(labelled=True))
        assert found(labelled=False) == everything - found(labelled=True)
        assert len(found(sets=["anchor"])) == 4
        assert len(found(quality_min=0.75)) == 4


def test_a_search_in_another_space_is_refused(store: TableStore, index: VectorIndex) -> None:
    with index.open("testing") as session:
        with pytest.raises(MixedSpacesError, match="model of the query"):
            session.search(OTHER_SPACE, np.eye(8)[0])
        with pytest.raises(NotUnitNormError):
            session.search(SPACE, np.ones(8))


# --- a server (by construction only: there is none here) -----------------------------------------


def test_the_environment_chooses_the_server(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    here = IndexPlace.of(layout, {})
    assert here.url is None and here.store == tmp_path / "index" / "qdrant"
    there = IndexPlace.of(
        layout, {"QDRANT_URL": "http://qdrant.example:6333", "QDRANT_API_KEY": "secret"}
    )
    assert there.url == "http://qdrant.example:6333"
    assert "secret" not in repr(there) + str(there)
    client = server_client(there)
    assert type(client._client).__name__ == "QdrantRemote"
    client.close()
    assert not here.store.exists()
