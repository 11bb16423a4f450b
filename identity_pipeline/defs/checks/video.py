"""Asset checks between the tables of a video.

The step of the asset makes them (`resources.step_checks`), as it does that of its table by itself
(`results.sound_check`). A failed check of severity ERROR stops its own video only.
"""

import dagster as dg
import polars as pl

from identity_pipeline.core.imagesets.frame_ledger import NO_CONSENT, conservation_errors
from identity_pipeline.defs.display import camera_pictures, ride_pictures
from identity_pipeline.defs.resources.step_checks import VideoCheck, video_check
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline.tables.soundness import count_faults


@video_check(
    "face_tracks",
    "frames",
    "face_detections",
    "face_quality",
    "face_embeddings",
    blocking=True,
    description="No face is lost or made up between the frames and the tracks.",
)
def counts_agree(check: VideoCheck) -> dg.AssetCheckResult:
    """The counts of `tables.soundness`."""
    frames, faces = check.inputs["frames"], check.inputs["face_detections"]
    measured = check.inputs.of("face_quality", "face_embeddings", "face_tracks")
    wrong = count_faults(frames, faces, *measured.values())
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(wrong) or f"{faces.height} faces are in every table.",
        metadata={"faces": faces.height, "frames": frames.height},
    )


@video_check(
    "camera_places",
    "camera_votes",
    "camera_figures",
    "ride_video",
    blocking=False,
    description="The camera stands and sees as it did: where riders sit and look, light, "
    "sharpness at the same light, faces.",
)
def like_its_camera(check: VideoCheck) -> dg.AssetCheckResult:
    """A dirty lens or a turned mount is worth a look; the video itself may be fine."""
    from identity_pipeline.stages.library.camera_watch import look

    seen = look(check.store, check.settings, check.inputs.video_id)
    told = camera_pictures.sentences(seen)
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(told) or camera_pictures.as_usual(seen, check.settings.camera),
        metadata=camera_pictures.describe_look(seen),
    )


@video_check(
    "ride_course",
    "frames",
    blocking=False,
    description="The video shows the ride that its camera's others show.",
)
def follows_its_ride(check: VideoCheck) -> dg.AssetCheckResult:
    """A video of another ride in the folder makes no model worse: it is named and left out.

    So is one whose pictures alone are not of the ride; its phases are told.
    """
    row = check.inputs["ride_course"].row(0, named=True)
    return dg.AssetCheckResult(
        passed=row["state"] not in ("other_ride", "other_scenery"),
        severity=dg.AssetCheckSeverity.WARN,
        description=row["sentence"] or "It follows the ride of its camera.",
        metadata=ride_pictures.describe_followed(row, check.store, check.inputs["frames"]),
    )


@video_check(
    "frame_ledger",
    "frames",
    "face_detections",
    "candidates",
    "identity_dataset",
    *SET_ASSETS,
    blocking=True,
    description="Every face of every sampled frame is in exactly one state, and the sums agree.",
)
def every_face_is_accounted_for(check: VideoCheck) -> dg.AssetCheckResult:
    """The conservation law of `core.imagesets.frame_ledger`."""
    from identity_pipeline.stages.specs.exported import shown_sets

    inputs = check.inputs
    ledger, faces, frames = inputs["frame_ledger"], inputs["face_detections"], inputs["frames"]
    files, observed = inputs["identity_dataset"], inputs["candidates"]
    shown = shown_sets(inputs.of(*SET_ASSETS), files, observed)
    errors = conservation_errors(ledger, faces, frames, shown)
    return dg.AssetCheckResult(
        passed=not errors,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(errors) or f"{ledger.height} faces add up.",
        metadata={"faces": ledger.height, "errors": len(errors)},
    )


@video_check(
    "riders",
    blocking=False,
    description="Somebody rides.",
)
def somebody_rides(check: VideoCheck) -> dg.AssetCheckResult:
    """A ride without a rider is worth a look, but is no error: cars run empty."""
    riders = check.inputs["riders"]
    count = riders["person_id"].drop_nulls().len()
    return dg.AssetCheckResult(
        passed=count > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count} riders." if count else "No rider: an empty car, or a blind camera.",
        metadata={"riders": count, "tracks": riders.height},
    )


@video_check(
    "identity_dataset",
    blocking=True,
    description="Every exported file is in its place with the bytes of its digest, and no other.",
)
def export_is_complete(check: VideoCheck) -> dg.AssetCheckResult:
    """Reads the folder back."""
    from identity_pipeline.stages.specs.exported import export_is_whole

    files = check.inputs["identity_dataset"]
    target = check.store.layout.export(check.inputs.video_id)
    whole = export_is_whole(target, files)
    return dg.AssetCheckResult(
        passed=whole,
        severity=dg.AssetCheckSeverity.ERROR,
        description="All files are there." if whole else f"{target} differs from its manifest.",
        metadata={"files": files.height},
    )


@video_check(
    "identity_dataset",
    blocking=False,
    description="Every image that was chosen was proved to show the frame that was analysed, and "
    "its riders alone.",
)
def every_image_is_proved(check: VideoCheck) -> dg.AssetCheckResult:
    """An image that is not proved is left out; the others of the video are sound.

    Those that nobody may show are told by `shown_consent`.
    """
    why_not = pl.col("left_out")
    unproved = why_not.is_not_null() & ~why_not.str.starts_with(f"{NO_CONSENT}:")
    left_out = check.inputs["identity_dataset"].filter(unproved)
    told = [f"{file}: {why}" for file, why in left_out.select("file", "left_out").iter_rows()]
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(told)
        or "Every image shows the frame that was analysed, and its riders alone.",
        metadata={"left_out": left_out.height},
    )
