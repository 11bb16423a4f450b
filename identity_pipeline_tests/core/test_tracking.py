"""Identity-aware tracks: what is split, what is stitched, and what never is."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.tracks.tracking import build_tracks, identity_changes
from identity_pipeline.settings import TrackingSettings
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.builders import FEW, MODEST, axis, plane, unit

S = TrackingSettings()
Face = tuple[int, int | None, list[float] | None]
"""Frame, tracklet, embedding."""


def tables(faces: list[Face], because: str = "usable") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Detections and embeddings; faces of one frame are numbered in the order they come."""
    detections: list[dict[str, Any]] = []
    embeddings: list[dict[str, Any]] = []
    per_frame: dict[int, int] = {}
    for frame, tracklet, vector in faces:
        n = per_frame.get(frame, 0)
        per_frame[frame] = n + 1
        face = {"face_id": f"{frame:06d}-{n}", "frame_idx": frame}
        blank = dict.fromkeys(TABLES["face_detections"], 0.0)
        detections.append({**blank, **face, "tracklet_id": tracklet})
        if vector is not None:
            embeddings.append({**face, "space": "s", "because": because, "e_id": vector})
    return (
        pl.DataFrame(detections, schema=TABLES["face_detections"]),
        pl.DataFrame(embeddings, schema=TABLES["face_embeddings"]),
    )


def tracks(faces: list[Face], settings: TrackingSettings = S) -> list[int]:
    """Track ids in the order of the faces given."""
    detections, embeddings = tables(faces)
    table = build_tracks(detections, embeddings, settings)
    conform("face_tracks", table)
    of = dict(table.select("face_id", "track_id").iter_rows())
    return [of[face_id] for face_id in detections["face_id"]]


def run(start: int, count: int, tracklet: int | None, vector: list[float] | None) -> list[Face]:
    return [(start + i, tracklet, vector) for i in range(count)]


A, B = axis(0), axis(1)


def test_a_swap_for_good_splits_the_tracklet() -> None:
    assert tracks([*run(0, 10, 0, A), *run(10, 10, 0, B)]) == [0] * 10 + [1] * 10


def test_an_excursion_is_cut_out_and_the_rest_stitched() -> None:
    faces = [*run(0, 12, 0, A), *run(12, 4, 0, B), *run(16, 12, 0, A)]
    assert tracks(faces) == [0] * 12 + [1] * 4 + [0] * 12


@pytest.mark.parametrize("lengths", [(10, 10, 10), (20, 10, 4), (30, 15, 10)])
def test_a_long_excursion_is_cut_out_too(lengths: tuple[int, int, int]) -> None:
    a, b, c = lengths
    faces = [*run(0, a, 0, A), *run(a, b, 0, B), *run(a + b, c, 0, A)]
    assert tracks(faces) == [0] * a + [1] * b + [0] * c


def test_two_odd_faces_are_no_new_identity() -> None:
    faces = [*run(0, 10, 0, A), *run(10, 2, 0, B), *run(12, 10, 0, A)]
    assert tracks(faces) == [0] * 22


def test_the_cut_falls_half_way_between_two_embedded_faces() -> None:
    """Frames 4..8 are not embedded; those not nearer to the new identity stay."""
    faces = [*run(0, 4, 0, A), *run(4, 5, 0, None), *run(9, 4, 0, B)]
    assert tracks(faces) == [0] * 7 + [1] * 6


def test_split_fragments_say_so_and_the_join_is_recorded() -> None:
    faces = [*run(0, 5, 0, A), *run(5, 5, 0, B), *run(20, 5, 1, unit([0.8, 0.6] + [0] * 62))]
    table = build_tracks(*tables(faces), S)
    assert table["split"].to_list() == [True] * 15
    joined = table.filter(pl.col("track_id") == 0)
    assert joined["frame_idx"].to_list() == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]
    assert joined["stitch_cos"].to_list() == pytest.approx([0.8] * 10, abs=1e-5)
    assert table.filter(pl.col("track_id") == 1)["stitch_cos"].null_count() == 5


@pytest.mark.parametrize(("cosine", "ids"), [(0.505, [0, 0]), (0.39, [0, 1])])
def test_fragments_are_stitched_from_the_threshold_on(cosine: float, ids: list[int]) -> None:
    angle = float(np.degrees(np.arccos(cosine)))
    assert tracks([(0, 0, plane(0)), (9, 1, plane(angle))]) == ids


@pytest.mark.parametrize(("rival", "joined"), [(0.25, True), (0.35, False)])
def test_the_lower_bar_asks_for_a_margin(rival: float, joined: bool) -> None:
    """0.45 between the two; a third, never joinable, is as close as `rival` to the first."""
    second = [0.45, float(np.sqrt(1 - 0.45**2)), 0, 0]
    third = [rival, 0, float(np.sqrt(1 - rival**2)), 0]
    faces: list[Face] = [(0, 0, [1.0, 0, 0, 0]), (9, 1, second), (20, 2, third)]
    ids = tracks(faces)
    assert (ids[0] == ids[1]) == joined
    assert ids[2] not in ids[:2]


