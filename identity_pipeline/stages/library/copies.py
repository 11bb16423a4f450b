"""Copies of one ride among the videos: found, linked, and left out where rides are counted.

A ride that was copied in another encoding is one ride. Of each group of copies one video counts;
the tracks of the others are no evidence of anything. A decision that a human made about a track of
a copy holds for the same track of the video that counts; where there is no such track, or another
decision about it, the copy's track counts itself. All of it is a function of the videos that are
there: a video that goes takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.core.video.copied_heads import (
    Vectors,
    heads_likeness,
    lasting,
    people_likeness,
)
from identity_pipeline.core.video.copied_tracks import CORNERS, face_likeness, same_tracks
from identity_pipeline.core.video.copies import (
    Link,
    Look,
    Size,
    are_copies,
    candidate_pairs,
    keys_of,
    likeness,
    look_of,
    representatives,
)
from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import CopySettings
from identity_pipeline.stages.curation.decisions import tracks_of_faces
from identity_pipeline.stages.library.copies_in_force import TABLE
from identity_pipeline.storage.files.recorded import DamagedTableError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.copy_keys import read_keys, write_keys
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES

LOOKS_HELD = 64
"""Videos whose hashes are held in memory while pairs are judged."""
STAYS = 10
"""The small file of keys is taken into the large one when it is more than this part of it."""
LEAST = 1 << 16
"""Keys up to which the small file is let alone."""


class Held(NamedTuple):
    """Keys as they are kept.

    Attributes:
        large: of the file that stays.
        small: of the file with the videos that came since.
    """

    large: KeyTable
    small: KeyTable


def find_copies(
    store: TableStore,
    history: History,
    settings: CopySettings,
    *,
    write: bool = True,
    versions: Mapping[str, str] | None = None,
    held: Held | None = None,
) -> pl.DataFrame:
    """The table `video_copies` of all videos that are there.

    Only the videos that are new or were processed anew since the last time are read, and those that
    share a rare part of a hash with another.

    Args:
        store: the tables.
        history: every human decision.
        settings: when two videos are copies.
        write: keep what was read of the videos for the next time.
        versions: data version of the frames of videos of which it is known without reading.
        held: what `held_keys` gave a moment ago; None reads it.
    """
    keys = _keys(store, write, versions or {}, held or held_keys(store.layout))

    @lru_cache(maxsize=LOOKS_HELD)
    def look(video_id: str) -> Look:
        return look_of_video(store, video_id)

    links = list(_links(store, keys, look, settings))
    linked = {video for link in links for video in (link.left, link.right)}
    sizes = {
        video: Size(_tracks(store, video) > 0, _pixels(store, video), look(video).duration_ms)
        for video in linked
    }
    copy_of = representatives(links, sizes)
    decided = _decided(store, history, copy_of)
    rows = [
        _row(store, links, video, stands, sorted(decided.get(video, ())))
        for video, stands in copy_of.items()
    ]
    return _without_contradictions(pl.DataFrame(rows, schema=TABLES[TABLE], orient="row"), history)


def _links(
    store: TableStore, keys: KeyTable, look: Callable[[str], Look], settings: CopySettings
) -> Iterator[Link]:
    """Pairs of videos that are copies of each other."""
    for pair in candidate_pairs(keys):
        left, right = pair.left, pair.right
        if not _comparable(store, left, right):
            continue
        try:
            one, other = look(left), look(right)
        except (MissingTableError, DamagedTableError):
            continue  # as in `_looked_at`
        link = Link(left, right, likeness(one, other, pair.offsets_ms))
        if not are_copies(link.found, one, other, settings):
            continue
        seen = faces_of_link(store, link, one, other)
        if seen is not None and seen.are_the_same(settings):
            yield link


class _CopyRow(NamedTuple):
    """A row of `video_copies`."""

    video_id: str
    copy_of: str
    linked_to: str
    likeness: float
    offset_ms: float
    common_ms: float
    decided: list[str]
    stands_for: list[str | None]


def _row(
    store: TableStore, links: Iterable[Link], video: str, stands: str, tracks: list[str]
) -> _CopyRow:
    """What is told of a copy: its best link, and what stands for the tracks that were decided."""
    best = max(
        (link for link in links if video in (link.left, link.right)),
        key=lambda link: (stands in (link.left, link.right), link.found.share, link.left),
    )
    other, offset_ms = best.left, best.found.offset_ms
    if video == best.left:  # the shift is told for this video's time
        other, offset_ms = best.right, 0.0 - offset_ms
    same = _same(store, stands, video, offset_ms) if tracks and other == stands else {}
    return _CopyRow(
        video,
        stands,
        other,
        best.found.share,
        offset_ms,
        best.found.common_ms,
        tracks,
        [same.get(track) for track in tracks],
    )


def held_keys(layout: Layout) -> Held:
    """The keys that are kept, in the large file and in the small one."""
    return Held(read_keys(layout.copy_keys), read_keys(layout.copy_keys_later))


def _keys(store: TableStore, write: bool, versions: Mapping[str, str], held: Held) -> KeyTable:
    """The keys of all videos that can be read; only those of new ones are made."""
    layout = store.layout
    large, small = held
    current, read = _looked_at(store, versions, large.versions, small.versions)
    stays = large.kept(current)
    # A video is in both files where the last run ended between them.
    here = {video: now for video, now in current.items() if video not in stays.versions}
    later = small.kept(here)
    came = later.merged(KeyTable.of(read))
    every = stays.merged(came)
    if write and (stays is not large or len(came.key) > max(LEAST, len(large.key) // STAYS)):
        write_keys(layout.copy_keys, every)
        layout.copy_keys_later.unlink(missing_ok=True)
    elif write and (read or later is not small):
        write_keys(layout.copy_keys_later, came)
    return every


def _looked_at(
    store: TableStore,
    versions: Mapping[str, str],
    large: Mapping[str, str],
    small: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, tuple[str, Keys]]]:
    """What is noted of the frames of each video that can be read, and keys that neither file holds.

    Args:
        store: the tables.
        versions: data version of the frames of videos of which it is known without reading.
        large: what the keys of each video in the large file were made of.
        small: likewise in the small one.
    """
    current, read = {}, {}
    for video_id in sorted(store.videos_noted("frames")):
        now = versions[video_id] if video_id in versions else _version(store, video_id)
        if not now:
            continue
        if large.get(video_id) != now and small.get(video_id) != now:
            try:
                read[video_id] = now, keys_of(look_of_video(store, video_id))
            except (MissingTableError, DamagedTableError):
                continue  # a failure of its own, told where the video is run or shown
        current[video_id] = now
    return current, read


def _version(store: TableStore, video_id: str) -> str:
    """Data version of a video's frames; empty where none is noted."""
    noted = store.noted("frames", video_id)
    return noted.data_version if noted else ""


