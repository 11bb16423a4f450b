"""The scene of a ride as the on-ride camera sees it, frame by frame, and whose face each pixel shows.

Belongs here: compositing of scenery and people. Does not belong here: motion over time (`course`,
`choreography`), what is written down about it (`truth`), or how a person is drawn (`head`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import head, moments, park, raster, scenery
from tools.bundled_models.choreography import Performance, perform, person_name, stand_by
from tools.bundled_models.course import Course, Framing, Mount, RidePlan, course_of
from tools.bundled_models.facekit import FaceKit, Floats

WIDTH, HEIGHT = 1280, 720
SUPERSAMPLING = 1.2
_SMALL = 0.5  # the same, of people in videos that are much smaller than they are drawn
_REAR, _HIGHER = 0.56, 165  # the second row: its size, and px that its heads are higher
_BESIDE, _STANDS, _STAYS = 0.42, 120, 0.6  # staff: share of the width, px, share of boarding
_SEAT = 760  # size of the seat pictures at 9.5 px per cm
_PANORAMA = (4608, 1440)
_BARRIER_Y = 335  # in the station, bystanders stand behind what is below this row
_NOBODY = np.zeros((_SEAT * 2, _SEAT * 2), np.bool_)
_LAMPS = 9
_FAR = Framing(3.8, 228, 0)  # the people on the platform
_CENTRE = 0.45  # row of the head's centre in the picture of a person


@dataclass(frozen=True)
class Stage:
    """Everything of a ride that is prepared once."""

    plan: RidePlan
    course: Course
    panorama: park.Picture
    tunnel: park.Picture
    station: park.Picture
    seat: Floats
    harness: Floats
    track: NDArray[np.float64]  # colour of the rails
    performers: list[Performance]
    bystanders: list[Performance]
    staff: Performance | None


@dataclass
class Face:
    """A face in a frame, on its way into the truth."""

    name: str
    rider: bool
    portrait: head.Portrait
    actor: Performance
    x: int  # of the portrait in the frame
    y: int
    role: str = "rider"  # or queue, or staff
    seat: int | None = None  # of a rider, see `RidePlan.seats`
    shown: int = 0  # pixels of it that the frame shows


def prepare(kit: FaceKit, plan: RidePlan) -> Stage:
    """Paint the scenery and cast the people of a ride."""
    park_seed = plan.mount.seed if plan.mount else plan.seed
    rng, course = np.random.default_rng(park_seed), course_of(plan)
    weather = park.WEATHERS[course.weather]
    draw = np.random.default_rng([plan.seed, 24]) if plan.mount else rng
    guests = 300_000 + draw.integers(0, 90_000, 3)
    seat, harness = (
        make(np.random.default_rng([park_seed, k]), _SEAT)
        for k, make in ((9, scenery.seat_back), (10, scenery.harness))
    )
    return Stage(
        plan=plan,
        course=course,
        panorama=park.panorama(rng, weather, *_PANORAMA),
        tunnel=park.tunnel(rng, 3200, _PANORAMA[1], _LAMPS),
        station=scenery.station(rng, WIDTH, HEIGHT),
        seat=seat,
        harness=harness,
        track=np.array([(190, 60, 48), (60, 100, 165), (150, 152, 156), (222, 190, 84)][rng.integers(4)], float),
        performers=[perform(kit, plan, seat) for seat in range(len(plan.riders))],
        bystanders=[stand_by(kit, int(s), plan, k) for k, s in enumerate(guests)],
        staff=None if plan.staff is None else stand_by(kit, plan.staff, plan, len(guests)),
    )  # fmt: skip


class Composer:
    """Draws frames of a stage; keeps what neighbouring frames share."""

    def __init__(self, kit: FaceKit, stage: Stage) -> None:
        self.kit, self.stage = kit, stage
        self._fitted: dict[float, tuple[Floats, Floats]] = {}

    def frame(self, number: int) -> tuple[Floats, list[Face]]:
        """The scene in display values at the frame's exposure (not clipped), and the faces in it."""
        stage, course = self.stage, self.stage.course
        boarding = course.kind[number] == "board"
        exposed = float(course.exposure[number])
        tone = float(np.float32(exposed ** (1 / 2.2)))
        weather = park.WEATHERS[course.weather]
        light = park.light_of(weather, course.sun[number], boarding).scaled(exposed)
        canvas = self._behind(number, tone)
        owner = np.full((HEIGHT, WIDTH), -1, np.int16)
        faces: list[Face] = []
        if boarding:
            self._platform(canvas, owner, faces, number, light, tone)
        self._car(canvas, owner, faces, number, light, tone)
        if boarding and stage.staff and course.local[number] < _STAYS:
            self._beside(canvas, owner, faces, number, light)
        if course.occluder[number]:
            _passing_bar(canvas, owner, course, number, tone)
        for k, face in enumerate(faces):
            face.shown = int((owner == k).sum())
        return canvas, faces

    def _car(
        self,
        canvas: Floats,
        owner: NDArray[np.int16],
        faces: list[Face],
        number: int,
        light: moments.Light,
        tone: float,
    ) -> None:
        """The rows of the car, the last one first."""
        plan, framing = self.stage.plan, self.stage.course.framing[number]
        everybody = range(len(plan.riders))
        if not plan.seats:
            places = (0.0,) if len(everybody) == 1 else (-0.5, 0.5)
            self._row(canvas, owner, faces, number, light, tone, framing, dict(enumerate(places)))
            return
        rear = replace(
            framing,
            scale=framing.scale * _REAR,
            head_y=framing.head_y - _HIGHER,
            gap=framing.gap * _REAR,
        )
        for first, row in ((2, rear), (0, framing)):
            taken = {
                k: plan.seats[k] - first - 0.5
                for k in everybody
                if plan.seats[k] // 2 == first // 2
            }
            self._row(canvas, owner, faces, number, light, tone, row, taken)

    def _row(
        self,
        canvas: Floats,
        owner: NDArray[np.int16],
        faces: list[Face],
        number: int,
        light: moments.Light,
        tone: float,
        framing: Framing,
        riders: dict[int, float],
    ) -> None:
        """The seats of a row and its riders; of each where they sit, -.5 left to .5 right."""
        stage = self.stage
        dx, dy = (round(float(v)) for v in stage.course.shake[number])
        middle = WIDTH // 2 + framing.shift + dx
        places = (-0.5, 0.5) if stage.plan.seats else tuple(riders.values())
        seat, harness = self._furniture(framing)
        half = seat.shape[0] // 2
        for place in places:
            cx, cy = middle + round(place * framing.gap * WIDTH), framing.head_y + dy
            raster.lay(canvas, owner, seat, cx - half, cy - half, tone, _NOBODY, -1)
        for k, place in riders.items():
            actor = stage.performers[k]
            cx, cy = middle + round(place * framing.gap * WIDTH), framing.head_y + dy
            lower = round(framing.scale * 6.5 * actor.person.traits.child)  # children sit lower
            portrait, left, above = self._portrait(actor, number, light, framing)
            name = person_name(stage.plan.riders[k])
            sits = stage.plan.seats[k] if stage.plan.seats else None
            face = Face(name, True, portrait, actor, cx - left, cy + lower - above, seat=sits)
            _add(canvas, owner, faces, face)
            raster.lay(canvas, owner, harness, cx - half, cy - half, tone, _NOBODY, -1)

    def _beside(
        self,
        canvas: Floats,
        owner: NDArray[np.int16],
        faces: list[Face],
        number: int,
        light: moments.Light,
    ) -> None:
        """Staff stands beside the car, as near as the front row."""
        actor, framing = self.stage.staff, self.stage.course.framing[number]
        assert actor is not None
        stands = replace(framing, scale=0.9 * framing.scale, head_y=framing.head_y - _STANDS)
        portrait, left, above = self._portrait(actor, number, light, stands)
        x = WIDTH // 2 + framing.shift + round(_BESIDE * WIDTH) - left
        name = f"staff_{actor.person.traits.seed}"
        face = Face(name, False, portrait, actor, x, stands.head_y - above, role="staff")
        _add(canvas, owner, faces, face)

    def _portrait(
        self, actor: Performance, frame: int, light: moments.Light, framing: Framing
    ) -> tuple[head.Portrait, int, int]:
        return _portrait(self.kit, actor, frame, light, framing, self.stage.plan.mount)

    def _furniture(self, framing: Framing) -> tuple[Floats, Floats]:
        """Seat and harness at the framing's size."""
        if framing.scale not in self._fitted:
            size = round(_SEAT * framing.scale / 9.5 / 2) * 2
            way = cv2.INTER_AREA if size < _SEAT else cv2.INTER_LINEAR
            pair = [
                cv2.resize(p, (size, size), interpolation=way)
                for p in (self.stage.seat, self.stage.harness)
            ]
            self._fitted[framing.scale] = (
                np.asarray(pair[0], np.float32),
                np.asarray(pair[1], np.float32),
            )
        return self._fitted[framing.scale]

    def _behind(self, number: int, tone: float) -> Floats:
        """Everything behind the seats."""
        stage, course = self.stage, self.stage.course
        if course.kind[number] == "board":
            return np.asarray(stage.station, np.float32) * np.float32(tone / 255)
        middle = _PANORAMA[1] / 2
        dx, dy = course.shake[number]
        horizon = HEIGHT * 0.46 + course.view[number] + 2 * dy
        row = middle + HEIGHT / 2 - horizon
        sight = (
            course.travelled[number] + 2 * dx,
            row,
            float(course.bank[number]),
            (WIDTH, HEIGHT),
        )
        smear = float(course.speed[number]) * 30 / stage.plan.fps**0.5 / 30**0.5
        outside = park.window(stage.panorama, *sight, smear)
        rail = (float(horizon), float(course.bend[number]), float(course.rise[number]))
        park.rails(
            outside,
            *rail,
            -course.travelled[number] / 60,
            stage.track * park.WEATHERS[course.weather].shine,
        )
        inside, way = self._tunnel(number)
        if inside is None:
            return np.asarray(outside, np.float32) * np.float32(tone / 255)
        pace = way * stage.plan.seconds * 9
        if (
            course.kind[number] == "tunnel"
        ):  # the light outside is far too bright for the eye of the dark
            outside = np.asarray(cv2.convertScaleAbs(outside, alpha=1.3), np.uint8)
            return np.asarray(
                park.portal(inside, outside, horizon, pace, False), np.float32
            ) / np.float32(255)
        lit = np.clip(outside.astype(np.float32) * tone, 0, 255).astype(np.uint8)
        return np.asarray(park.portal(inside, lit, horizon, pace, True), np.float32) / np.float32(
            255
        )

    def _tunnel(self, number: int) -> tuple[park.Picture | None, float]:
        """The tunnel's wall if it is in sight, and the share of the ride since its nearer mouth."""
        stage, course = self.stage, self.stage.course
        kind, share = course.kind[number], (number + 0.5) / stage.plan.frames
        if kind not in ("tunnel", "glare"):
            return None, 0.0
        start = next(s.start for s in course.segments if s.kind == kind)
        wall = stage.tunnel
        x = course.local[number] * 2.5 * wall.shape[1] / _LAMPS * 2 if kind == "tunnel" else 0.0
        inside = park.window(
            wall, x + 700, wall.shape[0] / 2, float(course.bank[number]), (WIDTH, HEIGHT), 20
        )
        grey = np.full(3, 46.0)
        park.rails(inside, HEIGHT * 0.46, 0.0, 0.0, -course.travelled[number] / 60, grey)
        return inside, share - start

    def _platform(
        self,
        canvas: Floats,
        owner: NDArray[np.int16],
        faces: list[Face],
        number: int,
        light: moments.Light,
        tone: float,
    ) -> None:
        """People behind the barrier of the station, walking slowly."""
        stage = self.stage
        for k, actor in enumerate(stage.bystanders):
            portrait, left, above = self._portrait(actor, number, light, _FAR)
            way = stage.course.local[number] * (0.1, -0.05, 0.02)[k]
            x = round(((0.07, 0.5, 0.9)[k] + way) * WIDTH)
            y = _FAR.head_y + round(22 * actor.person.traits.child) + (0, 9, -6)[k]
            name = f"bystander_{actor.person.traits.seed}"
            _add(
                canvas,
                owner,
                faces,
                Face(name, False, portrait, actor, x - left, y - above, "queue"),
            )
        canvas[_BARRIER_Y:] = stage.station[_BARRIER_Y:].astype(np.float32) * np.float32(tone / 255)
        owner[_BARRIER_Y:] = -1


