"""Why a video that was made has no image at all, in a sentence."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.faces.gates import commonest_failure, strict_requirements
from identity_pipeline.media import wording
from identity_pipeline.settings import QualitySettings
from identity_pipeline.storage.video.tables import TableStore


def why_none(store: TableStore, video_id: str, settings: QualitySettings) -> str:
    """The reason that most of the riders' faces ended by.

    Args:
        store: the tables.
        video_id: a finished video without an image.
        settings: bounds of the strict gate.
    """
    ledger = store.read("frame_ledger", video_id, ("face_id", "person_id", "state", "reason"))
    faces = ledger.drop_nulls("person_id")
    if not ledger.height:
        return "no face was found in it."
    if not faces.height:
        return f"none of its {wording.counted(ledger.height, 'face')} is a rider's."
    ended = faces["reason"].value_counts().sort("count", "reason", descending=[True, False])
    reason, count = ended.row(0)
    if reason == "no_prototype":
        known = store.read("candidates", video_id, ("strict_fails",))["strict_fails"]
        failed = commonest_failure(known, strict_requirements(settings))
        if failed is not None:
            return f"{wording.failing(failed)}."
    state = faces.filter(pl.col("reason") == reason)["state"][0]
    of = f"{count} of {wording.counted(faces.height, 'face')}"
    return f"of {of}: {wording.explain(state, reason)}"
