"""Metadata of rides: what is known of them, and how a video follows the one of its camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from identity_pipeline.defs.display.metadata import numbers, records, svg
from identity_pipeline.storage.cameras.cameras import NO_NAME

if TYPE_CHECKING:
    from identity_pipeline.stages.library.ride_template import KnownRide
    from identity_pipeline.storage.video.tables import TableStore


def describe_phases(table: pl.DataFrame) -> dict[str, Any]:
    """In which phase how many frames are."""
    counted = table.drop_nulls("phase").group_by("phase").len().sort("phase")
    frames = {f"frames/{phase}": n for phase, n in counted.iter_rows()}
    return numbers({"frames": table.height, **frames, "not_known": table["phase"].null_count()})


def describe_course(table: pl.DataFrame) -> dict[str, Any]:
    """The figures of how the video follows the ride."""
    row = table.row(0, named=True)
    return numbers({name: value for name, value in row.items() if value is not None})


DESCRIBED: Final[Mapping[str, Callable[[pl.DataFrame], dict[str, Any]]]] = {
    "ride_phases": describe_phases,
    "ride_course": describe_course,
}
"""By asset."""


_FIGURES: Final = (
    *("state", "edition", "cost", "limit", "nearness"),
    *("fit", "usual_fit", "seconds"),
)


def describe_followed(
    row: Mapping[str, Any], store: TableStore, frames: pl.DataFrame
) -> dict[str, Any]:
    """How far a video is from the ride, and its picture over it."""
    from identity_pipeline.stages.video.ride_phases import drawn

    picture = drawn(store.layout, row, frames)
    return {
        "camera": row["camera"] or NO_NAME,
        **numbers({name: row[name] for name in _FIGURES}),
        **({"course": svg(picture, "the video over the ride of its camera")} if picture else {}),
    }


def describe_rides(known: Sequence[KnownRide]) -> dict[str, Any]:
    """What is known of the ride of each camera, and which videos show another one."""
    made = sum(each.made is not None for each in known)
    rows = [
        {
            "camera": each.camera or NO_NAME,
            "ride": each.damage or each.sentence,
            "made_now": str(each.made or "nothing"),
            "other_rides": "; ".join(f"{v}: {why}" for v, why in each.others.items()) or "nothing",
        }
        for each in known
    ]
    return {"reused": not made, "models_made": made, "cameras": records(rows)}
