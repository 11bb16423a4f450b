"""The numbers of a face pack measured on the rides of a data folder, and where they are put.

What belongs here: which videos are read, a pack's card, a pack with a centre of its own. What does
not: how numbers follow from cosines (`core.matching.pack_numbers`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.matching.calibration_pairs import spread
from identity_pipeline.core.matching.pack_numbers import (
    PackNumbers,
    centre_of,
    of_tracklets,
    pack_numbers,
)
from identity_pipeline.core.matching.templates import VideoTables
from identity_pipeline.core.vectors import Matrix, normalise, to_matrix, to_series
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.settings.numbers import (
    CARD,
    FACE_NUMBERS,
    OF_DETECTOR,
    SHIPPED_PACKS,
    NumbersCard,
    face_pack_card,
    is_arcface_like,
    read_numbers,
)
from identity_pipeline.stages.library.spaces import pack_of_space, read_video, spaces_of_videos
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES

if TYPE_CHECKING:
    from identity_pipeline.models.face_pack import FacePack

FACES_OF_A_TRACKLET: Final = 12
"""Faces of a tracklet that a centre is made of, evenly spread; more of one ride tell little."""


RIDES_MAX: Final = 400
"""Rides that are read, evenly spread over all: their pairs are more than are used."""


class CalibrationError(IdentityPipelineError, RuntimeError):
    """A pack's numbers cannot be measured here, or not be put where they should."""


@dataclass(frozen=True)
class Measured:
    """The numbers of the pack in use.

    Attributes:
        numbers: measured.
        videos: rides that they come from.
        damaged: videos that cannot be read; a sentence by video.
    """

    numbers: PackNumbers
    videos: tuple[str, ...]
    damaged: dict[str, str]


def measure_pack(store: TableStore, settings: Settings, progress: Progress = silent) -> Measured:
    """The numbers of the pack in use, from all videos that it has embedded.

    Raises:
        CalibrationError: no video is of this pack, or the videos tell too little.
    """
    tables, damaged = _of_pack(store, settings, progress)
    numbers = pack_numbers(tables, settings.match)
    _check(numbers)
    return Measured(numbers, tuple(video.video_id for video in tables), damaged)


def _check(numbers: PackNumbers) -> None:
    if numbers.reason:
        raise CalibrationError(
            f"The rides here tell too little: {numbers.reason} ({numbers.evidence}). Run more "
            "rides, best with two riders in the picture, then measure again."
        )


def _of_pack(
    store: TableStore, settings: Settings, progress: Progress
) -> tuple[list[VideoTables], dict[str, str]]:
    """The tables of the videos that the pack in use has embedded, of the space of most of them."""
    pack, ids = settings.numbers.pack, list[str]()
    for space, videos in spaces_of_videos(store).items():
        names = pack_of_space(space)
        if not ids and names is not None and names[0] == pack:
            ids = videos
    if not ids:
        raise CalibrationError(
            f"No video here has been run with the face pack {pack} yet; run your first rides with "
            "it (`identity-pipeline run FILES`), then measure."
        )
    tables, passed_over = [], PassedOver()
    ids = spread(np.array(sorted(ids)), RIDES_MAX).tolist()
    for n, video_id in enumerate(ids, 1):
        with passed_over.reading(video_id):
            tables.append(read_video(store, video_id))
        progress("rides", n, len(ids), "videos")
    return tables, passed_over.why


# --- beside the pack -----------------------------------------------------------------------------


def check_card(settings: Settings, *, again: bool) -> None:
    """Ends before any work where the numbers could not be put beside the pack in use.

    Args:
        settings: name the pack.
        again: whether numbers that are there may be replaced.

    Raises:
        CalibrationError: the pack has such numbers already, or they ship with the product.
    """
    if settings.models.face_pack in SHIPPED_PACKS:
        raise CalibrationError(
            f"The numbers of {settings.models.face_pack} ship with the product; put the measured "
            "ones into settings.toml instead (`--dry-run` prints them so)."
        )
    path = face_pack_card(settings.models)
    if not path.parent.is_dir():
        raise CalibrationError(f"There is no folder {path.parent}; name the pack's folder.")
    if any(not _is_of_detector(name) for name in _known(path).numbers) and not again:
        raise CalibrationError(
            f"{path} has numbers of the recogniser already; --replace measures them anew and keeps "
            "no copy."
        )


def put_beside(settings: Settings, numbers: PackNumbers) -> Path:
    """Writes the numbers into the card of the pack in use, after `check_card`; returns the card."""
    path = face_pack_card(settings.models)
    known = _known(path)
    raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    atomic.write_json(path, raw | _card_of(numbers, known))  # also what the product does not read
    return path


def _known(path: Path) -> NumbersCard:
    return read_numbers(path, FACE_NUMBERS)


def _is_of_detector(name: str) -> bool:
    return name.startswith(OF_DETECTOR)


