"""The space the library decides in: the recogniser's own, or that of the head which is live.

A head's space has tables of its own (`models/heads/{id}/tables`), made from the same faces by the
same functions as the recogniser's; a video whose faces are unchanged is not projected again.
Whoever computes the library takes the space that is live; whoever reads it takes the one that the
generation in force was computed in.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.core.matching.calibration_pairs import sample_faces, video_pairs
from identity_pipeline.core.matching.templates import VideoTables, build_templates
from identity_pipeline.core.vectors import same_space, to_matrix, to_series
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES, VIDEO_SPECS
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError, TableStore

FACE_TABLES: Final = VIDEO_SPECS["track_templates"].inputs
"""What templates are made of, in the order of `core.matching.templates.VideoTables`."""
CODE_VERSION: Final = "1"
_HEAD_SPACE: Final = re.compile(r"^head@([0-9a-f]{12})/\d+$")


def head_of_space(space: str) -> str | None:
    """Id of the head whose space this is; None for a recogniser's."""
    found = _HEAD_SPACE.match(space)
    return found.group(1) if found else None


def templates_of_video(video: VideoTables, settings: Settings) -> dict[str, pl.DataFrame]:
    """The tables of `TEMPLATE_TABLES` of one video, by name."""
    return {
        "track_templates": build_templates(video, settings.match).table,
        "calibration_pairs": video_pairs(video, settings.match),
        "face_samples": sample_faces(video, settings.match),
    }


def read_video(store: TableStore, video_id: str) -> VideoTables:
    """The tables of one video that templates are made of, in the recogniser's space."""
    return VideoTables(video_id, *(store.read(name, video_id) for name in FACE_TABLES))


def projected(embeddings: pl.DataFrame, head: Head, space: str) -> pl.DataFrame:
    """The table `face_embeddings` in a head's space.

    Raises:
        HeadShapeError: the vectors are not of the length that the head takes.
        SpaceMismatchError: they are of more than one space.
    """
    if not embeddings.height:
        return embeddings
    same_space(*embeddings["space"].unique().to_list())
    vectors = head.apply(to_matrix(embeddings["e_id"]))
    return embeddings.with_columns(to_series("e_id", vectors), space=pl.lit(space))


def faces_in_space(store: TableStore, video_id: str, space: str) -> VideoTables:
    """The tables of one video with its embeddings in the space that a library was computed in."""
    video, head_id = read_video(store, video_id), head_of_space(space)
    if head_id is None:
        return video
    head = HeadStore(store.layout).load(head_id)
    return replace(video, embeddings=projected(video.embeddings, head, space))


def tables_of_space(store: TableStore, head_id: str | None) -> TableStore:
    """Where the tables of `TEMPLATE_TABLES` lie: the store itself, or the head's own folder."""
    if head_id is None:
        return store
    return TableStore(Layout(store.layout.head(head_id)))


@dataclass(frozen=True)
class Regenerated:
    """What bringing a head's tables up to date did, in videos.

    Attributes:
        written: projected now.
        unchanged: were up to date.
        removed: are no more.
        left_out: of another recogniser than the head takes.
        damaged: their tables cannot be read; a sentence by video.
        digest: changes whenever any of the tables does.
    """

    written: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    left_out: tuple[str, ...]
    damaged: dict[str, str]
    digest: str


def regenerate(
    store: TableStore, head_id: str, settings: Settings, progress: Progress = silent
) -> Regenerated:
    """Brings the tables of `TEMPLATE_TABLES` in a head's space up to date.

    Args:
        store: the tables.
        head_id: which head.
        settings: `match`.
        progress: called per video.

    Raises:
        HeadStoreError: there is no such head.
    """
    heads = HeadStore(store.layout)
    card, head, own = heads.card(head_id), heads.load(head_id), tables_of_space(store, head_id)
    videos = store.videos_with("track_templates")
    written, left_out, unchanged, made_of = [], [], 0, {}
    passed_over = PassedOver()
    for n, video_id in enumerate(videos, 1):
        fingerprint = made_of[video_id] = _fingerprint(store, video_id, head_id, settings)
        if _up_to_date(own, video_id, fingerprint):
            unchanged += 1
        elif _space_of(store, video_id) not in (None, card.input_space):
            left_out.append(video_id)
        else:
            with passed_over.reading(video_id):
                video = read_video(store, video_id)
                mapped = replace(video, embeddings=projected(video.embeddings, head, card.space))
                for name, table in templates_of_video(mapped, settings).items():
                    own.write(name, video_id, table, fingerprint)
                written.append(video_id)
        progress("head embeddings", n, len(videos), "videos")
    # What was projected of faces that cannot be read any more is not what they are now.
    kept = set(videos) - {*left_out, *passed_over.why}
    gone = sorted(set(own.videos_with("track_templates")) - kept)
    for video_id in gone:
        forget(own, video_id)
    return Regenerated(
        tuple(written),
        unchanged,
        tuple(gone),
        tuple(left_out),
        passed_over.why,
        sha256_of_value(made_of),
    )