def pose_of(actor: Performance, frame: int, mount: Mount | None) -> tuple[float, float, float]:
    """Pitch, yaw and roll (degrees) of a head as the camera sees it."""
    aside, up = (mount.yaw, mount.pitch) if mount else (0.0, 0.0)
    own = (actor.pitch[frame], actor.yaw[frame], actor.roll[frame])
    return float(own[0]) + up, float(own[1]) + aside, float(own[2])


def _portrait(
    kit: FaceKit,
    actor: Performance,
    frame: int,
    light: moments.Light,
    framing: Framing,
    mount: Mount | None,
) -> tuple[head.Portrait, int, int]:
    """A person, and the column and row of the picture in which the head's centre is."""
    outfit = actor.dressed(frame)
    lifted = max((wrist[1] for wrist in outfit.arms), default=-40.0) > -20
    scale, below = framing.scale, (HEIGHT + 16 - framing.head_y) / framing.scale
    across = max(68, 88 if lifted else 0, below / (1 - _CENTRE)) if framing is not _FAR else 68
    size = round(across * scale / 20) * 20
    pose = pose_of(actor, frame, mount)
    sampling = _SMALL if mount and mount.size[0] <= WIDTH // 2 else SUPERSAMPLING
    camera = head.Camera(size, scale, (0.5, _CENTRE), 70.0, sampling)
    up, aside = (mount.pitch, mount.yaw) if mount else (0.0, 0.0)
    body = (0.12 * (pose[0] - up) + up, 0.15 * (pose[1] - aside) + aside, 0.12 * pose[2])
    weights = actor.weights(kit, frame)
    portrait = head.draw(kit, actor.person, weights, pose, light, camera, outfit, body)
    return portrait, size // 2, round(size * _CENTRE)


def _add(canvas: Floats, owner: NDArray[np.int16], faces: list[Face], face: Face) -> None:
    raster.lay(
        canvas, owner, face.portrait.rgba, face.x, face.y, 1.0, face.portrait.visible, len(faces)
    )
    faces.append(face)


def _passing_bar(
    canvas: Floats, owner: NDArray[np.int16], course: Course, number: int, tone: float
) -> None:
    """A post close to the camera crosses the picture."""
    spell = np.flatnonzero(course.occluder)
    share = (number - spell[0] + 0.5) / len(spell)
    left, width = int(share * (WIDTH + 260)) - 190, 130
    columns = np.arange(max(0, left), min(WIDTH, left + width))
    around = 0.3 + 0.7 * np.sin((columns - left + 0.5) / width * np.pi) ** 0.8
    canvas[:, columns] = (
        np.array([0.2, 0.25, 0.31], np.float32)
        * np.float32(tone)
        * around[:, None].astype(np.float32)
    )
    owner[:, columns] = -1
