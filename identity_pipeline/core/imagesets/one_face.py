"""Whether a picture shows its riders and nobody else, by what a detector finds in it.

What belongs here: the verdict on finds. What does not: finding them
(`stages.imagesets.one_face`).

A picture is looked at as those do who load it: scaled to a detector's input of several sizes, as it
is, and cut tightly about the face. Of all these views no more faces may be found than it shows
riders, and the largest must be the rider's. In the first view, the one that loaders try first, each
rider must be found. That a detector finds nothing in another one is noted and no fault: loaders go
on to the next size. That a smaller input misses a face, or that one which the face fills has a find
more on the face itself, says something of the detector and not of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, NamedTuple

from identity_pipeline.core.geometry import Box

SURE: Final = 0.5
"""Score from which a loader takes a find for a face (InsightFace's default)."""
HINT: Final = 0.35
"""Score from which the same find in two views of the whole picture is a second face, although none
is sure: other detectors may be. Chosen on 235 images of 8 real clips, in which it refuses one that
SURE alone does not; .3 refuses five."""
SAME: Final = 0.5
"""Share of the smaller of two boxes from which a find is on a rider's face."""
SAME_PLACE: Final = 0.3
"""Overlap over union from which finds of two views are one."""

SECOND_FACE, OTHER_LARGEST, NOT_FOUND = "second_face", "other_face_largest", "no_face_found"


class Find(NamedTuple):
    """What a detector takes for a face: a box in pixels of the picture, and how sure it is."""

    box: Box
    score: float


@dataclass(frozen=True)
class View:
    """What was found in one view of a picture.

    Attributes:
        name: of the view, such as `640`, `native` or `tight 640`.
        finds: with a score of at least `HINT`.
    """

    name: str
    finds: tuple[Find, ...]

    @property
    def whole(self) -> bool:
        """Whether it is of the whole picture."""
        return not self.name.startswith("tight")

    @property
    def sure(self) -> list[Find]:
        """What a loader takes for a face, largest first."""
        found = [find for find in self.finds if find.score >= SURE]
        return sorted(found, key=lambda find: -find.box.area)

    def as_json(self) -> dict[str, Any]:
        """What the metadata of an image says of it."""
        return {
            "view": self.name,
            "faces": len(self.sure),
            "scores": [round(find.score, 3) for find in self.sure],
        }


class Fault(NamedTuple):
    """Why a picture is not shown: a stable code, a sentence, and where in it the strangers are."""

    code: str
    sentence: str
    strangers: tuple[Box, ...] = ()


def fault_of(views: Sequence[View], faces: Sequence[Box], behind_max: float = 0.0) -> Fault | None:
    """What is wrong with a picture; None where it shows its riders and nobody else.

    Args:
        views: of the picture; the first is the one that loaders try first.
        faces: boxes of the riders' faces in pixels of the picture: one, or two of a pair.
        behind_max: of a pair, how large the face of somebody further behind may be over the
            smaller of the two; of a sole rider nobody may be there.
    """
    if len(faces) > 1:
        largest = behind_max * min(face.longer_side for face in faces)
        views = [_without_behind(view, faces, largest) for view in views]
    return _in_one(views, faces) or _hinted([view for view in views if view.whole], faces)


def _in_one(views: Sequence[View], faces: Sequence[Box]) -> Fault | None:
    """What one view alone says is wrong."""
    for view in views:
        fault = _of_view(view, faces)
        if fault is not None:
            return fault
    lacking = [face for face in faces if not any(_on(f, face) for f in views[0].sure)]
    if lacking:
        return Fault(
            NOT_FOUND,
            f"At the size of {views[0].name} no face is found where the rider's is.",
        )
    return None


def _without_behind(view: View, faces: Sequence[Box], largest: float) -> View:
    """A view without the faces of people further behind, who do not forbid a pair."""
    behind = [f for f in _elsewhere(view.finds, faces) if f.box.longer_side <= largest]
    return View(view.name, tuple(find for find in view.finds if find not in behind))


def _of_view(view: View, faces: Sequence[Box]) -> Fault | None:
    found = view.sure
    elsewhere = _elsewhere(found, faces)
    strangers = [find for find in found[: len(faces)] if find in elsewhere]
    if strangers:
        return Fault(
            OTHER_LARGEST,
            f"At the size of {view.name} the largest face found is not the rider's "
            f"({_told(strangers[0])}).",
            tuple(find.box for find in strangers),
        )
    others = elsewhere if elsewhere or not view.whole else found[::-1]
    if len(found) > len(faces) and others:
        return Fault(
            SECOND_FACE,
            f"At the size of {view.name} {len(found)} faces are found instead of {len(faces)} "
            f"({_told(others[0])}).",
            tuple(find.box for find in others),
        )
    return None


def _hinted(views: Sequence[View], faces: Sequence[Box]) -> Fault | None:
    """A find that is not sure, but the same in two views."""
    others = [_elsewhere(view.finds, faces) for view in views]
    for (view, some), (again, more) in combinations(zip(views, others, strict=True), 2):
        for find in some:
            if any(find.box.iou(other.box) > SAME_PLACE for other in more):
                return Fault(
                    SECOND_FACE,
                    f"At the sizes of {view.name} and {again.name} something like a second face "
                    f"is found in the same place ({_told(find)}).",
                    (find.box,),
                )
    return None


def _elsewhere(finds: Sequence[Find], faces: Sequence[Box]) -> list[Find]:
    return [find for find in finds if not any(_on(find, face) for face in faces)]


def _on(find: Find, face: Box) -> bool:
    smaller = min(find.box.area, face.area)
    return smaller > 0 and find.box.intersection(face).area >= SAME * smaller


def _told(find: Find) -> str:
    x, y = find.box.centre
    return f"score {find.score:.2f} at {x:.0f}, {y:.0f} px of the picture"
