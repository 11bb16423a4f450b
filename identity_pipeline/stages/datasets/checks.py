"""Whether pictures of a person are fit for a consumer: each looked at again as the consumer does.

What belongs here: the verdict on each picture under a consumer's limits, and on the set of those
that passed. What does not: the limits themselves (`stages.datasets.layouts`), what a find in a
picture means (`core.imagesets.one_face`), and running the detector (`stages.imagesets.one_face`).

A loader that finds no face at its first input size goes on to the next one, and stops at the first
size that gives one. So does this: the sizes before that one say nothing, and the one after it is
asked besides, for a second face that is not sure in one view but the same in two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from identity_pipeline.core.imagesets.one_face import NOT_FOUND, View, fault_of
from identity_pipeline.media.crops import ImageBGR, decode_image
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.stages.datasets.facing import FRONTAL, degrees, portraits_first
from identity_pipeline.stages.datasets.pictures import (
    Limits,
    Picture,
    Verdict,
)
from identity_pipeline.stages.imagesets.one_face import look

NATIVE: Final = "native"

PICTURE_TOO_SMALL, FACE_TOO_SMALL = "picture_too_small", "face_too_small"
POSE_UNMEASURED, TURNED_AWAY, TILTED = "pose_unmeasured", "turned_away", "tilted"
EYES_CLOSED = "eyes_closed"
NOT_FRONTAL, ENOUGH, OTHER_LOOK = "too_few_frontal", "enough_without_it", "other_look"
TOO_FEW = "too_few_pictures"


@dataclass(frozen=True)
class SetFault:
    """What a person's pictures lack as a set; it forbids no picture.

    Attributes:
        person_id: whose pictures.
        code: stable reason.
        sentence: the same in words, and what to do.
    """

    person_id: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Looker:
    """Looks at pictures with a detector, each view of each picture once.

    Attributes:
        pack: whose detector stands for the consumer's.
    """

    pack: FacePack
    _views: dict[tuple[str, str], View] = field(default_factory=dict, init=False, repr=False)

    def views(self, picture: Picture, sides: Sequence[int]) -> tuple[View, ...]:
        """What a consumer sees who tries input sizes one after the other until one shows a face.

        Args:
            picture: as it is written.
            sides: px; 0 is the picture's own size.

        Returns:
            The first size at which a face is sure and the one after it; the last size alone where
            there is none.
        """
        pixels: ImageBGR | None = None
        seen: list[View] = []
        for side in sides:
            name = str(side) if side else NATIVE
            place = (picture.key, name)
            if place not in self._views:
                pixels = decode_image(picture.jpeg) if pixels is None else pixels
                self._views[place] = look(self.pack, pixels, [picture.face], [name])[0]
            found = bool(seen and seen[-1].sure)
            seen = [*seen, self._views[place]] if found else [self._views[place]]
            if found:
                break
        return tuple(seen)


@dataclass(frozen=True)
class Checked:
    """What a layout's consumers can take of the pictures.

    Attributes:
        parts: verdicts by consumer, each in the order of the pictures; one consumer, named as the
            layout, where it serves no others.
    """

    parts: Mapping[str, tuple[Verdict, ...]]

    @property
    def fit(self) -> dict[str, frozenset[str]]:
        """Keys of the pictures that each consumer can take, as `Dataset.fit`."""
        return {
            part: frozenset(verdict.key for verdict in verdicts if verdict.passed)
            for part, verdicts in self.parts.items()
        }

    @property
    def verdicts(self) -> list[Verdict]:
        """Of each picture whether anybody can take it, else why the first of them cannot."""
        return [
            next((verdict for verdict in theirs if verdict.passed), theirs[0])
            for theirs in zip(*self.parts.values(), strict=True)
        ]


def check(
    pictures: Sequence[Picture], limits: Limits, pack: FacePack | Looker
) -> tuple[Verdict, ...]:
    """Whether each picture is fit for a consumer, in the order of the pictures.

    Pictures are taken person by person in their order, the best first; those that would be more
    than the consumer takes, or would leave too few frontal ones, are the last.

    Args:
        pictures: of one or several people, cut and encoded.
        limits: of the consumer.
        pack: whose detector looks at them again; a `Looker` where several consumers are asked, so
            that no view is made twice.
    """
    looker = pack if isinstance(pack, Looker) else Looker(pack)
    verdicts = {picture.key: _of_picture(picture, limits, looker) for picture in pictures}
    for theirs in _by_person(pictures).values():
        passed = [picture for picture in theirs if verdicts[picture.key].passed]
        verdicts.update(_beyond(passed, limits))
    return tuple(verdicts[picture.key] for picture in pictures)


def check_set(
    pictures: Sequence[Picture], verdicts: Sequence[Verdict], limits: Limits
) -> list[SetFault]:
    """What a consumer misses in the pictures that passed, person by person.

    Args:
        pictures: all that were checked.
        verdicts: on them.
        limits: of the consumer.
    """
    passed = {verdict.key for verdict in verdicts if verdict.passed}
    faults: list[SetFault] = []
    for person_id, theirs in _by_person(pictures).items():
        fit = [picture for picture in theirs if picture.key in passed]
        name = theirs[0].person.name
        if len(fit) < limits.least:
            sentence = (
                f"{len(fit)} of {len(theirs)} pictures of {name} are fit, {limits.least} are "
                "wanted: add rides or photographs of them, or ask for another consumer."
            )
            faults.append(SetFault(person_id, TOO_FEW, sentence))
        share = sum(map(_is_frontal, fit)) / len(fit) if fit else 1.0
        if share < limits.frontal_share:
            sentence = (
                f"{share:.0%} of the pictures of {name} are within {FRONTAL:.0f}° of frontal, "
                f"{limits.frontal_share:.0%} are wanted: add rides or photographs in which they "
                "look at the camera."
            )
            faults.append(SetFault(person_id, NOT_FRONTAL, sentence))
    return faults


def _by_person(pictures: Sequence[Picture]) -> Mapping[str, list[Picture]]:
    """Each person's pictures, the best first."""
    people: dict[str, list[Picture]] = {}
    for picture in pictures:
        people.setdefault(picture.person.person_id, []).append(picture)
    return {person: sorted(them, key=lambda p: p.rank) for person, them in people.items()}