def test_a_shared_frame_forbids_the_join_of_identical_faces() -> None:
    assert tracks([*run(0, 5, 0, A), *run(4, 5, 1, A)]) == [0] * 5 + [1] * 5


def test_a_shared_frame_forbids_a_join_over_a_third_fragment() -> None:
    faces = [*run(0, 5, 0, A), *run(10, 5, 1, A), *run(2, 1, 2, A)]
    ids = dict(zip(range(11), tracks(faces), strict=True))
    assert ids[0] != ids[10]


def test_faces_without_embedding_or_tracklet_are_tracks_too() -> None:
    faces: list[Face] = [*run(0, 3, 0, None), (5, None, None), (6, None, A), (7, None, A)]
    assert tracks(faces) == [0, 0, 0, 1, 2, 2]


def test_the_cosine_to_the_own_track_is_null_where_not_embedded() -> None:
    table = build_tracks(*tables([(0, 0, A), (1, 0, None), (2, 0, A)]), S)
    assert table["track_cos"].to_list() == [pytest.approx(1), None, pytest.approx(1)]


def test_usable_faces_alone_make_the_template() -> None:
    """A blurred witness that looks like somebody else does not keep two halves apart."""
    detections, embeddings = tables([(0, 0, A), (1, 0, B), (9, 1, A)])
    embeddings = embeddings.with_columns(
        because=pl.when(pl.col("frame_idx") == 1).then(pl.lit("witness")).otherwise("because")
    )
    assert build_tracks(detections, embeddings, S)["track_cos"].to_list()[::2] == [1.0, 1.0]


def test_track_ids_count_by_first_appearance_then_from_the_left() -> None:
    assert tracks([(3, 9, A), (3, 2, B), (1, 5, axis(2))]) == [1, 2, 0]


def test_no_face_gives_an_empty_table() -> None:
    assert build_tracks(*tables([]), S).height == 0


# --- false joins -------------------------------------------------------------------------------


def near(cosine: float) -> list[float]:
    """A vector at a cosine to A."""
    return [cosine, float(np.sqrt(1 - cosine**2)), *[0.0] * 62]


def parted(
    second: list[float], cuts: tuple[int, ...] = (60,), gap: int = 60, length: int = 40
) -> list[int]:
    """Tracks of two stretches of four seconds, of A and of another, with a cut between them."""
    faces = [*run(0, length, 0, A), *run(gap, length, 1, second)]
    detections, embeddings = tables(faces)
    seen = detections.with_columns(timestamp_ms=pl.col("frame_idx") * 100.0)
    table = build_tracks(seen, embeddings, S, cuts)
    conform("face_tracks", table)
    return table["track_id"].to_list()


@pytest.mark.parametrize(("cosine", "apart"), [(0.52, True), (0.59, True), (0.61, False)])
def test_a_join_over_a_cut_is_undone_where_more_than_a_stitch_is_asked(
    cosine: float, apart: bool
) -> None:
    assert parted(near(cosine)) == [0] * 40 + [int(apart)] * 40


def test_only_a_cut_or_a_long_gap_puts_a_join_in_question() -> None:
    other = near(0.55)
    assert set(parted(other, cuts=(), gap=60)) == {0}
    assert set(parted(other, cuts=(), gap=100)) == {0, 1}
    assert set(parted(other, cuts=(40,), gap=40)) == {0, 1}


def test_a_moment_tells_nobody_from_anybody() -> None:
    """Two seconds are too short: a flash makes anybody somebody else."""
    assert set(parted(near(0.55), length=20)) == {0}
    assert set(parted(near(0.55), length=30)) == {0, 1}


def test_who_is_as_unlike_himself_is_left_whole() -> None:
    """Faces behind a hand: their mean is at 0.55 from the others', and they hardly agree."""
    rng = np.random.default_rng(0)
    scattered = [
        unit(np.array(near(0.56)) + 1.3 * np.array(unit(rng.normal(size=64)))) for _ in range(40)
    ]
    faces = [*run(0, 40, 0, A), *((60 + i, 1, v) for i, v in enumerate(scattered))]
    detections, embeddings = tables(faces)
    seen = detections.with_columns(timestamp_ms=pl.col("frame_idx") * 100.0)
    assert set(build_tracks(seen, embeddings, S, (60,))["track_id"]) == {0}
    bold = S.model_copy(update={"part_margin": 0.0})
    assert set(build_tracks(seen, embeddings, bold, (60,))["track_id"]) == {0, 1}


def test_parts_say_whom_they_were_parted_from() -> None:
    faces = [*run(0, 40, 0, A), *run(60, 40, 1, near(0.55))]
    detections, embeddings = tables(faces)
    seen = detections.with_columns(timestamp_ms=pl.col("frame_idx") * 100.0)
    table = build_tracks(seen, embeddings, S, (60,))
    assert table["parted_cos"].to_list() == pytest.approx([0.55] * 80, abs=1e-5)
    assert table["track_cos"].to_list() == pytest.approx([1.0] * 80, abs=1e-5)
    whole = build_tracks(seen, embeddings, S)
    assert whole["parted_cos"].null_count() == 80


