"""The face mesh and iris nets: what is refused, and that points come back to the frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from identity_pipeline.core.faces.eyes import measure_eyes
from identity_pipeline.core.faces.mesh import MESH_POINTS, MeshFace, eye_line
from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import Region
from identity_pipeline.models.face_mesh import IRIS_FILE, MESH_FILE, FaceMesh, FaceMeshError
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import ModelSettings


def net(path: Path, side: int, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    """A net that says the same of every picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes, inits = [], [numpy_helper.from_array(np.array(0, np.float32), "none")]
    nodes.append(helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0))
    nodes.append(helper.make_node("Mul", ["m", "none"], ["z"]))
    inits.append(numpy_helper.from_array(np.array([1], np.int64), "ax"))
    nodes.append(helper.make_node("Unsqueeze", ["z", "ax"], ["u"]))
    outs = []
    for name, values in (("first", first), ("second", second)):
        inits.append(numpy_helper.from_array(values.reshape(1, -1).astype(np.float32), name + "_k"))
        nodes.append(helper.make_node("Add", ["u", name + "_k"], [name]))
        outs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", values.size]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, side, side])
    graph = helper.make_graph(nodes, "net", [given], outs, inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def flat_mesh() -> NDArray[np.float32]:
    """All vertices in the middle of the crop, but the eyes level and 48 px left and right of it."""
    points = np.tile(np.array([96, 96, 0], np.float32), (MESH_POINTS, 1))
    points[[33, 133, 362, 263], 0] = [48, 80, 112, 144]
    points[10], points[152] = [96, 0, 0], [96, 192, -32]
    return points


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net(tmp_path / MESH_FILE, 192, flat_mesh(), np.array([4.0], np.float32))
    contour = np.tile(np.array([32, 32, 0], np.float32), (71, 1))
    contour[0], contour[8] = [16, 32, 0], [48, 32, 0]
    net(tmp_path / IRIS_FILE, 64, contour, np.tile(np.array([40, 32, 0], np.float32), (5, 1)))
    return tmp_path


def settings(folder: Path | str) -> ModelSettings:
    return ModelSettings(perception=str(folder))


def one(folder: Path, key_points: NDArray[np.float64] | None) -> MeshFace:
    grey = Region(np.full((300, 300, 3), 90, np.uint8), 100.0, 50.0, 0.5)
    box = Box(300, 250, 400, 350)
    return FaceMesh(folder, settings(folder)).read([grey], [box], [key_points])[0]


@pytest.mark.parametrize("degrees", [0.0, 30.0, -100.0])
def test_points_come_back_to_the_frame_turned_with_the_eyes(folder: Path, degrees: float) -> None:
    along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    eyes = np.array([350.0, 300.0]) + np.outer([-20, 20], along)
    face = one(folder, np.vstack([eyes, np.zeros((3, 2))]))
    found = eye_line(face.points)
    assert found / np.hypot(*found) == pytest.approx(along, abs=1e-5)
    assert face.points[0, :2] == pytest.approx([350, 300], abs=1e-3)
    # The first crop is 150 px wide, and so is the mesh: the second is 225 px wide.
    assert np.hypot(*found) == pytest.approx(225 / 2, rel=1e-5)
    assert face.points[152, 2] == pytest.approx(32 * 225 / 192, rel=1e-5)
    assert face.presence == pytest.approx(1 / (1 + np.exp(-4)))


def test_the_image_right_eye_is_read_in_the_mirror(folder: Path) -> None:
    eyes = one(folder, None).eyes
    assert eyes is not None
    left, right = eyes
    assert left.contour[0, 0] < left.iris[0, 0] < left.contour[8, 0]
    assert right.contour[0, 0] > right.iris[0, 0] > right.contour[8, 0]
    width = abs(left.contour[8, 0] - left.contour[0, 0])
    assert left.iris[0, 0] - left.contour[0, 0] == pytest.approx(0.75 * width, rel=1e-4)


def test_without_an_iris_net_there_are_no_eyes(folder: Path) -> None:
    before = FaceMesh(folder, settings(folder)).sha256
    (folder / IRIS_FILE).unlink()
    mesh = FaceMesh(folder, settings(folder))
    assert mesh.sha256 != before
    assert list(mesh.providers()) == ["face_mesh"]
    assert one(folder, None).eyes is None


def test_a_net_of_another_format_is_refused_before_work_begins(folder: Path) -> None:
    net(folder / MESH_FILE, 192, np.zeros(136, np.float32), np.zeros(1, np.float32))
    fault = ModelHub(settings(folder)).fault("perception", opened=True)
    assert fault and "no net of perception" in fault
    (folder / MESH_FILE).write_bytes(b"no net")
    fault = ModelHub(settings(folder)).fault("perception", opened=True)
    assert fault and "cannot be opened" in fault


def test_a_folder_without_a_mesh_is_refused_and_none_may_be_wanted(tmp_path: Path) -> None:
    with pytest.raises(FaceMeshError, match="the face mesh"):
        _ = ModelHub(settings(tmp_path)).perception
    assert ModelHub(settings("")).perception is None
    assert ModelHub(settings("")).digest("perception") == ""


# --- the open pack's nets on photographs ---------------------------------------------------------


@pytest.fixture(scope="module")
def nets(open_pack: Path) -> tuple[FacePack, FaceMesh]:
    chosen = ModelSettings(face_pack=str(open_pack), perception=str(open_pack), device="cpu")
    mesh = ModelHub(chosen).perception
    assert mesh is not None
    return FacePack(chosen), mesh


def photographed(nets: tuple[FacePack, FaceMesh], picture: NDArray[np.uint8]) -> MeshFace:
    """The largest face of a picture."""
    pack, mesh = nets
    found = pack.detect(picture)
    boxes = [Box(*map(float, box)) for box in found.boxes]
    n = max(range(len(boxes)), key=lambda i: boxes[i].area)
    return mesh.read([Region(picture, 0.0, 0.0, 1.0)], [boxes[n]], [found.key_points[n]])[0]


def test_a_photograph_its_mirror_and_a_tilted_one_have_the_same_eyes(
    nets: tuple[FacePack, FaceMesh], real: Path
) -> None:
    picture = cv2.imread(str(real / "pairs" / "img3.jpg"))
    assert picture is not None
    face, other = photographed(nets, picture), photographed(nets, picture[:, ::-1].copy())
    assert face.presence > 0.9 and face.eyes and other.eyes
    mine, mirrored = measure_eyes(face.eyes), measure_eyes(other.eyes)
    assert mine.lid_gap_left == pytest.approx(mirrored.lid_gap_right, abs=0.04)
    assert mine.gaze_offset == pytest.approx(-mirrored.gaze_offset, abs=0.03)
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 15, 1.0)
    tilted = photographed(
        nets, np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)
    )
    assert tilted.eyes
    assert measure_eyes(tilted.eyes).lid_height_left == pytest.approx(
        mine.lid_height_left, abs=0.04
    )
    # The meshes lie one upon the other: within a tenth of the distance of the eyes.
    moved = face.points[:, :2] @ turn[:, :2].T + turn[:, 2]
    apart = np.linalg.norm(tilted.points[:, :2] - moved, axis=1)
    assert apart.mean() < 0.1 * np.hypot(*eye_line(face.points))
