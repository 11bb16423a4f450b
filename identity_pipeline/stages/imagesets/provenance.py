"""Where an export comes from: the source, the models, the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.camera.head_frame import zero_for
from identity_pipeline.core.camera.shown_where import Cell, where_shown
from identity_pipeline.core.camera.usual_faces import failing_as_usual
from identity_pipeline.core.camera.versions import kept_words
from identity_pipeline.core.privacy.consent import NOT_ASKED, Verdict, together
from identity_pipeline.core.ride.expectation import expectations
from identity_pipeline.core.ride.spans import spans_of
from identity_pipeline.media.page import ModelFacts
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.licences import licence_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.cache_key import deciding_settings, shaping_settings
from identity_pipeline.stages.video.notes import notes_of_file, notes_of_frames
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.cameras.pins import CAMERA, RIDE, Pinned
from identity_pipeline.storage.video.highlights import Highlights


@dataclass(frozen=True)
class KnownCamera:
    """What an export says of the camera of its video.

    Attributes:
        name: of the camera; None: it has none.
        edition: of the model that the video keeps.
        yaw, pitch: where riders look ahead, in degrees before the lens; None: not known.
        reach: table `camera_reach`.
    """

    name: str | None
    edition: EditionName
    yaw: float | None
    pitch: float | None
    reach: pl.DataFrame

    @property
    def sentence(self) -> str:
        """Which it is, of how many videos, and where riders look ahead before its lens."""
        name = f"Camera {self.name}" if self.name else "The camera without a name"
        zeros = (("yaw", self.yaw), ("pitch", self.pitch))
        told = [f"{axis} {round(angle):+d}°" for axis, angle in zeros if angle is not None]
        ahead = f", whom the lens sees at {', '.join(told)}" if told else ""
        return f"{kept_words(name, self.edition.version, self.edition.videos)}{ahead}."

    def as_json(self) -> dict[str, Any]:
        """As the manifest says it."""
        return {
            "name": self.name,
            "version": self.edition.version,
            "videos": self.edition.videos,
            "model": str(self.edition),
            "yaw_zero_deg": self.yaw,
            "pitch_zero_deg": self.pitch,
        }

    @classmethod
    def of(cls, pinned: Pinned) -> KnownCamera | None:
        """Of the model that a video keeps; None where it keeps none.

        Raises:
            DamagedFileError: the model is not what was written.
        """
        model = pinned.edition(CAMERA)
        if model is None:
            return None
        zero = zero_for(model.table("camera_pose_zero"), None)
        reach = model.table("camera_reach")
        return cls(pinned.camera, model.name, zero.yaw, zero.pitch, reach)


@dataclass(frozen=True)
class KnownRide:
    """What an export says of the ride of its video's camera.

    Attributes:
        edition: of the model that the video keeps.
        expected: phases in which riders are hardly ever seen well, in sentences.
        failing: faces that fail a gate where they do on most rides, in sentences.
        where: of each rider, where others show most what this one may lack, by axis and bin.
    """

    edition: EditionName
    expected: tuple[str, ...]
    failing: tuple[str, ...] = ()
    where: Mapping[int, Mapping[Cell, str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As the manifest says it."""
        told = {"expected": list(self.expected), "failing_as_usual": list(self.failing)}
        return {"model": str(self.edition), **told}

    @classmethod
    def of(
        cls, pinned: Pinned, phases: pl.DataFrame, faces: pl.DataFrame, settings: Settings
    ) -> KnownRide | None:
        """Of the model that a video keeps; None where it keeps none.

        A table that one of an earlier version of the program lacks says nothing.

        Args:
            pinned: what it keeps.
            phases: its table `ride_phases`.
            faces: its table `candidates`.
            settings: which phases are named, and of how many riders something is said.

        Raises:
            DamagedFileError: the model is not what was written.
        """
        model = pinned.edition(RIDE)
        if model is None:
            return None
        least = settings.camera.videos_min
        return cls(
            model.name,
            expectations(spans_of(phases), model.later_table("ride_expected"), settings.ride),
            failing_as_usual(model.later_table("ride_failures"), phases, faces, least),
            where_shown(model.later_table("ride_expressions"), phases, faces, least),
        )


