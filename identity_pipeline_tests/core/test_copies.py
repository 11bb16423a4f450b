"""Copies of a ride: hashes, pairs without comparing all with all, likeness, groups, tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.video.copied_tracks import face_likeness, same_tracks
from identity_pipeline.core.video.copies import (
    BITS,
    COMMON_TO,
    KEYS,
    Likeness,
    Link,
    Look,
    Size,
    are_copies,
    candidate_pairs,
    frame_hash,
    keys_of,
    likeness,
    look_of,
    representatives,
)
from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.settings import CopySettings

SETTINGS = CopySettings()
TRACK = np.random.default_rng(7).normal(size=(400, 18, 32))


def ride(
    seed: int,
    *,
    seconds: float = 12.0,
    start: float = 0.0,
    fps: float = 10.0,
    noise: float = 0.0,
    gamma: float = 1.0,
    riders: bool = True,
) -> Look:
    """A ride on one track: the scenery is the same for all, the riders are the seed's own."""
    own, rng = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    faces = own.normal(size=(400, 10, 20))
    times, hashes = [], []
    for i in range(round(seconds * fps)):
        at = (start + i / fps) * 4  # scenery and riders change four times a second
        k, part = int(at), at % 1
        scene = (1 - part) * TRACK[k] + part * TRACK[k + 1]
        if riders:
            scene = scene.copy()
            scene[6:16, 6:26] = (1 - part) * faces[k] + part * faces[k + 1]
        picture = np.clip(0.5 + 0.15 * scene + noise * rng.normal(size=scene.shape), 0, 1)
        times.append(5000.0 + 1000 * i / fps)
        hashes.append(frame_hash((255 * picture**gamma).astype(np.uint8)))
    return look_of(times, hashes)


def table(keys: Sequence[Keys], first: int = 0) -> KeyTable:
    """The keys of videos whose ids are their numbers."""
    return KeyTable.of({f"{n:03d}": ("1", held) for n, held in enumerate(keys, first)})


def judged(one: Look, other: Look) -> tuple[bool, Likeness]:
    """Whether two videos are found and judged to be copies."""
    pairs = candidate_pairs(table([keys_of(one), keys_of(other)]))
    if not pairs:
        return False, Likeness(0.0, 0.0, 0.0)
    found = likeness(one, other, pairs[0].offsets_ms)
    return are_copies(found, one, other, SETTINGS), found


@pytest.mark.parametrize(
    ("change", "offset_ms"),
    [
        ({}, 0),
        ({"noise": 0.02}, 0),
        ({"gamma": 1.8}, 0),
        ({"fps": 15.0}, 0),
        ({"fps": 30.0, "noise": 0.01}, 0),
        ({"start": 3.04, "seconds": 8.0}, 3040),
        ({"seconds": 7.0}, 0),
        ({"start": 2.0, "seconds": 9.0, "noise": 0.02, "gamma": 0.6, "fps": 12.0}, 2000),
    ],
)
def test_a_copy_is_found_however_it_was_made(change: dict[str, float], offset_ms: float) -> None:
    copied, found = judged(ride(1), ride(1, **change))  # type: ignore[arg-type]
    assert copied, found
    assert abs(found.offset_ms - offset_ms) <= 100


@pytest.mark.parametrize("start", [0.0, 0.3, 2.0])
def test_other_riders_on_the_same_track_are_no_copy(start: float) -> None:
    copied, found = judged(ride(1), ride(2, start=start))
    assert not copied, found


def test_a_short_stretch_in_common_is_no_copy() -> None:
    one, other = ride(1, seconds=20), ride(1, seconds=20, start=17.0)
    assert not judged(one, other)[0]  # three of twenty seconds: a trailer
    assert not judged(ride(1), ride(1, seconds=1.0))[0]


def test_flat_frames_have_no_hash_and_alike_darkness_is_no_copy() -> None:
    assert frame_hash(np.full((18, 32), 7, np.uint8)) is None
    steep = np.arange(576, dtype=np.uint16).reshape(18, 32).astype(np.uint8)
    assert len(frame_hash(steep) or b"") == 2 * BITS // 8
    dark = look_of([0.0, 100.0], [None, None])
    assert dark.duration_ms == 0.0 and len(keys_of(dark).key) == 0
    assert not judged(dark, dark)[0]
    assert likeness(dark, ride(1), (0.0,)).share == 0.0


def test_keys_are_bounded_and_scenery_that_all_share_leads_to_no_pair() -> None:
    assert len(keys_of(ride(1, seconds=60)).key) == KEYS
    empty = keys_of(ride(1, riders=False))
    assert candidate_pairs(table([empty] * (COMMON_TO + 1))) == []
    assert len(candidate_pairs(table([empty] * 3))) == 3
    assert candidate_pairs(table([])) == []


def test_many_rides_of_one_track_and_the_copies_among_them() -> None:
    rides = [ride(seed, noise=0.01) for seed in range(30)]
    rides += [ride(seed, noise=0.02, start=1.5, seconds=9.0) for seed in (3, 11)]
    found = []
    for pair in candidate_pairs(table([keys_of(look) for look in rides])):
        left, right = int(pair.left), int(pair.right)
        alike = likeness(rides[left], rides[right], pair.offsets_ms)
        if are_copies(alike, rides[left], rides[right], SETTINGS):
            found.append((left, right))
    assert found == [(3, 30), (11, 31)]


