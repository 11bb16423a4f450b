"""Pictures of groups: a contact sheet of each group's best faces, from the stored crops."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from identity_pipeline.ledger import subjects as ids
from identity_pipeline.stages.curation.snapshot import video_of
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError, TableStore

if TYPE_CHECKING:
    from identity_pipeline.media.crops import ImageBGR

LOG = logging.getLogger(__name__)
FACES_PER_GROUP, TILE_PX, JPEG_QUALITY = 8, 112, 90
ACCENTS = ((96, 174, 255), (110, 200, 120))
"""Bars above the faces; groups take turns, so that they can be told apart."""


def best_faces(store: TableStore, tracks: Sequence[str], most: int) -> list[tuple[str, str]]:
    """(track, face) of the best faces of several tracks, each track in turn, the best first.

    Args:
        store: the tables.
        tracks: track keys.
        most: how many.
    """
    per_track = -(-most // max(1, len(tracks)))
    ranked: list[tuple[int, float, str, str]] = []
    for key in tracks:
        _, video_id, number, _ = ids.parse(key)
        try:
            faces = store.read("face_tracks", video_id).filter(pl.col("track_id") == int(number))
            quality = store.read("face_quality", video_id, ("face_id", "quality_score"))
        except (DamagedTableError, MissingTableError) as error:
            LOG.warning("%s is not shown: %s", key, error)
            continue
        best = (
            faces.join(quality, on="face_id")
            .drop_nulls("quality_score")
            .sort(["quality_score", "face_id"], descending=[True, False])
            .head(per_track)
        )
        for rank, (face, score) in enumerate(best.select("face_id", "quality_score").iter_rows()):
            ranked.append((rank, -float(score), key, face))
    return [(key, face) for _, _, key, face in sorted(ranked)[:most]]


def montage(
    store: TableStore, groups: Mapping[str, Sequence[str]], progress: Progress = silent
) -> tuple[ImageBGR, int]:
    """A contact sheet, a row of faces for each group, and how many faces it shows.

    Args:
        store: the tables and the stored crops.
        groups: track keys by the caption of the group.
        progress: called per video read.
    """
    from identity_pipeline.media.sheets import Tile, contact_sheet

    chosen = {name: best_faces(store, keys, FACES_PER_GROUP) for name, keys in groups.items()}
    pixels = _pixels(store, chosen.values(), progress)
    tiles, shown, blank = [], 0, Tile(np.zeros((1, 1, 3), dtype=np.uint8), "")
    for n, (name, faces) in enumerate(chosen.items()):
        row = [
            Tile(pixels[where], f"{name}\n{where[0]}", ACCENTS[n % len(ACCENTS)])
            for key, face in faces
            if (where := (video_of(key), face)) in pixels
        ]
        shown += len(row)
        # So that every group begins a row.
        tiles += [*row, *[blank] * (FACES_PER_GROUP - len(row))] if row else []
    return contact_sheet(tiles, columns=FACES_PER_GROUP, tile_px=TILE_PX), shown


def _pixels(
    store: TableStore, groups: Iterable[Sequence[tuple[str, str]]], progress: Progress
) -> dict[tuple[str, str], ImageBGR]:
    """Aligned crops by video and face; of a video that cannot be read there is none."""
    wanted: dict[str, set[str]] = {}
    for key, face in chain.from_iterable(groups):
        wanted.setdefault(video_of(key), set()).add(face)
    pixels = {}
    for n, (video_id, names) in enumerate(sorted(wanted.items()), 1):
        try:
            pixels |= {(video_id, f): p for f, p in store.crops(video_id).aligned(names)}
        except (DamagedTableError, MissingTableError) as error:
            LOG.warning("%s is not shown: %s", video_id, error)
        progress("faces", n, len(wanted), "videos")
    return pixels


def write_montage(
    store: TableStore,
    groups: Mapping[str, Sequence[str]],
    path: Path,
    progress: Progress = silent,
) -> int:
    """Writes `montage` as a JPEG file and returns how many faces it shows."""
    from identity_pipeline.media.crops import encode_jpeg

    sheet, shown = montage(store, groups, progress)
    atomic.write_bytes(path, encode_jpeg(sheet, JPEG_QUALITY))
    return shown
