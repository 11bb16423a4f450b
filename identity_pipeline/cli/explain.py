"""`identity-pipeline why`: what became of each face of a frame."""

from __future__ import annotations

import json

import click
import polars as pl
from rich.table import Table

from identity_pipeline.cli.options import (
    console,
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.storage.tables import TableStore


@click.command()
@click.argument("video")
@click.argument("frame", type=int)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
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
        click.echo(json.dumps(faces.to_dicts(), indent=2))
        return
    if not faces.height:
        raise click.ClickException(no_face_sentence(frames, frame))
    console.print(face_table(faces, record.video_id, frame), soft_wrap=False)


def no_face_sentence(frames: pl.DataFrame, frame: int) -> str:
    """Why a frame has no face to explain."""
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
    measures = store.read("face_quality", video_id).select(
        "face_id", "quality_score", "sharpness", "score", "luma_mean"
    )
    pose = store.read("face_landmarks", video_id).select("face_id", "yaw", "pitch", "occlusion")
    stable = store.read("identity_stability", video_id).select("face_id", "stable_score")
    rows = ledger.filter(pl.col("frame_idx") == frame)
    for table in (measures, pose, stable):
        rows = rows.join(table, on="face_id", how="left", maintain_order="left")
    return rows


def face_table(faces: pl.DataFrame, video_id: str, frame: int) -> Table:
    """One row per face, from left to right."""
    seconds = faces["timestamp_ms"][0] / 1000
    table = Table(title=f"{video_id}, frame {frame} at {seconds:.2f} s", title_justify="left")
    for name in ("face", "who", "state", "reason", "measured"):
        table.add_column(name)
    table.add_column("what would have changed it", overflow="fold", min_width=30)
    for face in faces.iter_rows(named=True):
        person = face["person_id"]
        table.add_row(
            face["face_id"],
            f"track {face['track_id']}" if person is None else f"person_{person}",
            face["state"],
            face["reason"],
            "\n".join(_measures(face)),
            face["would_change"],
        )
    return table


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
