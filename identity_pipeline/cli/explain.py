"""`identity-pipeline why`: what became of each face of a frame, and on what evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    import polars as pl

    from identity_pipeline.settings import QualitySettings
    from identity_pipeline.stages.imagesets.explanation import Explained


@click.command()
@click.argument("video")
@click.argument("frame", type=int)
@json_option
@data_option
def why(video: str, frame: int, as_json: bool, data: str | None) -> None:
    """Say what became of each face of FRAME in VIDEO, and what would have changed it.

    VIDEO is a video id, a file name, or the beginning of an id. FRAME is the number of the decoded
    frame, as in `frame_idx` everywhere. Of an exported face it says whom it was chosen over: the
    others of its moment, and of its pose and expression.
    """
    from identity_pipeline.stages.imagesets.explanation import explained

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    record = find_video(store, video)
    faces = explained(store, record.video_id, frame, settings)
    if as_json:
        echo_json([face.as_json() for face in faces])
        return
    if not faces:
        raise click.ClickException(no_face_sentence(store.read("frames", record.video_id), frame))
    print_faces(faces, record.video_id, frame, settings.quality)


def no_face_sentence(frames: pl.DataFrame, frame: int) -> str:
    """Why a frame has no face to explain."""
    import polars as pl

    sampled = frames["frame_idx"]
    if frame in set(sampled):
        return f"frame {frame} was looked at, and no face was found in it."
    if not sampled.len():
        return "no frame of this video was sampled."
    nearest = frames.sort((pl.col("frame_idx") - frame).abs())["frame_idx"][0]
    return (
        f"frame {frame} was not sampled (video.analysis_fps); the nearest sampled one is {nearest}."
    )


def print_faces(
    faces: list[Explained], video_id: str, frame: int, settings: QualitySettings
) -> None:
    """One row per face, from left to right."""
    from identity_pipeline.stages.imagesets.why import measured_words, score_words, why_words

    seconds = faces[0].ledger["timestamp_ms"] / 1000
    echo_table(
        ("face", "who", "state", "reason", "measured", "score", "why"),
        (
            (
                face.ledger["face_id"],
                _who(face),
                face.ledger["state"],
                face.ledger["reason"],
                "\n".join(measured_words(face)),
                "\n".join(score_words(face)),
                "\n".join(why_words(face, settings)),
            )
            for face in faces
        ),
        title=f"{video_id}, frame {frame} at {seconds:.2f} s",
    )


def _who(face: Explained) -> str:
    person = face.ledger["person_id"]
    return f"track {face.ledger['track_id']}" if person is None else f"person_{person}"