def _card_of(numbers: PackNumbers, known: NumbersCard) -> dict[str, Any]:
    """The measured numbers, and those of the detector that were known: it stays the same."""
    kept = {name: value for name, value in known.numbers.items() if _is_of_detector(name)}
    return {
        "numbers": kept | numbers.values,
        "provenance": {name: known.provenance_of(name) for name in kept} | numbers.provenance,
    }


# --- a pack with a centre ------------------------------------------------------------------------


def centred_pack(
    store: TableStore,
    settings: Settings,
    pack: FacePack,
    target: Path,
    progress: Progress = silent,
) -> PackNumbers:
    """Writes a copy of the pack whose recogniser has the mean of these rides taken off, once.

    The copy is a space of its own and carries its numbers, measured in that space on the same
    faces.

    Args:
        store: the tables and crops.
        settings: name the pack.
        pack: that pack, loaded.
        target: the new folder.
        progress: called per video.

    Raises:
        CalibrationError: the folder is there already, the pack needs no centre, or the rides are
            too few.
        CentringError: the recogniser's graph has another form.
    """
    from identity_pipeline.models.centring import with_centre

    if target.exists():
        raise CalibrationError(f"{target} is there already; name a folder that is not.")
    card = _known(face_pack_card(settings.models))
    if is_arcface_like(settings.models, card, pack.recogniser_file.stem):
        raise CalibrationError(
            f"The recogniser of {settings.numbers.pack} is like ArcFace: its vectors lie about "
            "nothing in common, so there is no mean to take off. Nothing was written."
        )
    tables, _ = _of_pack(store, settings, silent)
    features = {
        video.video_id: _features(store, video, pack) for video in _counting(tables, progress)
    }
    centre, reason = centre_of(
        [
            spread(rows, FACES_OF_A_TRACKLET)
            for each in features.values()
            for rows in _by_tracklet(each)
        ]
    )
    if reason:
        raise CalibrationError(f"No centre was made: {reason}.")
    graph = with_centre(pack.recogniser_file, centre)
    numbers = pack_numbers(
        [_moved(video, features[video.video_id], centre) for video in tables], settings.match
    )
    _check(numbers)
    _write_pack(pack, target, graph, numbers, card)
    return numbers


def _counting(tables: list[VideoTables], progress: Progress) -> Any:
    for n, video in enumerate(tables, 1):
        yield video
        progress("faces", n, len(tables), "videos")


def _features(store: TableStore, video: VideoTables, pack: FacePack) -> pl.DataFrame:
    """Raw features of every usable face of the tracklets that count, with its track and frame."""
    own = of_tracklets(video)
    kept = own.tracks.join(own.riders.select("track_id"), on="track_id")
    usable = video.quality.filter("loose").select("face_id")
    wanted = usable.join(kept, on="face_id").sort("track_id", "frame_idx")
    archive = CropArchive(store.layout.crops(video.video_id))
    crops = dict(archive.aligned(wanted["face_id"].to_list()))
    if len(crops) < wanted.height:
        raise CalibrationError(
            f"The crops of {video.video_id} are no longer there; run the video again first."
        )
    found = pack.features([crops[face_id] for face_id in wanted["face_id"].to_list()])
    return wanted.with_columns(to_series("feature", found))


def _by_tracklet(faces: pl.DataFrame) -> list[Matrix]:
    return [
        to_matrix(group["feature"]) for _, group in faces.group_by("track_id", maintain_order=True)
    ]


def _moved(video: VideoTables, faces: pl.DataFrame, centre: Matrix) -> VideoTables:
    """The tables of a video with its embeddings in the centred space."""
    if not faces.height:
        return replace(video, embeddings=video.embeddings.clear())
    moved = normalise(to_matrix(faces["feature"]) - centre)
    said = {"because": pl.lit("usable"), "space": pl.lit("centred")}
    embeddings = faces.select("face_id", "frame_idx").with_columns(to_series("e_id", moved), **said)
    return replace(video, embeddings=embeddings.select(TABLES["face_embeddings"].keys()))


def _write_pack(
    pack: FacePack, target: Path, graph: bytes, numbers: PackNumbers, known: NumbersCard
) -> None:
    recogniser = pack.recogniser_file
    new = f"{recogniser.stem}_centred.onnx"
    files = {name: digest for name, digest in pack.card.files.items() if name != recogniser.name}
    if files:  # whoever made the pack recorded its nets, so the new one is recorded too
        files[new] = hashlib.sha256(graph).hexdigest()
    said = pack.card.model_dump(exclude={"numbers", "provenance", "arcface_like"})
    named: Mapping[str, Any] = {
        **said,
        "files": files,
        "name": f"{pack.card.name or pack.name}, centred on own rides",
        "made_from": {"pack": pack.name, "sha256": pack.sha256, "rides": numbers.evidence},
    }
    with atomic.new_folder(target) as folder:
        shutil.copytree(
            pack.folder,
            folder,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(recogniser.name, CARD, f"{atomic.TEMPORARY_MARK}*"),
        )
        (folder / new).write_bytes(graph)
        (folder / CARD).write_bytes(atomic.json_bytes({**named, **_card_of(numbers, known)}))