def look_of_video(store: TableStore, video_id: str) -> Look:
    """The hashes of a video's frames.

    Raises:
        MissingTableError: it has not been looked at.
        DamagedTableError: what was noted of it is damaged.
    """
    frames = store.read("frames", video_id, ["timestamp_ms", "look_hash"])
    return look_of(frames["timestamp_ms"].to_list(), frames["look_hash"].to_list())


class Seen(NamedTuple):
    """How alike two videos are where faces are; None of what cannot be told.

    Attributes:
        pictures: at the faces, see `face_likeness`.
        heads: how they move, see `heads_likeness`.
        people: who they are, see `people_likeness`.
    """

    pictures: float | None
    heads: float | None
    people: float | None

    def are_the_same(self, settings: CopySettings) -> bool:
        """Whether nothing that is seen of the faces speaks against a copy."""
        least = (
            settings.face_likeness_min,
            settings.heads_likeness_min,
            settings.people_likeness_min,
        )
        return all(seen is None or seen >= low for seen, low in zip(self, least, strict=True))


def faces_of_link(store: TableStore, link: Link, one: Look, other: Look) -> Seen | None:
    """How alike two videos are where faces are; None before they are known."""
    try:
        left, right = boxes_of(store, link.left), boxes_of(store, link.right)
        of_left, of_right = good_faces(store, link.left), good_faces(store, link.right)
    except (MissingTableError, DamagedTableError):
        return None
    offset = link.found.offset_ms
    pictures = (
        face_likeness(one, other, offset, right),
        face_likeness(other, one, -offset, left),
    )
    same = lasting(left, right, same_tracks(left, right, offset))
    return Seen(
        min((share for share in pictures if share is not None), default=None),
        heads_likeness(left, right, offset, same),
        people_likeness(of_left, of_right, same),
    )


