"""Drawing one person at one moment: a square RGBA picture with everything known about it.

Belongs here: posing, assembling the meshes, projecting, the truths in pixels. Does not belong here:
choosing the moment (`moments`) or what is behind and in front (`backdrop`, `degrade`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import outfit as wardrobe
from tools.bundled_models import raster, torso
from tools.bundled_models.facekit import (
    CLOTH,
    FACE_MATERIALS,
    FRAME,
    HAIR,
    HAIR_ROOT,
    HAT,
    LENS,
    LIMB,
    SKIN,
    TRIM,
    FaceKit,
    Floats,
    cylindrical,
)
from tools.bundled_models.identity import Person
from tools.bundled_models.moments import Light, rotation
from tools.bundled_models.outfit import Mesh, Outfit
from tools.bundled_models.traits import smooth_step

_PIVOT = np.array([0, -2.0, 0])  # where the neck turns
_SHADOW_SIZE = 160
_FABRICS = (
    (0.03, 0.05, 0.12), (0.04, 0.042, 0.045), (0.66, 0.65, 0.62), (0.27, 0.27, 0.28), (0.34, 0.03, 0.035),
    (0.04, 0.12, 0.06), (0.48, 0.29, 0.05), (0.05, 0.22, 0.25), (0.55, 0.28, 0.30), (0.015, 0.015, 0.017),
    (0.22, 0.37, 0.56), (0.14, 0.14, 0.06), (0.45, 0.42, 0.36), (0.16, 0.06, 0.2), (0.6, 0.16, 0.05),
)  # fmt: skip


@dataclass(frozen=True)
class Portrait:
    """A picture and its truth, in pixels of the picture."""

    rgba: Floats  # (S, S, 4) premultiplied, display gamma, in [0, 1]
    landmarks: Floats  # (68, 3) x, y, and z toward the viewer, z about 0 on average
    box: Floats  # (4,) x1, y1, x2, y2 from forehead to chin
    face: NDArray[np.bool_]  # (S, S) pixels inside the hull of the landmarks
    visible: NDArray[np.bool_]  # (S, S) of these, where the face itself is seen
    framed: NDArray[np.bool_]  # (S, S) of these, where the frame of spectacles is seen

    @property
    def occlusion(self) -> float:
        """Share of the face that something covers (hair, hat, lens, hand)."""
        return 1 - float(self.visible.sum()) / max(1, int(self.face.sum()))


@dataclass(frozen=True)
class Camera:
    """A square view: where the head's centre falls, how large it is, and from how far it is seen."""

    size: int
    scale: float  # px per cm at the head's centre
    centre: tuple[float, float] = (0.5, 0.5)
    distance: float = 60.0  # cm
    supersampling: float = 1.5


@dataclass
class _Scene:
    """Growing arrays of one drawing."""

    vertices: list[Floats]
    uv: list[Floats]
    ambient: list[Floats]
    triangles: list[NDArray[np.int32]]
    material: list[NDArray[np.int32]]
    two_sided: list[NDArray[np.bool_]]
    count: int = 0

    def add(
        self, vertices: Floats, uv: Floats, ambient: Floats, triangles: NDArray[np.int32], material: NDArray[np.int32],
        two_sided: bool,
    ) -> None:  # fmt: skip
        self.vertices.append(vertices)
        self.uv.append(uv)
        self.ambient.append(ambient)
        self.triangles.append(triangles + self.count)
        self.material.append(material)
        self.two_sided.append(np.full(len(triangles), two_sided))
        self.count += len(vertices)

    def add_mesh(self, mesh: Mesh, uv: Floats, ambient: float) -> None:
        material = np.full(len(mesh.triangles), mesh.material, np.int32)
        self.add(
            mesh.vertices,
            uv,
            np.full(len(mesh.vertices), ambient, np.float32)
            if mesh.ambient is None
            else mesh.ambient,
            mesh.triangles,
            material,
            True,
        )


