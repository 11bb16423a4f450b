"""`identity-pipeline why`: what became of each face of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    from identity_pipeline.storage.video.tables import TableStore


@click.command()
@click.argument("video")
@click.argument("frame", type=int)
@json_option
@data_option
def why(video: str, frame: int, as_json: bool, data: str | None) -> None:
    """Say what became of each face of FRAME in VIDEO, and what would have changed it.

    VIDEO is a video id, a file name, or the beginning of an id. FRAME is the number of the decoded
    frame, as in `frame_idx` everywhere.
    """
    store = open_store(merged_settings(overrides(data)))
    record = find_video(store, video)
    ledger = store.read("frame_ledger", record.video_id)
    frames = store.read("frames", record.video_id)
    faces = faces_of_frame(store, record.video_id, ledger, frame)
    if as_json:
        echo_json(faces.to_dicts())
        return
    if not faces.height:
        raise click.ClickException(no_face_sentence(frames, frame))
    print_faces(faces, record.video_id, frame)


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


def faces_of_frame(
    store: TableStore, video_id: str, ledger: pl.DataFrame, frame: int
) -> pl.DataFrame:
    """The ledger's rows of one frame, with the measures that people ask for."""
    import polars as pl

    measures = store.read("face_quality", video_id).select(
        "face_id", "quality_score", "sharpness", "score", "luma_mean"
    )
    pose = store.read("face_landmarks", video_id).select("face_id", "yaw", "pitch", "occlusion")
    stable = store.read("identity_stability", video_id).select("face_id", "stable_score")
    rows = ledger.filter(pl.col("frame_idx") == frame)
    for table in (measures, pose, stable):
        rows = rows.join(table, on="face_id", how="left", maintain_order="left")
    return _with_left_out(store, video_id, rows)


def _with_left_out(store: TableStore, video_id: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Faces whose image was chosen but could not be proved say so instead."""
    import polars as pl

    from identity_pipeline.stages.specs.exported import left_out_faces

    told = pl.DataFrame(
        list(left_out_faces(store, video_id).items()),
        schema={"face_id": pl.String, "told": pl.String},
        orient="row",
    ).with_columns(pl.col("told").str.splitn(": ", 2).struct.rename_fields(["code", "why"]))
    joined = rows.join(told.unnest("told"), on="face_id", how="left", maintain_order="left")
    out = pl.col("why").is_not_null()
    return joined.with_columns(
        state=pl.when(out).then(pl.lit("left_out")).otherwise("state"),
        reason=pl.when(out).then("code").otherwise("reason"),
        would_change=pl.coalesce("why", "would_change"),
    ).drop("code", "why")


def print_faces(faces: pl.DataFrame, video_id: str, frame: int) -> None:
    """One row per face, from left to right."""
    seconds = faces["timestamp_ms"][0] / 1000
    echo_table(
        ("face", "who", "state", "reason", "measured", "what would have changed it"),
        (
            (
                face["face_id"],
                _who(face),
                face["state"],
                face["reason"],
                "\n".join(_measures(face)),
                face["would_change"],
            )
            for face in faces.iter_rows(named=True)
        ),
        title=f"{video_id}, frame {frame} at {seconds:.2f} s",
    )


def _who(face: dict[str, Any]) -> str:
    person = face["person_id"]
    return f"track {face['track_id']}" if person is None else f"person_{person}"


def _measures(face: dict[str, float | None]) -> list[str]:
    shown = {
        "quality": ("quality_score", ".3f"),
        "sharpness": ("sharpness", ".0f"),
        "luma": ("luma_mean", ".0f"),
        "yaw": ("yaw", "+.0f"),
        "pitch": ("pitch", "+.0f"),
        "occlusion": ("occlusion", ".2f"),
        "stable": ("stable_score", ".2f"),
    }
    return [
        f"{label} {'not measured' if face[column] is None else format(face[column], style)}"
        for label, (column, style) in shown.items()
    ]
