"""Head pose from a face mesh: the rotation, what it hides of large turns, and a person's own level.

The rotation is that of a mean face onto the mesh (Kabsch 1976), by the vertices that no expression
moves. Two things are wrong with it, and both are mended here.

**Large turns.** The net draws a profile as a face that is turned by some 45 to 60 degrees and bent:
the rotation stops growing, but the mesh fits a rigid face worse and worse. Both together tell how
far a head is turned. The mesh's own word on whether there is a face at all tells the rest.

**Level.** How a face is built shifts its pitch: by -5 to 14 degrees among eight people who look
straight ahead. Nothing in one picture tells that from a tilted head, so a person's own level is
their median pitch over the faces that look into the camera, and it is taken off. That takes off
the camera's tilt as well, and whoever looks up all the ride is thought to look straight ahead, up
to a limit. Yaw has no such zero: a face that looks into the camera is symmetric, and the mean face
is too. Over the same people eight measures of symmetry (nose, eyes, cheeks, mouth) put the zero
within 0.9 degrees.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.frontal import RIGID, RIGID_PLACES
from identity_pipeline.core.faces.pose import HeadPose, fit_rotation, pose_from_rotation
from identity_pipeline.settings import BucketSettings

FACE_THERE: Final = 0.5
"""The mesh's presence from which its points are those of a face: MediaPipe's own default of
`min_face_presence_confidence`."""
STRAIGHT, TURNED = 25.0, 40.0
"""Degrees: up to the first the rotation's yaw is right, from the second on `BENT` tells better."""
BENT: Final = (-14.5, 1.036, 260.0)
"""Constant, weight of the rotation's yaw (degrees) and of the misfit that give the yaw of a turned
head. Least squares over 830 rendered heads of 60 shapes whose yaw is uniform between -90 and 90
degrees: a matter of geometry, so rendered heads may set it; real profiles check it."""
LEVEL_YAW_MAX: Final = 10.0
"""Degrees; faces that are turned less look into the camera."""
USUAL_LEVEL: Final = 3.0
"""Pitch in degrees that the rotation gives to level faces: mean over eight people of the median of
their faces that were labelled as level in real ride clips."""
AXES: Final = np.array([1.0, -1.0, 1.0])
"""From pixels, y down, to the head frame."""


def mesh_pose(points: NDArray[np.floating]) -> tuple[HeadPose, HeadPose, float]:
    """The pose of a mesh.

    Args:
        points: (468, 3) as in `core.faces.mesh.MeshFace`.

    Returns:
        The pose with the yaw of turned heads mended; that of the rotation alone; and the misfit,
        the root mean square distance from a rigid face over the size of the face.

    Raises:
        ValueError: the points have no extent.
    """
    seen = np.asarray(points, dtype=np.float64)[RIGID] * AXES
    rotation, misfit = fit_rotation(RIGID_PLACES * AXES, seen)
    raw = pose_from_rotation(rotation)
    return raw._replace(yaw=turned_yaw(raw.yaw, misfit)), raw, misfit


def turned_yaw(yaw: float, misfit: float) -> float:
    """The yaw of a head in degrees, from that of the rotation and from the misfit of a rigid face.

    It never takes anything off, grows with both, and has the sign of the rotation's yaw.
    """
    far = abs(yaw)
    share = float(np.clip((far - STRAIGHT) / (TURNED - STRAIGHT), 0.0, 1.0))
    constant, of_yaw, of_misfit = BENT
    bent = float(np.clip(constant + of_yaw * far + of_misfit * misfit, far, 90.0))
    return float(np.copysign((1 - share) * far + share * bent, yaw))


def with_own_level(
    faces: pl.DataFrame, settings: BucketSettings, usual: float = USUAL_LEVEL
) -> pl.DataFrame:
    """Takes each person's own level off the pitch of faces that a mesh posed.

    People with fewer than `neutral_min_faces` faces that look into the camera get the usual level,
    and none is farther from it than `own_level_max`.

    Args:
        faces: person_id, yaw, and `pitch_raw`, which is null where no mesh posed the face.
        settings: limits.
        usual: the level about which those of people lie, in degrees.

    Returns:
        The faces with `pitch` and `pitch_level`, in degrees; both as they were, or null, where
        `pitch_raw` is null.
    """
    ahead = (pl.col("yaw").abs() <= LEVEL_YAW_MAX) & pl.col("pitch_raw").is_not_null()
    ahead = ahead.fill_null(False)
    enough = ahead.sum().over("person_id") >= settings.neutral_min_faces
    own = pl.col("pitch_raw").filter(ahead).median().over("person_id")
    limit = settings.own_level_max
    level = pl.when(enough).then(own.clip(usual - limit, usual + limit)).otherwise(usual)
    return faces.with_columns(
        pitch_level=pl.when(pl.col("pitch_raw").is_not_null()).then(level).cast(pl.Float32)
    ).with_columns(pitch=pl.coalesce(pl.col("pitch_raw") - pl.col("pitch_level"), "pitch"))