def draw(
    kit: FaceKit,
    person: Person,
    weights: Floats,
    pose: tuple[float, float, float],
    light: Light,
    camera: Camera,
    outfit: Outfit,
    body_pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shadow: bool = True,
) -> Portrait:
    """Draw a person. `weights` are the expression coefficients, poses are pitch, yaw, roll in degrees."""
    used = np.flatnonzero(weights)
    face = (person.vertices + (weights[used] @ kit.expression[used]).reshape(-1, 3)).astype(
        np.float32
    )
    if outfit.seated:
        face = _under_the_shirt(kit, face)
    turn, body_turn = rotation(*pose).astype(np.float32), rotation(*body_pose).astype(np.float32)
    scene = _Scene([], [], [], [], [], [])
    _add_head(scene, kit, person, face, outfit)
    turned = (np.concatenate(scene.vertices) - _PIVOT) @ turn.T + _PIVOT
    on_body = np.clip((-kit.neutral[:, 1] - 9) / 8, 0, 1)[
        :, None
    ]  # the neck's base stays with the body
    turned[: len(face)] = turned[: len(face)] * (1 - on_body) + on_body * (face @ body_turn.T)
    for mesh in torso.body(person, outfit):
        scene.add_mesh(mesh, mesh.vertices[:, :2] * 8, 0.9)
    limbs = [part @ body_turn.T for part in scene.vertices[_head_parts(scene, len(turned)) :]]
    vertices = np.concatenate([turned, *limbs]).astype(np.float32)
    centre = turn @ (np.array([0, 1.0, 4.0]) - _PIVOT) + _PIVOT
    picture, owner, materials, points = _paint(
        kit, person, scene, vertices, centre, light, camera, outfit, shadow
    )
    ratio = round(camera.size * camera.supersampling) / camera.size
    marks = points[kit.landmarks] / ratio
    marks[:, 2] -= marks[:, 2].mean()
    inside = points[kit.box_vertices] / ratio
    box = np.array(
        [inside[:, 0].min(), inside[:, 1].min(), inside[:, 0].max(), inside[:, 1].max()], np.float32
    )
    size = np.sqrt(np.prod(box[2:] - box[:2]))
    box[1::2] -= (
        0.042 * size
    )  # detectors trained on photographs hold a little more forehead, less chin
    hull, seen = _visibility(owner, materials, marks, camera.size, FACE_MATERIALS)
    framed = _visibility(owner, materials, marks, camera.size, (FRAME,))[1]
    return Portrait(picture, marks.astype(np.float32), box, hull, seen, framed)


def _under_the_shirt(kit: FaceKit, face: Floats) -> Floats:
    """The bust drawn in, so that no shoulder looks through the cloth."""
    below = smooth_step(-9.8, -13.2, kit.neutral[:, 1])
    out = face.copy()
    out[:, 0] *= 1 - 0.3 * below
    out[:, 2] -= (1.0 + 1.2 * below) * below * (face[:, 2] > -2)
    out[:, 2] += 2.5 * below * (face[:, 2] < -5)
    return out


def _head_parts(scene: _Scene, vertices: int) -> int:
    """How many parts make up the first `vertices` vertices."""
    return int(np.searchsorted(np.cumsum([len(part) for part in scene.vertices]), vertices)) + 1


def _add_head(scene: _Scene, kit: FaceKit, person: Person, face: Floats, outfit: Outfit) -> None:
    scene.add(face, kit.texture_uv, kit.ambient, kit.triangles, kit.triangle_material, False)
    if len(person.hair_triangles):
        normals = raster.vertex_normals(face, kit.triangles)
        depth = np.minimum(person.hair_depth, 0.25) if outfit.hat else person.hair_depth
        shade = np.maximum(kit.ambient, 0.75) * np.clip(0.75 + person.hair_depth * 0.2, 0, 1)
        kind = HAIR if person.hair_above is None else HAIR_ROOT
        material = np.full(len(person.hair_triangles), kind, np.int32)
        scene.add(
            face + normals * depth[:, None],
            kit.texture_uv,
            shade,
            person.hair_triangles,
            material,
            False,
        )
    for mesh in wardrobe.worn_on_head(kit, person, outfit):
        scene.add_mesh(mesh, cylindrical(mesh.vertices), 0.7 if mesh.material == HAIR else 0.9)


def _paint(
    kit: FaceKit, person: Person, scene: _Scene, vertices: Floats, centre: NDArray[np.float64], light: Light,
    camera: Camera, outfit: Outfit, shadow: bool,
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32], Floats]:  # fmt: skip
    """The picture, the owning triangle per supersampled pixel, the triangles' materials, the points."""
    size = round(camera.size * camera.supersampling)
    scale = camera.scale * camera.supersampling
    from_centre = vertices - centre.astype(np.float32)
    perspective = camera.distance / (camera.distance - from_centre[:, 2])
    x = camera.centre[0] * size + from_centre[:, 0] * scale * perspective
    y = camera.centre[1] * size - from_centre[:, 1] * scale * perspective
    points = np.stack([x, y, from_centre[:, 2] * scale], 1).astype(np.float32)
    triangles, materials = np.concatenate(scene.triangles), np.concatenate(scene.material)
    two_sided = np.concatenate(scene.two_sided)
    _, owner, bary = raster.rasterise(points, triangles, two_sided, size)
    shadow_map, shadow_matrix = np.zeros((1, 1), np.float32), np.zeros((2, 4), np.float32)
    if shadow:
        shadow_map, shadow_matrix = _shadow(vertices, triangles, light.directions[0])
    rest = np.zeros_like(vertices)
    rest[: len(kit.neutral)] = kit.neutral
    if person.hair_above is not None and len(person.hair_triangles):  # hair follows the face
        rest[len(kit.neutral) : 2 * len(kit.neutral), 0] = person.hair_above
    eyes = np.concatenate([kit.eye_centres, person.traits.iris[None].astype(np.float32)]).astype(
        np.float32
    )
    out: Floats = np.zeros((size, size, 4), np.float32)
    raster.shade(
        triangles, materials, two_sided, owner, bary,
        raster.vertex_normals(vertices, triangles), vertices, np.concatenate(scene.ambient),
        np.concatenate(scene.uv), rest,
        person.skin, person.strands, _materials(person, outfit), eyes, float(person.traits.gloss),
        light.directions, light.colours, light.sky, light.ground, shadow_map, shadow_matrix, out,
    )  # fmt: skip
    np.minimum(out, 1.2, out=out)
    if size != camera.size:
        out = np.asarray(
            cv2.resize(out, (camera.size, camera.size), interpolation=cv2.INTER_AREA), np.float32
        )
    if outfit.seated:
        raster.for_display(out)
        return out, owner, materials, points
    colour = np.ascontiguousarray(out[..., :3] / np.maximum(out[..., 3:], 1e-3))
    out[..., :3] = np.minimum(cv2.pow(colour, 1 / 2.2), 1) * out[..., 3:]
    return out, owner, materials, points


