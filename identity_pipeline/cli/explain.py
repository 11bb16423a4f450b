"""`identity-pipeline why`: what became of each face of a frame, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator
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

    from identity_pipeline.core.imagesets.evidence import Comparison
    from identity_pipeline.stages.imagesets.explanation import Contest, Explained


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
    faces = explained(store, record.video_id, frame, settings.selection)
    if as_json:
        echo_json([face.as_json() for face in faces])
        return
    if not faces:
        raise click.ClickException(no_face_sentence(store.read("frames", record.video_id), frame))
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


def print_faces(faces: list[Explained], video_id: str, frame: int) -> None:
    """One row per face, from left to right."""
    seconds = faces[0].ledger["timestamp_ms"] / 1000
    echo_table(
        ("face", "who", "state", "reason", "measured", "score", "why"),
        (
            (
                face.ledger["face_id"],
                _who(face),
                face.ledger["state"],
                face.ledger["reason"],
                "\n".join(_measures(face)),
                "\n".join(_scores(face)),
                "\n".join(_why(face)),
            )
            for face in faces
        ),
        title=f"{video_id}, frame {frame} at {seconds:.2f} s",
    )


def _who(face: Explained) -> str:
    person = face.ledger["person_id"]
    return f"track {face.ledger['track_id']}" if person is None else f"person_{person}"


def _measures(face: Explained) -> Iterator[str]:
    from identity_pipeline.media import wording

    told, evidence = face.measured, face.evidence
    yield f"quality {wording.measured(told['quality_score'], 3)}"
    yield f"sharpness {wording.measured(evidence.sharpness, 0)}"
    yield f"light {wording.light(evidence)}"
    if face.ledger["person_id"] is None:
        return
    yield f"yaw {wording.measured(told['yaw'], 0)}"
    yield f"pitch {wording.measured(told['pitch'], 0)}"
    yield f"eyes {wording.eyes(evidence)}"
    yield f"mouth {wording.mouth(evidence)}"
    yield f"smile {wording.measured(evidence.smile)}"
    yield f"covered {wording.cover(evidence)}"
    yield f"stable {wording.measured(told['stable_score'])}"


def _scores(face: Explained) -> Iterator[str]:
    """The scores and their parts; nothing of a face that was not scored."""
    from identity_pipeline.media import wording

    evidence = face.evidence
    if evidence.picture_score is None:
        return
    yield f"as picture {wording.measured(evidence.picture_score)}"
    yield f"as portrait {wording.measured(evidence.portrait_score)}"
    yield from (f"{name} {wording.measured(value)}" for name, value in evidence.parts)


def _why(face: Explained) -> Iterator[str]:
    """What would have changed it, and how it did beside others."""
    ledger = face.ledger
    yield str(ledger["would_change"])
    rival = ledger["rival_face_id"]
    if face.rival is not None:
        yield f"Beside {rival}: {_score_words(face.rival, 'picture')}."
    if ledger["state"] == "saved" and ledger["reason"] == "anchor":
        contests = [("faces that may be anchors", "portrait", face.anchors)]
    else:
        contests = [("candidates of its pose and expression", "picture", face.bucket)]
    for among, as_a, contest in [("faces of its moment", "picture", face.moment), *contests]:
        if contest is None or contest.peers.other is None:
            continue
        # Of a face that lost within its moment, the rival is the other: it was told of above, but
        # for that the face shows something else.
        if contest.peers.other != rival or contest.peers.rank is None:
            yield _contest_words(among, as_a, contest)


def _contest_words(among: str, as_a: str, contest: Contest) -> str:
    """`The best of the 7 faces of its moment; the next is 000809-0, as a picture 0.84 ...`."""
    peers = contest.peers
    among = f"of the {peers.faces} {among}"
    if peers.rank is None:
        head = f"It does not show what the moment shows; the best {among} is {peers.other}"
    elif peers.rank == 1:
        head = f"The best {among}; the next is {peers.other}"
    else:
        head = f"Number {peers.rank} {among}; the best of the others is {peers.other}"
    words = "" if contest.score is None else f", {_score_words(contest.score, as_a)}"
    if contest.ended is None:
        return f"{head}{words}."
    state, reason = contest.ended
    return f"{head}{words}; that one ended as {state} ({reason})."


def _score_words(score: Comparison, as_a: str) -> str:
    """`as a picture 0.71 against 0.84, most by light (0.40 against 1.00)`."""
    if score.part is None:
        return f"alike as a {as_a} ({score.own:.2f} and {score.other:.2f})"
    words = f"as a {as_a} {score.own:.2f} against {score.other:.2f}"
    if score.own_part is None or score.other_part is None:
        return f"{words}, most by {score.part}"
    return f"{words}, most by {score.part} ({score.own_part:.2f} against {score.other_part:.2f})"