def _of_picture(picture: Picture, limits: Limits, looker: Looker) -> Verdict:
    """What is wrong with one picture, cheapest question first."""
    wrong = _of_size(picture, limits) or _of_pose(picture, limits) or _of_eyes(picture, limits)
    if wrong is None and limits.detect_at:
        wrong = _of_faces(picture, limits, looker)
    return _refused(picture, *wrong) if wrong else Verdict(picture.key, passed=True)


def _refused(picture: Picture, code: str, sentence: str) -> Verdict:
    return Verdict(picture.key, passed=False, code=code, sentence=sentence)


def _of_size(picture: Picture, limits: Limits) -> tuple[str, str] | None:
    short, face = min(picture.width, picture.height), picture.face.longer_side
    if short < limits.short_side_px:
        return PICTURE_TOO_SMALL, (
            f"Its short side is {short} px and {limits.short_side_px} px are wanted: take a ride "
            "or photograph of higher resolution, or one in which they sit closer."
        )
    if face < limits.face_px:
        return FACE_TOO_SMALL, (
            f"The face is {face:.0f} px long and {limits.face_px} px are wanted: take a ride or "
            "photograph of higher resolution, or one in which they sit closer."
        )
    return None


def _of_pose(picture: Picture, limits: Limits) -> tuple[str, str] | None:
    turned = _beyond_angle(picture, "yaw", limits.yaw_max, TURNED_AWAY, "turned aside")
    return turned or _beyond_angle(picture, "pitch", limits.pitch_max, TILTED, "tilted up or down")


def _beyond_angle(
    picture: Picture, angle: str, most: float | None, code: str, words: str
) -> tuple[str, str] | None:
    if most is None:
        return None
    turn = degrees(picture, angle)
    if turn is None:
        return POSE_UNMEASURED, (
            f"How far the head is {words} was not measured, and at most {most:.0f}° are wanted: "
            "look at the picture and add it by hand where it is fit."
        )
    if abs(turn) > most:
        return code, (
            f"The head is {words} by {abs(turn):.0f}° and at most {most:.0f}° are wanted: take "
            "another moment in which they look at the camera."
        )
    return None


