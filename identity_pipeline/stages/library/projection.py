"""The tables of the library in the space of a head, kept in step with those of the recogniser.

A head's space has tables of its own (`models/heads/{id}/tables`), made from the same faces by the
same functions as the recogniser's; a video whose faces are unchanged is not projected again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.spaces import (
    FACE_TABLES,
    projected,
    read_video,
    space_of_video,
    templates_of_video,
)
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES, VIDEO_SPECS
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.outputs import PARTS
from identity_pipeline.storage.video.tables import TableStore

CODE_VERSION: Final = "1"


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
    stores: LibraryStores, head_id: str, settings: Settings, progress: Progress = silent
) -> Regenerated:
    """Brings the tables of `TEMPLATE_TABLES` in a head's space up to date.

    Args:
        stores: of the data folder.
        head_id: which head.
        settings: `match`.
        progress: called per video.

    Raises:
        HeadStoreError: there is no such head.
    """
    store, own = stores.tables, stores.in_space(head_id)
    card, head = stores.heads.card(head_id), stores.heads.load(head_id)
    videos = store.videos_with("track_templates")
    written, left_out, unchanged, made_of = [], [], 0, {}
    passed_over = PassedOver()
    for n, video_id in enumerate(videos, 1):
        fingerprint = made_of[video_id] = _fingerprint(store, video_id, head_id, settings)
        if _up_to_date(own, video_id, fingerprint):
            unchanged += 1
        elif space_of_video(store, video_id) not in (None, card.input_space):
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
        for part in PARTS:
            own.outputs.remove(name, video_id, part)


def is_regenerated(stores: LibraryStores, head_id: str, settings: Settings) -> bool:
    """Whether `regenerate` would write and remove nothing.

    Raises:
        HeadStoreError: there is no such head.
    """
    own, videos = stores.in_space(head_id), stores.tables.videos_with("track_templates")
    behind = _behind(stores, head_id, settings)
    left_out = _of_another_recogniser(stores, head_id, behind)
    there = set(own.videos_with("track_templates"))
    return behind == left_out and not there - (set(videos) - left_out)


def not_regenerated(stores: LibraryStores, head_id: str, settings: Settings) -> set[str]:
    """Videos that `regenerate` would project.

    Raises:
        HeadStoreError: there is no such head.
    """
    behind = _behind(stores, head_id, settings)
    return behind - _of_another_recogniser(stores, head_id, behind)


def _behind(stores: LibraryStores, head_id: str, settings: Settings) -> set[str]:
    store, own = stores.tables, stores.in_space(head_id)
    return {
        video_id
        for video_id in store.videos_with("track_templates")
        if not _up_to_date(own, video_id, _fingerprint(store, video_id, head_id, settings))
    }


def _of_another_recogniser(stores: LibraryStores, head_id: str, videos: set[str]) -> set[str]:
    card = stores.heads.card(head_id)
    return {v for v in videos if space_of_video(stores.tables, v) not in (None, card.input_space)}


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
