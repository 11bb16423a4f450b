"""Pictures of people and clusters: the best face of each of their tracks on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.media.sheets import SetColour, Tile, contact_sheet
from identity_pipeline.storage.crop_archive import CropArchive
from identity_pipeline.storage.tables import TableStore

TRACKS_SHOWN = 8
ACCENTS: tuple[SetColour, ...] = ((222, 134, 46), (121, 160, 34), (30, 138, 224), (208, 95, 176))
"""One group, one colour (BGR), in turn."""


def best_faces(store: TableStore, templates: pl.DataFrame) -> dict[str, ImageBGR]:
    """The aligned best face of each track, by `track_key`, of those whose crops are still there.

    Args:
        store: where the crops lie.
        templates: rows of `track_templates`.
    """
    found: dict[str, ImageBGR] = {}
    for (video_id,), group in templates.sort("track_key").group_by("video_id", maintain_order=True):
        key_of = dict(group.select("best_face_id", "track_key").iter_rows())
        archive = CropArchive(store.layout.crops(str(video_id)))
        found |= {key_of[face]: image for face, image in archive.aligned(list(key_of))}
    return found


def montage(
    store: TableStore,
    templates: pl.DataFrame,
    groups: Sequence[tuple[str, Sequence[str]]],
    *,
    columns: int = TRACKS_SHOWN,
    tile_px: int = 96,
    shown: int = TRACKS_SHOWN,
) -> ImageBGR:
    """One sheet: group after group, each with the best faces of its first tracks.

    Args:
        store: where the crops lie.
        templates: table `track_templates` of all tracks.
        groups: (caption, track keys) of each group, in order.
        columns: faces per row.
        tile_px: side of a face.
        shown: tracks per group at most.
    """
    wanted = {key for _, keys in groups for key in keys[:shown]}
    faces = best_faces(store, templates.filter(pl.col("track_key").is_in(sorted(wanted))))
    tiles = [
        Tile(faces[key], f"{caption} {key.removeprefix('track:')}", ACCENTS[n % len(ACCENTS)])
        for n, (caption, keys) in enumerate(groups)
        for key in keys[:shown]
        if key in faces
    ]
    return contact_sheet(tiles, columns=min(columns, max(1, len(tiles))), tile_px=tile_px)