def forget(own: TableStore, video_id: str) -> None:
    """Removes what a head's space holds of a video; `regenerate` makes it anew if it can."""
    for name in TEMPLATE_TABLES:
        own.layout.table(name, video_id).unlink(missing_ok=True)
        own.layout.manifest(name, video_id).unlink(missing_ok=True)


def is_regenerated(store: TableStore, head_id: str, settings: Settings) -> bool:
    """Whether `regenerate` would write and remove nothing.

    Raises:
        HeadStoreError: there is no such head.
    """
    own, videos = tables_of_space(store, head_id), store.videos_with("track_templates")
    behind = _behind(store, own, head_id, settings)
    left_out = _of_another_recogniser(store, head_id, behind)
    there = set(own.videos_with("track_templates"))
    return behind == left_out and not there - (set(videos) - left_out)


def not_regenerated(store: TableStore, head_id: str, settings: Settings) -> set[str]:
    """Videos that `regenerate` would project.

    Raises:
        HeadStoreError: there is no such head.
    """
    behind = _behind(store, tables_of_space(store, head_id), head_id, settings)
    return behind - _of_another_recogniser(store, head_id, behind)


def _behind(store: TableStore, own: TableStore, head_id: str, settings: Settings) -> set[str]:
    return {
        video_id
        for video_id in store.videos_with("track_templates")
        if not _up_to_date(own, video_id, _fingerprint(store, video_id, head_id, settings))
    }


def _of_another_recogniser(store: TableStore, head_id: str, videos: set[str]) -> set[str]:
    card = HeadStore(store.layout).card(head_id)
    return {v for v in videos if _space_of(store, v) not in (None, card.input_space)}


def _fingerprint(store: TableStore, video_id: str, head_id: str, settings: Settings) -> str:
    made_of: dict[str, str | None] = {}
    for name in FACE_TABLES:
        noted = store.noted(name, video_id)
        made_of[name] = noted.data_version if noted else None
    return sha256_of_value(
        {
            "code": CODE_VERSION,
            "head": head_id,
            "inputs": made_of,
            "settings": chosen(settings, VIDEO_SPECS["track_templates"].settings),
        }
    )


def _up_to_date(own: TableStore, video_id: str, fingerprint: str) -> bool:
    noted = [own.noted(name, video_id) for name in TEMPLATE_TABLES]
    return all(one is not None and one.fingerprint == fingerprint for one in noted)


def _space_of(store: TableStore, video_id: str) -> str | None:
    """Space of a video's templates; None when it has none.

    The table is opened only where its note does not say: one of an older version, or mixed.
    """
    noted = store.noted("track_templates", video_id)
    if noted is not None and (noted.space or not noted.rows):
        return noted.space
    try:
        spaces = store.read("track_templates", video_id, ("space",))["space"]
    except (DamagedTableError, MissingTableError):
        return None  # told of by whoever reads the whole table
    return spaces[0] if len(spaces) else None


@dataclass(frozen=True)
class LiveSpace:
    """What the library is to be computed in.

    Attributes:
        head_id: null: the recogniser alone.
        unfit: why the head that is live is not used, in words; null when it is.
    """

    head_id: str | None
    unfit: str | None = None


def live_space(store: TableStore) -> LiveSpace:
    """The head that is live, if it takes what the recogniser of most videos gives."""
    heads = HeadStore(store.layout)
    head_id = heads.live().head_id
    if head_id is None:
        return LiveSpace(None)
    spaces = Counter(
        space
        for video_id in store.videos_with("track_templates")
        if (space := _space_of(store, video_id)) is not None
    )
    most = min(spaces, key=lambda name: (-spaces[name], name)) if spaces else None
    card = heads.card(head_id)
    if most in (None, card.input_space):
        return LiveSpace(head_id)
    return LiveSpace(
        None,
        f"head {head_id} is live but was trained on {card.input_space}, and most videos are of "
        f"{most}: the recogniser alone decides. Train a head for it, or go back with "
        "`identity-pipeline heads rollback`.",
    )
