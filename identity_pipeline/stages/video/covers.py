"""What is before the faces of one batch, as columns of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from identity_pipeline.core.faces.mesh import MeshFace
from identity_pipeline.core.faces.occlusion import CELL_COLUMNS, cell_columns
from identity_pipeline.media.crops import Region
from identity_pipeline.models.face_cover import FaceCover

_UNREAD = dict.fromkeys(("eye_left_there", "eye_right_there", *CELL_COLUMNS))


def with_covers(
    cover: FaceCover | None,
    rows: Sequence[dict[str, Any]],
    regions: Sequence[Region],
    meshes: Sequence[MeshFace | None],
) -> list[dict[str, Any]]:
    """The rows of faces with whether their eyes are there and which of their cells are covered.

    Args:
        cover: the nets; None leaves all of it null.
        rows: of table `face_landmarks`, one per face.
        regions: where the faces are seen.
        meshes: of the faces; a face without one is not read.
    """
    out = [row | _UNREAD for row in rows]
    if cover is None:
        return out
    found = {k: mesh for k, mesh in enumerate(meshes) if mesh is not None}
    readings = cover.read([regions[k] for k in found], list(found.values()))
    for k, reading in zip(found, readings, strict=True):
        out[k] |= {
            "eye_left_there": reading.left_there,
            "eye_right_there": reading.right_there,
            **cell_columns(reading),
        }
    return out
