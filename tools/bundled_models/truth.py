"""What is known about a rendered frame, in the form in which it is written beside the video.

Belongs here: rows of the truth file, and the light of each face as the pipeline would call it.
Does not belong here: drawing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.faces.buckets import lighting_bin
from identity_pipeline.core.faces.quality import measure_pixels
from identity_pipeline.media.crops import align
from identity_pipeline.settings.measurement import BucketSettings, QualitySettings
from identity_pipeline.settings.recall import RecallSettings
from tools.bundled_models import moments
from tools.bundled_models.choreography import person_name
from tools.bundled_models.course import Mount, RidePlan
from tools.bundled_models.facekit import FaceKit
from tools.bundled_models.pool import five_points
from tools.bundled_models.stage import WIDTH, Face, Stage, pose_of
from tools.bundled_models.traits import TWIN, ride_traits

Row = dict[str, Any]


def rounded(values: Iterable[float], digits: int) -> list[float]:
    """Rounded numbers; whole ones without a decimal point, which keeps the files small."""
    near = [round(float(v), digits) for v in values]
    return [int(v) if v == int(v) else v for v in near]


_PHASES = {"board": "boarding", "end": "boarding", "tunnel": "dark", "glare": "glare", "flash": "flash", "post": "high_motion", "brake": "brake"}  # fmt: skip
"""What the pipeline calls the segments, and the flash and the passing post in one; all others are
`ride`. The post alone is of high motion, for the drop is less than twice as fast as the rest."""
MOMENT_S = RecallSettings().moment_s


def face_row(
    kit: FaceKit, face: Face, frame: int, bgr: NDArray[np.uint8], mount: Mount | None = None
) -> Row:
    """The truth of one face in a frame; `bgr` is the finished frame, in whose pixels places are."""
    portrait, actor, offset = face.portrait, face.actor, np.array([face.x, face.y, 0.0])
    shrunk = bgr.shape[1] / WIDTH
    weights = actor.weights(kit, frame)
    eye, mouth, smile = moments.attributes(kit, actor.person, weights)
    marks = (portrait.landmarks + offset) * shrunk
    pixels = measure_pixels(align(bgr, five_points(marks)))
    area = max(1, int(portrait.face.sum()))
    row = {
        "person": face.name,
        "rider": face.rider,
        "box": rounded((portrait.box + np.tile(offset[:2], 2)) * shrunk, 1),
        "pose": rounded(pose_of(actor, frame, mount), 1),
        "landmarks": [rounded(mark, 1) for mark in marks],
        "expression": rounded(weights, 2),
        "occlusion": round(1 - face.shown / area, 3),
        "eye_open": round(eye, 3),
        "mouth_open": round(mouth, 3),
        "smile": round(smile, 3),
        "luma": round(pixels.luma_mean, 1),
        "clipped": round(pixels.clipped_share, 3),
    }
    if mount is None:
        return row
    return row | {
        "sharpness": round(pixels.sharpness, 1),
        "role": face.role,
        "seat": face.seat,
        "row": None if face.seat is None else face.seat // 2,
    }


def frame_row(stage: Stage, frame: int, faces: list[Row]) -> Row:
    """The truth of a frame; its lighting follows when all frames are known."""
    course, plan = stage.course, stage.plan
    shown = "post" if course.occluder[frame] else course.kind[frame]
    shown = "flash" if course.flash[frame] else shown
    phase = {"phase": _PHASES.get(shown, "ride")} if plan.mount else {}
    return phase | {
        "frame_idx": frame - plan.filmed.start,
        "faces": faces,
        "lighting": "normal",
        "motion_blur": bool(course.blur[frame]),
        "blur_px": int(course.blur[frame]),
        "occluder": bool(course.occluder[frame]),
        "scene_cut": bool(course.cut[frame]),
        "segment": course.kind[frame],
    }


def name_the_light(frames: list[Row], settings: BucketSettings | None = None) -> None:
    """Give each face its `lighting` as the pipeline bins it, and each frame that of most riders.

    A face's usual luma is the median over the ride. Of two labels that as many riders have, the
    frame takes the harder: dark before overexposed before normal.
    """
    settings = settings or BucketSettings()
    lumas: dict[str, list[float]] = {}
    for row in frames:
        for face in row["faces"]:
            lumas.setdefault(face["person"], []).append(face["luma"])
    usual = {name: float(np.median(values)) for name, values in lumas.items()}
    for row in frames:
        for face in row["faces"]:
            face["lighting"] = lighting_bin(
                face["luma"], face["clipped"], usual[face["person"]], settings
            )
        labels = [face["lighting"] for face in row["faces"] if face["rider"]]
        row["lighting"] = max(("dark", "overexposed", "normal"), key=labels.count)


def name_the_usable(
    frames: list[Row], fps: int, size: tuple[int, int], settings: QualitySettings | None = None
) -> dict[str, list[bool]]:
    """Give each face of a camera's ride its `usable`, and each rider that of each half second.

    A face is usable where what was drawn meets the numbers of the loose gate: little of it covered
    or outside of the picture, and sharp, also for this person. A moment is where a face in it is.
    """
    settings = settings or QualitySettings()
    sharpness: dict[str, list[float]] = {}
    for face in (face for row in frames for face in row["faces"]):
        sharpness.setdefault(face["person"], []).append(face["sharpness"])
    usual = {name: float(np.median(values)) for name, values in sharpness.items()}
    moments_of: dict[str, list[bool]] = {}
    last = int((len(frames) - 1) / fps / MOMENT_S)
    for row in frames:
        moment = int(row["frame_idx"] / fps / MOMENT_S)
        for face in row["faces"]:
            least = settings.loose_relative_sharpness * usual[face["person"]]
            face["usable"] = bool(
                face["occlusion"] <= settings.loose_occlusion
                and face["sharpness"] >= max(settings.loose_sharpness, least)
                and _outside(face["box"], size) <= settings.max_outside
            )
            if face["rider"]:
                own = moments_of.setdefault(face["person"], [False] * (last + 1))
                own[moment] |= face["usable"]
    return moments_of


def _outside(box: list[float], size: tuple[int, int]) -> float:
    """Share of a box that is outside of the picture."""
    x1, y1, x2, y2 = box
    across = max(0.0, min(x2, size[0]) - max(x1, 0.0))
    down = max(0.0, min(y2, size[1]) - max(y1, 0.0))
    return 1 - across * down / max((x2 - x1) * (y2 - y1), 1e-6)


def document(kit: FaceKit, plan: RidePlan, stage: Stage, frames: list[Row]) -> Row:
    """The whole truth file of a ride."""
    riders = set(plan.riders)
    of_camera: Row = {}
    if plan.mount:
        usable = name_the_usable(frames, plan.fps, plan.mount.size)
        of_camera = {"camera": asdict(plan.mount), "moment_s": MOMENT_S, "usable": usable}
    return {
        "rendered": True,
        "people": [person_name(seed) for seed in plan.riders],
        "children": [person_name(seed) for seed in plan.riders if ride_traits(seed).child > 0],
        "twins": [
            [person_name(s), person_name(s + TWIN)] for s in sorted(riders) if s + TWIN in riders
        ],
        "fps": plan.fps,
        "seed": plan.seed,
        "weather": stage.course.weather,
        "expression_names": list(kit.expression_names),
        **of_camera,
        "frames": frames,
    }
