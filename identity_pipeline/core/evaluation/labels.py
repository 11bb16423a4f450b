"""What a looker wrote of single faces, and what the pipeline may then say of them.

The truth of a photograph has no numbers: somebody looks and writes `closed`, `half` or `open`. One
row names a face by its clip, the frame and the seat; every other column may be empty, and an empty
one is never counted. The form is shown in `docs/evaluating.md`.

What belongs here: the words, which bins they allow, and which person of a run sits in which seat.
What does not: reading the file (`storage.video.labels`), figures (`core.evaluation.labelled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.tables import SET_ASSETS, Schema

ONLY: Final = "only"
SEATS: Final = ("left", "right")
UNSURE: Final = "unsure"

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "seat": (*SEATS, ONLY),
    "eyes": ("open", "half", "closed", "wink", "hidden", UNSURE),
    "mouth": ("closed", "slight", "open", "wide", "hidden", UNSURE),
    "smile": ("none", "slight", "broad", UNSURE),
    "teeth": ("no", "yes", UNSURE),
    "occlusion": ("none", "partial", "heavy", UNSURE),
    "light": ("normal", "dark", "overexposed", UNSURE),
    "blur": ("sharp", "soft", "blurred", UNSURE),
    "head_turn": ("frontal", "left", "right", "profile-left", "profile-right", UNSURE),
    "head_tilt": ("level", "up", "down", UNSURE),
    "good_anchor": ("yes", "no", UNSURE),
}
"""The words of each column that has a list of them."""
KEY: Final = ("clip", "frame_idx", "seat")
LABELS: Final[Schema] = {
    "clip": pl.String,
    "frame_idx": pl.Int64,  # decode order in the source, from 0
    **dict.fromkeys(WORDS, pl.String),
    "occluder": pl.String,  # what lies over the face, in one word: bar, goggles, hand, glasses
    "person": pl.String,  # whose face; the same name is the same person everywhere
    "note": pl.String,
}
CLEAR: Final = (
    pl.col("occlusion").ne("heavy") & pl.col("light").eq("normal") & pl.col("blur").ne("blurred")
)
"""A face in plain light, not blurred and not mostly covered."""
COVERED: Final = pl.col("occlusion").is_in(["partial", "heavy"])
MEASURES: Final = ("eye_open", "mouth_open", "smile", "yaw")
BINS: Final = ("expression_bin", "occlusion_bin", "lighting_bin", "yaw_bin")


@dataclass(frozen=True)
class LabelledClip:
    """The labels of one clip, and the tables of its run.

    Attributes:
        video: id of the video.
        labels: table `LABELS` of this clip alone.
        tables: `face_landmarks`, `face_buckets`, `candidates` and the four sets, by asset.
        people: who sits in the seats from left to right, where a truth says it; else empty.
        origin: `rendered` or `real`.
    """

    video: str
    labels: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]
    people: tuple[str, ...]
    origin: str


def allowed_bins(
    eyes: str | None, mouth: str | None, smile: str | None, teeth: str | None, occlusion: str | None
) -> list[str]:
    """The expression bins that a label allows; the first is the one it names.

    `eyes_closed` comes before `smile` before `mouth_open` before `neutral`, as in the bins. Who
    laughs with an open mouth may be called either; half-shut and winking eyes may be called closed
    besides. A mouth of which the looker was unsure was not seen open.

    Args:
        eyes: word of the column; None where empty, as in the others.
        mouth: word of the column.
        smile: word of the column.
        teeth: word of the column.
        occlusion: word of the column.

    Returns:
        Nothing where the label cannot tell: the eyes or the mouth are hidden, or it is empty.
    """
    if eyes in (None, UNSURE, "hidden") or occlusion == "heavy":
        return []
    if eyes == "closed":
        return ["eyes_closed"]
    if mouth in (None, "hidden") or smile is None:
        return []
    return _of_mouth(mouth, smile, teeth) + (["eyes_closed"] if eyes in ("half", "wink") else [])


def _of_mouth(mouth: str | None, smile: str, teeth: str | None) -> list[str]:
    bins = []
    if smile == "broad" or (smile == "slight" and teeth == "yes"):
        bins.append("smile")
    if mouth in ("open", "wide"):
        bins.append("mouth_open")
    bins = bins or ["neutral"]
    if smile in (UNSURE, "slight") and "smile" not in bins:
        bins.append("smile")
    if bins[0] == "smile" and smile == "slight":
        bins.append("neutral")
    return bins


def seats_of(landmarks: pl.DataFrame, only: bool) -> pl.DataFrame:
    """Which person of a run sits where: the two seen most, by where their faces are on average.

    Args:
        landmarks: table `face_landmarks`.
        only: the clip has one rider; then it is the person seen most.

    Returns:
        `person_id, seat`.
    """
    people = (
        landmarks.drop_nulls("person_id")
        .group_by("person_id")
        .agg(n=pl.len(), x=(pl.col("smooth_x1") + pl.col("smooth_x2")).mean())
        .sort("n", "person_id", descending=[True, False])
        .head(1 if only else len(SEATS))
        .sort("x", "person_id")
    )
    names = [ONLY] if only else list(SEATS)
    return people.select("person_id", seat=pl.Series(names[: people.height], dtype=pl.String))


def met_faces(clip: LabelledClip) -> pl.DataFrame:
    """The labels of a clip with what the pipeline made of these faces.

    Returns:
        `LABELS` with `video`, `unit` (the person, else clip and seat), the bins, the measures as
        `measured_…`, `allowed` (list) and `met`; the bins are null where no face was measured in
        that seat.
    """
    landmarks, buckets = clip.tables["face_landmarks"], clip.tables["face_buckets"]
    seats = _seats(clip)
    faces = (
        buckets.select("face_id", "frame_idx", "person_id", *BINS)
        .join(seats, on="person_id")
        .join(
            landmarks.select("face_id", *(pl.col(m).alias(f"measured_{m}") for m in MEASURES)),
            on="face_id",
            how="left",
        )
        .drop("face_id", "person_id")
        .with_columns(met=pl.lit(True))
    )
    labels = clip.labels.with_columns(unit=_unit(clip), video=pl.lit(clip.video))
    allowed = [
        allowed_bins(*row)
        for row in labels.select("eyes", "mouth", "smile", "teeth", "occlusion").iter_rows()
    ]
    return (
        labels.with_columns(allowed=pl.Series(allowed, dtype=pl.List(pl.String)))
        .join(faces, on=["frame_idx", "seat"], how="left", maintain_order="left_right")
        .with_columns(pl.col("met").fill_null(False))
    )


def exported_faces(clip: LabelledClip) -> pl.DataFrame:
    """Every face of an exported image, with its label where somebody looked at it.

    Returns:
        `LABELS` with `unit`, `set`, `occlusion_bin` and `labelled`.
    """
    kept = ["face_id", "occlusion_bin"]
    # A candidate need not have its bins among those of the measured faces.
    bins = pl.concat([clip.tables[name].select(kept) for name in ("face_buckets", "candidates")])
    images = pl.concat(
        [
            clip.tables[name]
            .select("face_id", "frame_idx", "person_id")
            .with_columns(set=pl.lit(name.removesuffix("_set")))
            for name in SET_ASSETS
        ]
    )
    seated = images.join(_seats(clip), on="person_id", how="left", maintain_order="left")
    labels = clip.labels.with_columns(unit=_unit(clip), labelled=pl.lit(True))
    return (
        seated.join(bins.unique("face_id", keep="first"), on="face_id", how="left")
        .join(labels, on=["frame_idx", "seat"], how="left", maintain_order="left")
        .drop("face_id", "person_id")
        .with_columns(pl.col("labelled").fill_null(False))
    )


def _seats(clip: LabelledClip) -> pl.DataFrame:
    return seats_of(clip.tables["face_landmarks"], bool(clip.labels["seat"].eq(ONLY).all()))


def _unit(clip: LabelledClip) -> pl.Expr:
    """Whose face it is: as the label says, else as the truth of the clip does, else the seat."""
    seats = [ONLY] if len(clip.people) == 1 else list(SEATS)
    named = dict(zip(seats, clip.people, strict=False))
    place = pl.format("{} {}", "clip", "seat")
    said = pl.col("seat").replace_strict(named, default=None, return_dtype=pl.String)
    return pl.coalesce("person", said, place)