def _comparable(store: TableStore, one: str, other: str) -> bool:
    """Whether both are in the library, and were embedded alike: else one cannot stand for both."""
    noted = [store.noted("track_templates", video) for video in (one, other)]
    spaces = {known.space for known in noted if known is not None and known.space is not None}
    return None not in noted and len(spaces) < 2


def _tracks(store: TableStore, video_id: str) -> int:
    noted = store.noted("track_templates", video_id)
    return noted.rows if noted else 0


def _pixels(store: TableStore, video_id: str) -> int:
    try:
        sizes = store.read("ride_video", video_id, ["width", "height"])
    except (MissingTableError, DamagedTableError):
        return 0
    return int(sizes["width"][0]) * int(sizes["height"][0])


def _decided(store: TableStore, history: History, copy_of: Iterable[str]) -> dict[str, set[str]]:
    """Tracks of copies on which anything was decided, by video."""
    if not copy_of:
        return {}
    placed = tracks_of_faces(store, history)
    tracks: dict[str, set[str]] = {}
    for subject in history.state.people_subjects:
        track = placed.get(subject, subject)
        parsed = subjects.parse(track)
        if parsed.kind == "track" and parsed.video_id in copy_of:
            tracks.setdefault(parsed.video_id, set()).add(track)
    return tracks


def _same(store: TableStore, stands: str, video: str, offset_ms: float) -> dict[str, str]:
    """The track of the video that counts for each track of a copy, if it has a template."""
    try:
        one, other = boxes_of(store, stands), boxes_of(store, video)
        there = set(store.read("track_templates", stands, ["track_id"])["track_id"])
    except (MissingTableError, DamagedTableError):
        return {}
    return {
        subjects.track(video, copied): subjects.track(stands, own)
        for copied, own in same_tracks(one, other, offset_ms).items()
        if own in there
    }


def boxes_of(store: TableStore, video_id: str) -> pl.DataFrame:
    """track_id, time_ms and boxes as shares of the frame, of each face."""
    size = store.read("ride_video", video_id, ["width", "height"]).row(0)
    first = store.read("frames", video_id, ["timestamp_ms"])["timestamp_ms"].min()
    faces = store.read("face_detections", video_id, ["face_id", "timestamp_ms", *CORNERS])
    tracks = store.read("face_tracks", video_id, ["face_id", "track_id"])
    return faces.join(tracks, on="face_id").select(
        "track_id",
        (pl.col("timestamp_ms") - first).alias("time_ms"),
        *(pl.col(c) / size[i % 2] for i, c in enumerate(CORNERS)),
    )


def good_faces(store: TableStore, video_id: str) -> Vectors:
    """The vectors of each track's faces that pass the strict gate: poor ones are nobody's."""
    good = store.read("face_quality", video_id, ["face_id", "strict"]).filter("strict")
    tracks = store.read("face_tracks", video_id, ["face_id", "track_id"])
    faces = read_embeddings(store, video_id).join(good, on="face_id").join(tracks, on="face_id")
    return {
        track: to_matrix(part["e_id"])
        for (track,), part in faces.group_by("track_id", maintain_order=True)
    }


def _without_contradictions(table: pl.DataFrame, history: History) -> pl.DataFrame:
    """Two decisions that name two people do not share a track: the copy's counts itself."""
    if not table.height:
        return table
    assigned = history.state.assigned
    taken = {t: p for t, p in assigned.items() if subjects.parse(t).kind == "track"}

    def free(track: str, place: str | None) -> str | None:
        """The place, unless it is somebody else's; it is the track's person's from now on."""
        who = assigned.get(track)
        if place is None or who is None:
            return place
        return place if taken.setdefault(place, who) == who else None

    rows = [
        {**row, "stands_for": list(map(free, row["decided"], row["stands_for"]))}
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=table.schema)
