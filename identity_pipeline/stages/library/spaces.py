"""The space the library decides in: the recogniser's own, or that of the head which is live.

Whoever computes the library takes the space that is live; whoever reads it takes the one that the
generation in force was computed in. The tables in a head's space are made by `projection`.

With which numbers it decides follows from the same space: vectors of a pack that was in use before
are never held against the thresholds of the present one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.core.matching.calibration_pairs import sample_faces, video_pairs
from identity_pipeline.core.matching.templates import VideoTables, build_templates
from identity_pipeline.core.tracks.photo_choice import PHOTOGRAPHS
from identity_pipeline.core.vectors import same_space, to_matrix, to_series
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.settings.numbers import (
    NumbersCard,
    as_decided,
    face_pack_card,
    for_space,
    is_arcface_like,
)
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.known_notes import notes_of
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError, TableStore
from identity_pipeline.tables import empty

FACE_TABLES: Final = VIDEO_SPECS["track_templates"].inputs
"""What templates are made of."""
_HEAD_SPACE: Final = re.compile(r"^head@([0-9a-f]{12})/\d+$")
_PACK_SPACE: Final = re.compile(r"^(?P<pack>.+)/(?P<recogniser>[^/]+)@[0-9a-f]{12}/\d+$")
CALIBRATE: Final = "identity-pipeline models calibrate"


class UnknownNumbersError(IdentityPipelineError, RuntimeError):
    """Nobody knows at which cosine a recogniser's faces are one person, so nothing is decided."""


def head_of_space(space: str) -> str | None:
    """Id of the head whose space this is; None for a recogniser's."""
    found = _HEAD_SPACE.match(space)
    return found.group(1) if found else None


def templates_of_video(video: VideoTables, settings: Settings) -> dict[str, pl.DataFrame]:
    """The tables of `TEMPLATE_TABLES` of one video or set of photographs, by name.

    One photograph is enough for a template: somebody chose it. Pairs for the calibration come of
    rides alone, for photographs are picked, and rides are what is matched.
    """
    if PHOTOGRAPHS in video.riders["reason"]:
        return {
            "track_templates": build_templates(video, settings.match, least=1).table,
            "calibration_pairs": empty("calibration_pairs"),
            "face_samples": sample_faces(video, settings.match),
        }
    return {
        "track_templates": build_templates(video, settings.match).table,
        "calibration_pairs": video_pairs(video, settings.match),
        "face_samples": sample_faces(video, settings.match),
    }


def read_video(store: TableStore, video_id: str) -> VideoTables:
    """The tables of one video that templates are made of, in the recogniser's space."""
    embeddings = read_embeddings(store, video_id)
    return tables_of_video(video_id, embeddings, lambda name: store.read(name, video_id))


def tables_of_video(
    video_id: str, embeddings: pl.DataFrame, read: Callable[[str], pl.DataFrame]
) -> VideoTables:
    """The same tables, as somebody else reads them by name.

    Args:
        video_id: of which video.
        embeddings: every identity vector of it.
        read: gives the other tables.
    """
    return VideoTables(
        video_id,
        embeddings=embeddings,
        quality=read("face_quality"),
        tracks=read("face_tracks"),
        riders=read("riders"),
        detections=read("face_detections"),
    )


def projected(embeddings: pl.DataFrame, head: Head, space: str) -> pl.DataFrame:
    """Identity vectors in a head's space.

    Raises:
        HeadShapeError: the vectors are not of the length that the head takes.
        SpaceMismatchError: they are of more than one space.
    """
    if not embeddings.height:
        return embeddings
    same_space(*embeddings["space"].unique().to_list())
    vectors = head.apply(to_matrix(embeddings["e_id"]))
    return embeddings.with_columns(to_series("e_id", vectors), space=pl.lit(space))


def faces_in_space(stores: LibraryStores, video_id: str, space: str) -> VideoTables:
    """The tables of one video with its embeddings in the space that a library was computed in."""
    video, head_id = read_video(stores.tables, video_id), head_of_space(space)
    if head_id is None:
        return video
    head = stores.heads.load(head_id)
    return replace(video, embeddings=projected(video.embeddings, head, space))


def space_of_video(store: TableStore, video_id: str) -> str | None:
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