@dataclass(frozen=True)
class Provenance:
    """Where an export comes from.

    Attributes:
        video_id: partition key.
        source: the row of `ride_video`.
        models: models used, in the order of the pipeline.
        vision_space: key of the space of the faces' vision encoder.
        identity_space: key of the recogniser's space.
        settings_sha256: digest of all settings that shape the sets.
        gate_version: digest of those that took part in the gates and the selection.
        highlights: name, SHA-256 and windows of the video's highlights; None where it has none.
        consents: the verdict on each rider by seat; None while consent is not required.
        camera: what is known of the camera; None where the video was made without.
        ride: the same of the ride.
    """

    video_id: str
    source: Mapping[str, Any]
    models: tuple[ModelFacts, ...]
    vision_space: str
    identity_space: str
    settings_sha256: str
    gate_version: str
    highlights: Mapping[str, Any] | None = None
    consents: Mapping[int, Verdict] | None = None
    camera: KnownCamera | None = None
    ride: KnownRide | None = None

    def where_others(self, seat: int) -> Mapping[Cell, str]:
        """Where riders show most what one may lack; nothing where the ride is not known."""
        return self.ride.where.get(seat, {}) if self.ride else {}

    def refused(self, seats: Iterable[int]) -> Verdict | None:
        """Why nothing may be shown of some riders; None where it may."""
        if self.consents is None:
            return None
        verdict = together(self.consents.get(seat, NOT_ASKED) for seat in seats)
        return None if verdict.allowed else verdict


def model_facts(models: ModelHub) -> tuple[ModelFacts, ...]:
    """Every model in use with digest, licence and what it really runs on."""
    packs = [pack for pack in (models.face_pack, models.perception) if pack is not None]
    faces = (
        ModelFacts(
            role,
            pack.card.name or pack.name,
            pack.sha256,
            pack.card.licence or licence_of(pack.name),
            on,
        )
        for pack in packs
        for role, on in sorted(pack.providers().items())
    )
    encoders = (
        ModelFacts(
            role,
            encoder.card.name or encoder.name,
            encoder.sha256,
            encoder.card.licence or licence_of(encoder.name),
            encoder.runs_on,
        )
        for role, encoder in models.encoders().items()
    )
    return (*faces, *encoders)


def provenance_of(
    video_id: str,
    ride_video: pl.DataFrame,
    frames: pl.DataFrame,
    models: ModelHub,
    settings: Settings,
    highlights: Highlights | None = None,
    consents: Mapping[int, Verdict] | None = None,
    camera: KnownCamera | None = None,
    ride: KnownRide | None = None,
) -> Provenance:
    """The provenance of one video's export; says the file's name but not where it lay."""
    source = ride_video.drop("video_id", "path").row(0, named=True)
    source["name"] = Path(ride_video["path"][0]).name
    source["warnings"] = notes_of_file(ride_video) + notes_of_frames(ride_video, frames)
    return Provenance(
        video_id=video_id,
        source=source,
        models=model_facts(models),
        vision_space=models.vision.space.key,
        identity_space=models.face_pack.space.key,
        settings_sha256=shaping_settings(settings),
        gate_version=deciding_settings(settings, emphasised=highlights is not None)[:12],
        highlights=_highlights(highlights, settings) if highlights else None,
        consents=consents,
        camera=camera,
        ride=ride,
    )


def _highlights(known: Highlights, settings: Settings) -> dict[str, Any]:
    """The highlights, and what a weight did."""
    return {
        "name": known.name,
        "sha256": known.sha256,
        "windows": [window._asdict() for window in known.windows],
        **settings.highlights.model_dump(mode="json"),
    }
