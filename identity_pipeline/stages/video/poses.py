"""The pose of a face that a mesh was laid on, as columns of `face_landmarks`.

What belongs here: which of mesh and key points is believed. The mesh's own pose and a person's own
level: `core.faces.mesh_pose`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.faces.mesh import MeshFace
from identity_pipeline.core.faces.mesh_pose import FACE_THERE, PROFILE_FROM, mesh_pose
from identity_pipeline.core.geometry import Box
from identity_pipeline.models.face_mesh import SOURCE as MESH
from identity_pipeline.models.head_pose import pose_from_points

ANGLES: Final = ("yaw", "pitch", "roll")
UNMEASURED: Final[dict[str, Any]] = {
    "pose_source": "none",
    **dict.fromkeys((*ANGLES, "pose_error", "yaw_raw", "pitch_raw")),
}


def mesh_pose_columns(mesh: MeshFace, key_points: NDArray[np.float64], box: Box) -> dict[str, Any]:
    """Pose by the mesh; by the detector's key points for a profile that the mesh takes for no face.

    Key points are believed where they say profile alone: the mesh misses profiles and what is no
    face, and only of the first do they speak.

    Args:
        mesh: of the face.
        key_points: (5, 2) of the detector, px of the source.
        box: the face box.

    Returns:
        The columns of the pose; `pitch` is still without the person's own level.
    """
    try:
        if mesh.presence < FACE_THERE:
            return _profile(key_points, box)
        pose, raw, misfit = mesh_pose(mesh.points)
    except ValueError:
        return UNMEASURED
    return {
        "pose_source": MESH,
        **pose._asdict(),
        "pose_error": misfit,
        "yaw_raw": raw.yaw,
        "pitch_raw": raw.pitch,
    }


def _profile(key_points: NDArray[np.float64], box: Box) -> dict[str, Any]:
    found = pose_from_points(key_points, box)
    if abs(found.pose.yaw) < PROFILE_FROM:
        return UNMEASURED
    return UNMEASURED | {
        "pose_source": "pnp_5",
        **dict(zip(ANGLES, found.pose, strict=True)),
        "pose_error": found.error,
    }
