"""The pose of a face that a mesh was laid on, as columns of `face_landmarks`.

What belongs here: the columns, and when there is no pose. The mesh's own pose and a person's own
level: `core.faces.mesh_pose`.
"""

from __future__ import annotations

from typing import Any, Final

from identity_pipeline.core.faces.mesh import MeshFace
from identity_pipeline.core.faces.mesh_pose import FACE_THERE, mesh_pose
from identity_pipeline.models.face_mesh import SOURCE as MESH

UNMEASURED: Final[dict[str, Any]] = {
    "pose_source": "none",
    **dict.fromkeys(("yaw", "pitch", "roll", "pose_error", "yaw_raw", "pitch_raw")),
}


def mesh_pose_columns(mesh: MeshFace) -> dict[str, Any]:
    """Pose by the mesh; unmeasured where the mesh itself sees no face.

    The detector's key points could speak instead, but among photographed faces that the mesh
    misses they told none of the profiles, and called a lowered head one.

    Args:
        mesh: of the face.

    Returns:
        The columns of the pose; `pitch` is still without the person's own level.
    """
    if mesh.presence < FACE_THERE:
        return UNMEASURED
    try:
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
