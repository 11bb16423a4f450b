"""What a head may learn from: faces of human-confirmed tracks, thinned, and split once for ever.

A person or a video is held out by a hash of its id, so a person who was ever held out never teaches
a later head: champions and challengers are judged on people and videos that neither has seen. The
machine's own assignments have no place here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.matching.calibration_pairs import spread
from identity_pipeline.core.matching.templates import (
    VideoTables,
    by_track,
    thin,
    track_key,
    usable_faces,
)
from identity_pipeline.core.vectors import check_unit, same_space, to_matrix
from identity_pipeline.settings import TrainSettings
from identity_pipeline.tables import TABLES

TRAIN: Final = "train"
HELD_OUT: Final = "held_out"


@dataclass(frozen=True)
class Sufficiency:
    """What a training has, and what it lacks.

    Attributes:
        people: who teach: with at least `train.tracks_per_person_min` tracks in the training part.
        tracks: theirs.
        faces: theirs.
        videos: of these tracks.
        held_out_people: held-out tracks of people whom another video shows, so that a pair across
            videos can judge; counted by person.
        missing: what is lacking, in words; empty when there is enough.
    """

    people: int
    tracks: int
    faces: int
    videos: int
    held_out_people: int
    missing: tuple[str, ...]


def teaching_faces(
    video: VideoTables, person_of: Mapping[str, str], settings: TrainSettings
) -> pl.DataFrame:
    """The faces of one video's confirmed tracks: table `training_set`, without near-identical ones.

    Args:
        video: its tables.
        person_of: the person of each human-confirmed track, by track_key.
        settings: how they are thinned, how many of a track are taken, what is held out.

    Raises:
        SpaceMismatchError: the embeddings are of more than one space.
    """
    faces = usable_faces(video)
    rows = []
    for track, group in by_track(faces):
        key = track_key(video.video_id, track)
        if key not in person_of:
            continue
        vectors = check_unit(to_matrix(group["e_id"]), "e_id")
        quality = group["quality_score"].cast(pl.Float64).to_numpy()
        kept = spread(thin(vectors, quality, settings.thin_cos), settings.faces_per_track_max)
        person = person_of[key]
        rows.append(
            group[kept.tolist()].select(
                "face_id",
                "space",
                "e_id",
                track_key=pl.lit(key),
                video_id=pl.lit(video.video_id),
                person_id=pl.lit(person),
                quality=pl.col("quality_score").cast(pl.Float32),
                split=pl.lit(split_of(person, video.video_id, settings)),
            )
        )
    schema = TABLES["training_set"]
    return pl.concat([pl.DataFrame(schema=schema), *(row.select(*schema) for row in rows)])


def split_of(person_id: str, video_id: str, settings: TrainSettings) -> str:
    """`train`, or `held_out` when the person or the whole video is; the same on every run."""
    held = _draw(f"person:{person_id}", settings.seed) < settings.held_out_people
    held |= _draw(f"video:{video_id}", settings.seed) < settings.held_out_videos
    return HELD_OUT if held else TRAIN


def _draw(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def teachers(training_set: pl.DataFrame, settings: TrainSettings) -> pl.DataFrame:
    """The rows that teach: training part, of people with enough tracks in it."""
    own = training_set.filter(pl.col("split") == TRAIN)
    enough = pl.col("track_key").n_unique().over("person_id") >= settings.tracks_per_person_min
    return own.filter(enough).sort("person_id", "track_key", "face_id")


def sufficiency(training_set: pl.DataFrame, settings: TrainSettings) -> Sufficiency:
    """Whether there is enough to learn from and to judge by.

    Raises:
        SpaceMismatchError: the faces are of more than one space.
    """
    if training_set.height:
        same_space(*training_set["space"].unique().to_list())
    own = teachers(training_set, settings)
    people, videos = own["person_id"].n_unique(), own["video_id"].n_unique()
    judges = _judging_people(training_set)
    wanted = (
        (people, settings.people_min, "people with {} confirmed tracks or more outside the held-out"
         " part"),
        (videos, settings.videos_min, "videos that teach"),
        (judges, settings.held_out_people_min, "people with a held-out track and another video to "
         "compare it with"),
    )  # fmt: skip
    missing = tuple(
        f"{there} of {least} {what.format(settings.tracks_per_person_min)}"
        for there, least, what in wanted
        if there < least
    )
    return Sufficiency(people, own["track_key"].n_unique(), own.height, videos, judges, missing)


def _judging_people(training_set: pl.DataFrame) -> int:
    """People with a genuine pair across videos of which at least one side is held out."""
    tracks = training_set.select("person_id", "video_id", "split").unique()
    per_person = tracks.group_by("person_id").agg(
        pl.col("video_id").n_unique().alias("videos"),
        (pl.col("split") == HELD_OUT).any().alias("held"),
    )
    return per_person.filter(pl.col("held"), pl.col("videos") >= 2).height


def worth_labelling(unknown_clusters: pl.DataFrame, most: int = 5) -> list[int]:
    """Clusters whose label would teach most: of most videos, then of most tracks.

    Args:
        unknown_clusters: table of that name.
        most: how many to name.
    """
    ordered = unknown_clusters.sort(
        ["video_count", "track_count", "cluster_id"], descending=[True, True, False]
    )
    return ordered["cluster_id"].head(most).to_list()


@dataclass(frozen=True)
class TeachingArrays:
    """The rows that teach, as arrays.

    Attributes:
        vectors: (N, D) unit vectors.
        person: (N,) number of the person, from 0 by ascending person_id.
        track: (N,) number of the track.
        people: person ids by number.
    """

    vectors: np.ndarray
    person: np.ndarray
    track: np.ndarray
    people: tuple[str, ...]


def teaching_arrays(own: pl.DataFrame) -> TeachingArrays:
    """The arrays of `teachers`.

    Raises:
        SpaceMismatchError: there is no row, or they are of more than one space.
        NotUnitNormError: a vector is not of unit length.
    """
    same_space(*own["space"].unique().to_list())
    people, person = np.unique(own["person_id"].to_numpy(), return_inverse=True)
    _, track = np.unique(own["track_key"].to_numpy(), return_inverse=True)
    return TeachingArrays(
        check_unit(to_matrix(own["e_id"]), "e_id"),
        person.astype(np.int64),
        track.astype(np.int64),
        tuple(str(p) for p in people),
    )