def _shadow(
    vertices: Floats, triangles: NDArray[np.int32], direction: Floats
) -> tuple[Floats, Floats]:
    """Depth as the light sees it, and the projection onto it."""
    toward, side, up = raster.frame_of(direction)
    scale, half = _SHADOW_SIZE / 46, _SHADOW_SIZE / 2
    matrix = np.array([[*(side * scale), half], [*(up * scale), half]], np.float32)
    points = np.stack(
        [vertices @ matrix[0, :3] + half, vertices @ matrix[1, :3] + half, vertices @ toward], 1
    )
    return raster.depth_map(points.astype(np.float32), triangles, _SHADOW_SIZE), matrix


def _materials(person: Person, outfit: Outfit) -> Floats:
    """Per material: colour, shine, its power, stripe frequencies, stripe colour."""
    rng = np.random.default_rng([outfit.seed, 5])
    table = np.zeros((14, 10), np.float32)
    table[:, 3], table[:, 4] = 0.15, 20.0
    table[SKIN, 4] = 20.0
    table[1, :3], table[2, :3], table[3, :3] = (
        (0.12, 0.03, 0.03),
        (0.4, 0.14, 0.13),
        (0.72, 0.68, 0.58),
    )
    for eye in (4, 5):
        table[eye, :5] = (0.62, 0.59, 0.56, 0.7, 120.0)
    table[HAIR, :5] = table[HAIR_ROOT, :5] = (*person.traits.hair, 0.25, 12.0)
    frame = ((0.02, 0.02, 0.02), (0.15, 0.06, 0.03), (0.4, 0.4, 0.42))[
        int(person.traits.glasses["colour"])
    ]
    table[FRAME, :3], table[LENS, :5] = frame, (0.02, 0.02, 0.03, 1.2, 60.0)
    for material, shine in ((HAT, float(rng.choice([0.05, 0.8]))), (CLOTH, 0.05)):
        table[material, :3], table[material, 7:] = rng.random(3) ** 1.5 * 0.9, rng.random(3)
        step = rng.choice([0, 0.05, 0.15] if material == HAT else [0, 0, 0.1, 0.3])
        table[material, 5:7] = step * rng.random(2) * 2
        table[material, 3:5] = (shine, 40.0)
    table[LIMB, :4] = (*person.traits.skin, 0.1)
    if outfit.seated:
        _everyday_clothes(table, outfit)
    return table


def _everyday_clothes(table: Floats, outfit: Outfit) -> None:
    """Shirts in colours that are sold, most of them plain, some with stripes across."""
    rng = np.random.default_rng([outfit.seed, 8])
    shirt, other, cap = (np.array(_FABRICS[k]) for k in rng.integers(0, len(_FABRICS), 3))
    table[CLOTH, :3] = shirt * rng.uniform(0.8, 1.2)
    table[TRIM, :3] = (
        table[CLOTH, :3] * 0.7 if rng.random() < 0.6 else 0.5 * (table[CLOTH, :3] + other)
    )
    table[TRIM, 3:5] = table[CLOTH, 3:5]
    table[CLOTH, 5:10] = 0
    if rng.random() < 0.3:
        table[CLOTH, 6], table[CLOTH, 7:] = rng.uniform(0.2, 0.4), 0.65 * other + 0.35 * shirt
    table[HAT, :3], table[HAT, 3:7] = cap, (0.08, 30.0, 0.0, 0.0)


def _visibility(
    owner: NDArray[np.int32], materials: NDArray[np.int32], marks: Floats, size: int, of: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:  # fmt: skip
    """The hull of the landmarks, and where in it some materials are what the camera sees."""
    hull = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(marks[:, :2]).astype(np.int32)), 1)
    is_face = np.zeros(len(materials) + 1, np.uint8)
    is_face[:-1] = np.isin(materials, of)
    shown = cv2.resize(is_face[owner], (size, size), interpolation=cv2.INTER_NEAREST)
    inside = hull.astype(bool)
    return inside, inside & shown.astype(bool)
