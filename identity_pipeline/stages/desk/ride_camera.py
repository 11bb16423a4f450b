"""A ride and the camera that filmed it: which model it keeps, and what its riders lack of it.

What belongs here: what the page of a ride says of its camera. What does not: the page of the camera
(`stages.desk.cameras`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from identity_pipeline.core.camera.reach import lacking_words
from identity_pipeline.core.faces.buckets import EXPRESSIONS, PITCH_NAMES, axis_bins
from identity_pipeline.settings import CameraSettings, Settings
from identity_pipeline.stages.desk.pictures import RiderShown, RideShown
from identity_pipeline.stages.library.camera_account import accounts
from identity_pipeline.storage.cameras.pins import CAMERA, Pinned, Pins
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

COUNTED: Final = ("anchor", "coverage")
"""Sets that are to show what a rider looks like from all sides."""
OLD_FRAME: Final = "angles of this ride are those before the lens."


@dataclass(frozen=True)
class RideCamera:
    """What is said of a ride's camera.

    Attributes:
        sentence: which camera, and which model of it the ride keeps; empty: nothing is known.
        folder: address of its page; None: there is none.
        lacking: by seat of the ride: axis and bin that no picture shows, and who reaches it.
    """

    sentence: str = ""
    folder: str | None = None
    lacking: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)


def ride_camera(layout: Layout, settings: Settings, ride: RideShown) -> RideCamera:
    """What the page of a ride says of its camera.

    Args:
        layout: of the data folder.
        settings: edges of the bins, and how many riders say something.
        ride: as it is shown.
    """
    folder, called, known = _camera_now(layout, settings.camera, ride.video_id)
    try:
        pinned = Pins(layout).of(ride.video_id) or Pinned(layout)
        model = pinned.edition(CAMERA)
        if model is None:
            return RideCamera(f"{called} {known}: {OLD_FRAME}" if called else "", folder)
        reach = model.table("camera_reach")
    except DamagedFileError as error:
        return RideCamera(str(error), folder)
    sentence = f"{called}, version {model.name.version} (of {model.name.videos} videos)."
    lacking = {rider.seat: _lacking(rider, reach, settings) for rider in ride.riders if rider.sets}
    return RideCamera(sentence, folder, lacking)


def _camera_now(
    layout: Layout, settings: CameraSettings, video_id: str
) -> tuple[str | None, str, str]:
    """Of the camera that has a ride: the address of its page, its name, how well it is known."""
    for each in accounts(layout, settings)[0]:
        if video_id in each.videos:
            called = f"Camera {each.name}" if each.name else "The camera without a name"
            known = "was" if each.model else "is"
            words = "not known when this ride was made" if each.model else each.known
            return each.folder, called, f"{known} {words}"
    return None, "The camera", ""


def _lacking(rider: RiderShown, reach: pl.DataFrame, settings: Settings) -> list[tuple[str, str]]:
    """Bins that no picture of a rider shows, those that riders reach before those nobody does."""
    told = [one.bins for own in rider.sets if own.kind in COUNTED for one in own.pictures]
    found = []
    for axis, cell in _cells(settings):
        words = lacking_words(reach, axis, cell, settings.camera)
        if words is not None and cell not in {bins[axis] for bins in told}:
            found.append((f"{axis} {cell.replace('_', ' ')}", words))
    return sorted(found, key=lambda row: row[1].startswith("never"))


def _cells(settings: Settings) -> list[tuple[str, str]]:
    """Axes and bins that anchors and coverage are to show."""
    yaws = axis_bins(settings.buckets.yaw_edges)
    pitches = axis_bins(settings.buckets.pitch_edges, PITCH_NAMES)
    posed = [("yaw", each.label) for each in yaws] + [("pitch", each.label) for each in pitches]
    return posed + [("expression", each) for each in EXPRESSIONS]
