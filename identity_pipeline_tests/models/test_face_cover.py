"""The cover nets on a rendered face whose landmarks are known, plain and with a band before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from identity_pipeline.core.faces.cover import CHIP_VERTICES, OVAL_VERTICES
from identity_pipeline.core.faces.mesh import MESH_POINTS, MeshFace
from identity_pipeline.media.crops import Region
from identity_pipeline.models.face_cover import FOLDER, FaceCover, FaceCoverError
from identity_pipeline.settings import ModelSettings
from identity_pipeline_tests.conftest import BUNDLED

CHIP_68 = (36, 39, 42, 45, 27, 31, 33, 35)


@pytest.fixture(scope="module")
def face() -> tuple[NDArray[np.uint8], MeshFace]:
    """The first frontal face of the demo's ride with one rider, and the vertices that are read."""
    rides = BUNDLED / "rides"
    frames = json.loads((rides / "demo_solo.truth.json").read_text())["frames"]
    capture = cv2.VideoCapture(str(rides / "demo_solo.mp4"))
    for frame in frames:
        picture = capture.read()[1]
        known = [f for f in frame["faces"] if f["rider"] and abs(f["pose"][1]) < 10]
        if known and known[0]["occlusion"] < 0.02 and frame["lighting"] == "normal":
            marks = np.array(known[0]["landmarks"], np.float32)[:, :2]
            break
    points = np.zeros((MESH_POINTS, 3), np.float32)
    points[list(CHIP_VERTICES), :2] = marks[list(CHIP_68)]
    turn = np.linspace(0, 2 * np.pi, len(OVAL_VERTICES), endpoint=False)
    middle, half = (marks[0] + marks[16]) / 2, np.linalg.norm(marks[16] - marks[0]) / 2
    outline = middle + half * np.stack([np.sin(turn), 0.2 - 1.2 * np.cos(turn)], axis=1)
    points[list(OVAL_VERTICES), :2] = outline
    return np.asarray(picture, np.uint8), MeshFace(points, 1.0)


def test_a_plain_face_shows_both_eyes_and_is_covered_nowhere(
    face: tuple[NDArray[np.uint8], MeshFace],
) -> None:
    (read,) = FaceCover(ModelSettings()).read([Region(face[0], 0, 0, 1.0)], [face[1]])
    assert min(read.left_there, read.right_there) > 0.5
    assert read.inside.any()
    assert (read.cells[read.inside] > 0.5).mean() < 0.05


def test_a_band_before_one_eye_hides_that_eye_alone(
    face: tuple[NDArray[np.uint8], MeshFace],
) -> None:
    picture, mesh = face
    first, last = mesh.points[33, :2], mesh.points[133, :2]
    reach = np.linalg.norm(last - first) * 0.6
    x1, x2 = int(first[0] - reach * 2), int(last[0] + reach * 0.3)
    covered = picture.copy()
    covered[:, x1:x2] = (30, 60, 90)
    cover = FaceCover(ModelSettings())
    (read,) = cover.read([Region(covered, 0, 0, 1.0)], [mesh])
    assert read.left_there < 0.5 < read.right_there
    assert 0.1 < (read.cells[read.inside] > 0.5).mean() < 0.7
    whole, part = cover.read(
        [Region(covered, 0, 0, 1.0), Region(covered[40:, 25:], 25, 40, 1.0)], [mesh, mesh]
    )
    assert np.allclose(whole.cells, part.cells, atol=0.02)  # wherever the region begins


def test_nets_that_are_not_those_that_were_shipped_are_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "nets")
    with (tmp_path / "nets" / "eye_there.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(FaceCoverError, match="install anew"):
        FaceCover(ModelSettings(), tmp_path / "nets")


def test_no_faces_are_read_as_none() -> None:
    assert FaceCover(ModelSettings()).read([], []) == []