@given(st.lists(st.integers(0, 2), min_size=2, max_size=5), st.integers(0, 2**31))
@MODEST
def test_people_joined_over_cuts_are_told_apart_in_any_order_of_rows(
    people: list[int], seed: int
) -> None:
    """Scenes of one person each; any two people are 0.55 apart, which is enough for a stitch."""
    rng = np.random.default_rng(seed)
    looks = np.sqrt(0.55) * np.eye(16)[0] + np.sqrt(0.45) * np.eye(16)[1:4]
    faces: list[Face] = []
    for scene, person in enumerate(people):
        for i in range(0, 40, 5):
            look = unit(looks[person] + rng.normal(0, 0.03, 16))
            faces.append((scene * 50 + i, scene, look))
    detections, embeddings = tables(faces)
    seen = detections.with_columns(timestamp_ms=pl.col("frame_idx") * 100.0)
    cuts = [50 * scene for scene in range(1, len(people))]
    table = build_tracks(seen, embeddings, S, cuts)
    by_scene = table.group_by(pl.col("frame_idx") // 50).agg(pl.col("track_id").unique())
    ids = dict(by_scene.iter_rows())
    told = [ids[scene] for scene in range(len(people))]
    assert all(len(found) == 1 for found in told)
    order = list(dict.fromkeys(people))
    assert [found[0] for found in told] == [order.index(person) for person in people]
    shuffled = rng.permutation(seen.height).tolist()
    assert build_tracks(seen[shuffled], embeddings[::-1], S, cuts[::-1]).equals(table)


# --- identity_changes --------------------------------------------------------------------------


def changes(*parts: tuple[list[float], int]) -> list[int]:
    sequence = np.array([v for vector, count in parts for v in [vector] * count])
    return identity_changes(sequence, 0.35, 3)


def test_identity_changes_on_known_sequences() -> None:
    assert changes((A, 12)) == []
    assert changes((A, 8), (B, 8)) == [8]
    assert changes((A, 3), (B, 3)) == [3]
    assert changes((A, 8), (B, 6), (axis(2), 9)) == [8, 14]
    assert changes((A, 20), (B, 4), (A, 20)) == [20, 24]
    assert changes((A, 20), (B, 2), (A, 20)) == []
    assert changes((A, 2), (B, 1)) == []
    assert identity_changes(np.zeros((0, 1)), 0.35, 3) == []


@given(st.lists(st.integers(3, 15), min_size=1, max_size=5), st.integers(0, 2**31))
@MODEST
def test_different_people_in_a_row_are_all_told_apart(lengths: list[int], seed: int) -> None:
    """Noisy looks of different people, each seen for at least the run."""
    rng = np.random.default_rng(seed)
    people = np.eye(64)[: len(lengths)]
    sequence = np.repeat(people, lengths, axis=0) + rng.normal(0, 0.05, (sum(lengths), 64))
    sequence /= np.linalg.norm(sequence, axis=1, keepdims=True)
    assert identity_changes(sequence, 0.35, 3) == np.cumsum(lengths)[:-1].tolist()


# --- properties --------------------------------------------------------------------------------


@st.composite
def scenes(draw: st.DrawFn) -> list[Face]:
    """Up to five tracklets of up to three people, overlapping in time as they like."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    faces: list[Face] = []
    for tracklet in range(draw(st.integers(1, 5))):
        start, count = draw(st.integers(0, 20)), draw(st.integers(1, 12))
        person = draw(st.integers(0, 2))
        for i in range(count):
            look = unit(np.eye(16)[person] + rng.normal(0, 0.08, 16))
            seen = rng.random() < 0.7
            faces.append((start + i, tracklet, look if seen else None))
    return sorted(faces, key=lambda face: face[0])


@given(scenes(), st.integers(0, 2**31))
@FEW
def test_every_face_is_in_one_track_and_no_track_twice_in_a_frame(
    faces: list[Face], seed: int
) -> None:
    detections, embeddings = tables(faces)
    table = build_tracks(detections, embeddings, S)
    assert sorted(table["face_id"]) == sorted(detections["face_id"])
    assert table.select("track_id", "frame_idx").is_unique().all()
    assert sorted(set(table["track_id"])) == list(range(table["track_id"].n_unique()))
    order = np.random.default_rng(seed).permutation(detections.height).tolist()
    again = build_tracks(detections[order], embeddings[::-1], S)
    assert again.equals(table)


@given(st.integers(2, 6), st.integers(1, 5))
@FEW
def test_identical_looks_in_one_frame_are_as_many_people(people: int, frames: int) -> None:
    faces: list[Face] = [(f, p, A) for f in range(frames) for p in range(people)]
    assert sorted(set(tracks(faces))) == list(range(people))