def some_keys(values: list[int], late: int) -> Keys:
    key = np.unique(np.array(values, np.uint64))
    return Keys(key, ((key % 7) * 100 + 100 * late).astype(np.float32))


VIDEO = st.builds(
    some_keys, st.lists(st.integers(0, 60), max_size=30), st.integers(0, 3)
)  # so many keys are shared that some are of more videos than lead to a pair


@given(st.lists(VIDEO, min_size=1, max_size=45), st.data())
@settings(max_examples=40)
def test_keys_merged_in_lead_to_the_pairs_of_all_keys_at_once(
    videos: list[Keys], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(videos)))
    gone = data.draw(st.sets(st.integers(0, len(videos) - 1)))
    kept = {f"{n:03d}": "1" for n in range(len(videos)) if n not in gone}
    whole = KeyTable.of({name: ("1", videos[int(name)]) for name in kept})
    for one, other in ((0, 1), (1, 0)):
        parts = table(videos[:cut]), table(videos[cut:], cut)
        merged = parts[one].kept(kept).merged(parts[other]).kept(kept)
        assert merged.versions == kept
        assert candidate_pairs(merged) == candidate_pairs(whole)


def link(left: str, right: str) -> Link:
    return Link(left, right, Likeness(1.0, 0.0, 9000.0))


def test_the_video_with_the_most_pixels_stands_for_a_group() -> None:
    sizes = {
        "a": Size(True, 100, 9.0), "b": Size(True, 400, 5.0), "c": Size(True, 400, 6.0),
        "d": Size(True, 400, 6.0), "e": Size(False, 900, 9.0),
        "x": Size(True, 1, 1.0), "y": Size(True, 1, 1.0),
    }  # fmt: skip
    links = [link("a", "b"), link("b", "d"), link("c", "d"), link("x", "y"), link("e", "a")]
    expected = {"a": "c", "b": "c", "d": "c", "e": "c", "y": "x"}
    assert representatives(links, sizes) == expected
    assert representatives(links[::-1], sizes) == expected
    assert representatives([], {}) == {}


def boxes(track: int, x: float, times: range, width: float = 0.2) -> pl.DataFrame:
    rows = [
        {"track_id": track, "time_ms": float(t), "x1": x, "y1": 0.3, "x2": x + width, "y2": 0.6}
        for t in times
    ]
    return pl.DataFrame(rows)


def test_tracks_are_the_same_where_faces_lie_at_the_same_time() -> None:
    one = pl.concat([boxes(4, 0.1, range(0, 5000, 100)), boxes(9, 0.6, range(0, 5000, 100))])
    other = pl.concat(
        [
            boxes(1, 0.62, range(30, 3000, 100)),
            boxes(2, 0.11, range(30, 3000, 100)),
            boxes(3, 0.35, range(30, 3000, 100), 0.05),
            boxes(5, 0.1, range(9000, 9900, 100)),
        ]
    )
    assert same_tracks(one, other, 1000.0) == {1: 9, 2: 4}
    assert same_tracks(one, other.clear(), 0.0) == {} == same_tracks(one.clear(), other, 0.0)


def test_a_track_that_changes_seats_is_none_of_the_two() -> None:
    one = pl.concat([boxes(4, 0.1, range(0, 4000, 100)), boxes(9, 0.6, range(0, 4000, 100))])
    other = pl.concat([boxes(1, 0.1, range(0, 2000, 100)), boxes(1, 0.6, range(2000, 4000, 100))])
    assert same_tracks(one, other, 0.0) == {}


def thumbnail(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (18, 32), dtype=np.uint8)


def test_a_hash_counts_only_what_is_sure() -> None:
    picture = thumbnail(0)
    known = frame_hash(picture)
    darker = frame_hash((picture * 0.4 + 20).astype(np.uint8))
    assert known is not None and darker is not None
    look, other = look_of([0.0], [known]), look_of([0.0], [darker])
    assert int(np.bitwise_count(look.large).sum()) >= 64
    both = look.large & other.large
    assert not (np.bitwise_count((look.signs ^ other.signs) & both)).any()


def test_another_rider_in_one_seat_is_seen_where_the_faces_are() -> None:
    one, other = ride(1), ride(2)
    left = np.zeros((8, 16), bool)
    left[:, :8] = True
    mask = np.packbits(left).view(np.uint64)
    # The left half of one ride beside the right half of another one.
    mixed = Look(one.time_ms, one.signs & mask | other.signs & ~mask, one.large)
    times = range(0, 12_000, 100)
    same, different = boxes(1, 0.2, times), boxes(2, 0.6, times)
    alike = face_likeness(one, mixed, 0.0, same)
    assert alike is not None and alike > 0.99
    found = face_likeness(one, mixed, 0.0, pl.concat([same, different]))
    assert found is not None and found < 0.8
    assert face_likeness(one, mixed, 0.0, same.clear()) is None
    assert face_likeness(one, mixed, 60_000.0, same) is None