def _of_eyes(picture: Picture, limits: Limits) -> tuple[str, str] | None:
    if limits.eyes_open and picture.measured.get("eyes") == "closed":
        return EYES_CLOSED, (
            "The eyes are closed, and the consumer draws what it is shown: take another moment."
        )
    return None


def _of_faces(picture: Picture, limits: Limits, looker: Looker) -> tuple[str, str] | None:
    views = looker.views(picture, limits.detect_at)
    if not limits.one_face:
        there = any(_hit(view, picture) for view in views)
        return None if there else _told(NOT_FOUND, _nowhere(limits))
    if not views[0].sure:
        return _told(NOT_FOUND, _nowhere(limits))
    fault = fault_of(views, [picture.face])
    return _told(fault.code, fault.sentence) if fault else None


def _hit(view: View, picture: Picture) -> bool:
    """Whether the person's face is among what is found, whoever else is."""
    on_it = tuple(find for find in view.sure if find.box.intersection(picture.face).area > 0)
    return fault_of([View(view.name, on_it[:1])], [picture.face]) is None


def _nowhere(limits: Limits) -> str:
    sides = ", ".join(str(side) if side else NATIVE for side in limits.detect_at)
    return f"No face is found where the person's is, at any of the sizes {sides}."


WHAT_TO_DO: Final = "leave it out, or cut it so that this one face alone is in it"


def _told(code: str, sentence: str) -> tuple[str, str]:
    """What was found, in one sentence with what to do."""
    return code, f"{sentence.removesuffix('.')}: {WHAT_TO_DO}."


def _beyond(passed: Sequence[Picture], limits: Limits) -> dict[str, Verdict]:
    """Verdicts on what passed alone, and is left out of the set."""
    out = _of_other_looks(passed, limits)
    out |= _too_many_turned([p for p in passed if p.key not in out], limits)
    if limits.most is None:
        return out
    enough = (
        f"It is fit, but the consumer takes at most {limits.most} pictures of a person and better "
        "ones are there: nothing is to do."
    )
    kept = _as_taken([picture for picture in passed if picture.key not in out], limits)
    return out | {p.key: _refused(p, ENOUGH, enough) for p in kept[limits.most :]}


def _as_taken(pictures: list[Picture], limits: Limits) -> list[Picture]:
    """The order in which a consumer of only so many takes them."""
    return portraits_first(pictures, limits.portraits) if limits.portraits else pictures


def _of_other_looks(passed: Sequence[Picture], limits: Limits) -> dict[str, Verdict]:
    """Those in which the person looks otherwise than in the best one."""
    if not limits.one_look or not passed:
        return {}
    sentence = (
        "The person looks otherwise in it than in the best picture, and the consumer averages "
        "what it is given: export the other look by itself where it is wanted."
    )
    return {
        p.key: _refused(p, OTHER_LOOK, sentence) for p in passed if p.variant != passed[0].variant
    }


def _too_many_turned(passed: Sequence[Picture], limits: Limits) -> dict[str, Verdict]:
    """Those that would leave too few frontal ones.

    Frontal pictures never give way. Where n of them must be at least the share s of all, at most
    n / s pictures can be taken; of those that are not frontal the last give way.
    """
    if limits.frontal_share <= 0:
        return {}
    others = [picture for picture in passed if not _is_frontal(picture)]
    frontal = len(passed) - len(others)
    room = max(limits.least, int(frontal / limits.frontal_share + 1e-9)) - frontal
    sentence = (
        f"{limits.frontal_share:.0%} of the pictures are wanted within {FRONTAL:.0f}° of frontal: "
        "add rides or photographs in which they look at the camera, and it fits as well."
    )
    return {p.key: _refused(p, NOT_FRONTAL, sentence) for p in others[max(0, room) :]}


def _is_frontal(picture: Picture) -> bool:
    """Whether it is known to be within 15 degrees of frontal; unmeasured is not."""
    yaw = degrees(picture, "yaw")
    return yaw is not None and abs(yaw) <= FRONTAL