def pack_of_space(space: str) -> tuple[str, str] | None:
    """Names of the pack and of the recogniser of a space; None for one that no pack gives."""
    found = _PACK_SPACE.match(space)
    return (found["pack"], found["recogniser"]) if found else None


def spaces_of_videos(store: TableStore) -> dict[str, list[str]]:
    """The videos whose templates are of each space, that of most videos first."""
    found: dict[str, list[str]] = {}
    notes = notes_of(store, "track_templates")
    for video_id in store.videos_with("track_templates"):
        noted = notes.get(video_id)
        space = noted.space if noted else None
        if noted is None or (noted.rows and not space):
            space = space_of_video(store, video_id)
        if space is not None:
            found.setdefault(space, []).append(video_id)
    return dict(sorted(found.items(), key=lambda each: (-len(each[1]), each[0])))


def settings_of_library(
    stores: LibraryStores, settings: Settings, most: str | None = None
) -> Settings:
    """The settings with the numbers of the space that the library decides in.

    That is the recogniser's of most videos. Where it is of another pack than the one in use, that
    pack's numbers hold. Where nobody knows them, because that pack or the one in use is not on this
    machine, and the library was decided in this space before, it is decided as it was.

    Args:
        stores: of the data folder.
        settings: without those numbers.
        most: the recogniser's space of most videos; None: looked for.
    """
    most = most or next(iter(spaces_of_videos(stores.tables)), None)
    return settings if most is None else _settings_in(stores, settings, most)


def _settings_in(stores: LibraryStores, settings: Settings, most: str) -> Settings:
    """See `settings_of_library`, in a recogniser's space."""
    names = pack_of_space(most)
    pack, recogniser = names or (most.partition("@")[0], "")
    found = for_space(settings, pack, recogniser)
    in_use = found is settings
    if not found.numbers.unknown or (in_use and face_pack_card(settings.models).parent.is_dir()):
        return found
    before = _decided_before(stores, most)
    if before is not None:
        return as_decided(found, before)
    like = in_use and is_arcface_like(settings.models, NumbersCard(), recogniser)
    return as_decided(found, {}) if names is None or like else found


def _decided_before(stores: LibraryStores, space: str) -> Mapping[str, Mapping[str, Any]] | None:
    """With which settings the library was decided last, if it was in a recogniser's space.

    Itself or by a head on it. None where it was not, or never.
    """
    last = stores.generations.newest_whole()
    if last is None:
        return None
    with last:
        head_id = head_of_space(last.space)
        of = last.space if head_id is None else stores.heads.card(head_id).input_space
        return last.generation.settings if of == space else None


def unknown_numbers(settings: Settings) -> str | None:
    """Why a library with these settings decides nothing, in words; None where it may."""
    if not settings.numbers.unknown:
        return None
    return (
        f"nobody knows at which likeness the face pack "
        f"{settings.numbers.pack} takes two faces for one person ({_some(settings)}); measure it "
        f"on your own rides with `{CALIBRATE}`, or say models.arcface_like = true if its cosines "
        "are like ArcFace's."
    )


def _some(settings: Settings) -> str:
    first, *rest = settings.numbers.unknown
    return f"{first} and {len(rest)} more have no value" if rest else f"{first} has no value"


@dataclass(frozen=True)
class LiveSpace:
    """What the library is to be computed in.

    Attributes:
        head_id: null: the recogniser alone.
        unfit: why the head that is live is not used, in words; null when it is.
    """

    head_id: str | None
    unfit: str | None = None


def live_space(stores: LibraryStores) -> LiveSpace:
    """The head that is live, if it takes what the recogniser of most videos gives."""
    heads = stores.heads
    head_id = heads.live().head_id
    if head_id is None:
        return LiveSpace(None)
    most = next(iter(spaces_of_videos(stores.tables)), None)
    card = heads.card(head_id)
    if most in (None, card.input_space):
        return LiveSpace(head_id)
    return LiveSpace(
        None,
        f"head {head_id} is live but was trained on {card.input_space}, and most videos are of "
        f"{most}: the recogniser alone decides. Train a head for it, or go back with "
        "`identity-pipeline heads rollback`.",
    )
