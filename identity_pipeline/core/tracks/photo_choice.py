"""Which face of each photograph is the person that a set of photographs is of.

A picture speaks for a face by itself where one face is alone in it or dominates it. Who the person
is, the set decides: of all faces the one that most pictures agree on, and these must be more than
half of the pictures that say anything. The face of a picture then is the one that fits the person's
faces of the *other* pictures by its mean cosine to them, and clearly better than anybody else does.
So two pictures that do not agree choose nobody, a stranger among several is left out, and a picture
with several faces is never guessed.

The mean cosine (average linkage) rather than that to a medoid, so that no one face of the person
decides about all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit, to_matrix

PHOTOGRAPHS: Final = "photographs"
"""Reason in the table `riders` of the one track of a set: nobody rides, and it is the person."""
THE_PERSON: Final = 0
"""Track and rider of the faces that are the person."""
ROUNDS: Final = 10
"""So often the faces are told anew from each other at most; they settle in two or three."""

REASONS: Final[Mapping[str, str]] = {
    "no_face": "no face was found in it",
    "too_small": "its face has fewer pixels than photos.min_face_px",
    "score_low": "the detector is not sure that its face is one",
    "cut_off": "its face is cut off by the edge of the picture",
    "blurred": "its face is blurred",
    "several_faces": "it shows several faces, none much larger than the others, and nothing says "
    "which is the person",
    "two_alike": "two faces in it could be the person",
    "other_person": "its face is not the one that the other pictures of the set agree on",
    "no_majority": "the pictures of the set do not agree on who the person is",
    "two_people": "two people are in most pictures of the set, and none of them is the larger one "
    "more often",
}
"""Why no face of a picture was chosen, by stable code."""


class Limits(NamedTuple):
    """What decides.

    Attributes:
        dominant_times: a face dominates a picture when its area is so many times that of any other.
        fits: mean cosine to the person's other faces from which a face is the person.
        lead: over every other face of the picture.
    """

    dominant_times: float
    fits: float
    lead: float


class Choice(NamedTuple):
    """What became of one picture.

    Attributes:
        face_id: of the person's face; null: none was chosen.
        reason: why none was, one of `REASONS`; null: one was.
        fit: mean cosine of the chosen, or else of the best face, to the person's other faces; null
            where there are none, or none of the picture can be recognised.
        rival_fit: the best of the picture's other faces; null where there is none.
    """

    face_id: str | None
    reason: str | None
    fit: float | None = None
    rival_fit: float | None = None


@dataclass(frozen=True)
class _Faces:
    """The faces of a set that can be recognised.

    Attributes:
        ids: (N,) of the faces.
        picture: (N,) number of the picture of each.
        cosines: (N, N) between them.
        dominant: (N,) whether each is alone in its picture or dominates it.
        speaks: (N,) whether each may be whom its picture is of: no other is so much larger that
            it is somebody in the background.
    """

    ids: list[str]
    picture: NDArray[np.int64]
    cosines: NDArray[np.float64]
    dominant: NDArray[np.bool_]
    speaks: NDArray[np.bool_]

    @property
    def voters(self) -> list[int]:
        """The pictures that say anything of who the person is."""
        return sorted({int(n) for n in self.picture[self.speaks]})

    def of(self, picture: int) -> list[int]:
        """Rows of a picture's faces."""
        return np.flatnonzero(self.picture == picture).tolist()

    def fit(self, row: int, members: Mapping[int, int]) -> float | None:
        """Mean cosine of a face to the members of other pictures; None where there are none."""
        others = [other for number, other in members.items() if number != self.picture[row]]
        return float(self.cosines[row, others].mean()) if others else None


def choose_faces(faces: pl.DataFrame, pictures: Sequence[int], limits: Limits) -> dict[int, Choice]:
    """The person's face of each picture, or why none.

    Args:
        faces: all faces of a set: face_id, frame_idx, area (px²), fault (code of `REASONS`; null
            where the face can be recognised), and e_id of those.
        pictures: numbers of all pictures that were looked at.
        limits: what decides.

    Returns:
        By number of the picture.

    Raises:
        NotUnitNormError: an embedding is not of unit length.
    """
    known = _recognised(faces, limits)
    verdict = _person(known, limits)
    by_picture = {n: faces.filter(pl.col("frame_idx") == n) for n in pictures}
    return {n: _choice(n, own, known, verdict, limits) for n, own in by_picture.items()}


def _recognised(faces: pl.DataFrame, limits: Limits) -> _Faces:
    area = pl.col("area").cast(pl.Float64)
    largest = area.max().over("frame_idx")
    second = pl.col("area").cast(pl.Float64).sort(descending=True).get(1, null_on_oob=True)
    known = (
        faces.sort("frame_idx", "face_id")
        .with_columns(
            largest=largest, second=second.over("frame_idx"), whole=area * limits.dominant_times
        )
        .with_columns(
            dominant=(area == pl.col("largest"))
            & (area >= pl.col("second").fill_null(0.0) * limits.dominant_times),
            speaks=pl.col("whole") > pl.col("largest"),
        )
        .filter(pl.col("fault").is_null() & pl.col("e_id").is_not_null())
    )
    vectors = to_matrix(known["e_id"]) if known.height else np.zeros((0, 1), np.float32)
    if known.height:
        check_unit(vectors, "e_id")
    wide = vectors.astype(np.float64)
    return _Faces(
        known["face_id"].to_list(),
        known["frame_idx"].cast(pl.Int64).to_numpy(),
        wide @ wide.T,
        known["dominant"].to_numpy().astype(bool),
        known["speaks"].to_numpy().astype(bool),
    )


class _Verdict(NamedTuple):
    """Who the person is: a row of `_Faces` by picture; none with the reason why."""

    members: dict[int, int]
    reason: str | None = None


def _person(faces: _Faces, limits: Limits) -> _Verdict:
    voters = faces.voters
    if not voters:
        return _Verdict({})
    if len(voters) == 1:
        own = [row for row in faces.of(voters[0]) if faces.dominant[row]]
        return _Verdict({voters[0]: own[0]}) if own else _Verdict({}, "several_faces")
    centres = np.flatnonzero(faces.speaks).tolist()
    about = [_about(faces, row, limits.fits) for row in centres]
    best = max(about, key=lambda one: _weight(faces, one))
    members = _settled(faces, best, limits.fits)
    if 2 * len(set(members) & set(voters)) <= len(voters):
        return _Verdict({}, "no_majority")
    if any(_outvotes(faces, members, rival) for rival in about):
        return _Verdict({}, "two_people")
    return _Verdict(members)


def _about(faces: _Faces, centre: int, fits: float) -> dict[int, int]:
    """The face of each picture that is most like one face, where it is like enough."""
    members = {int(faces.picture[centre]): centre}
    for number in faces.voters:
        if number not in members:
            best = max(faces.of(number), key=lambda row: (faces.cosines[centre, row], -row))
            if faces.cosines[centre, best] >= fits:
                members[number] = best
    return members


def _weight(faces: _Faces, members: Mapping[int, int]) -> tuple[int, int, float]:
    """In how many pictures somebody is, in how many alone, and how alike their faces are."""
    rows = sorted(members.values())
    alike = float(faces.cosines[np.ix_(rows, rows)].sum())
    return len(rows), int(faces.dominant[rows].sum()), round(alike, 9)


def _settled(faces: _Faces, members: dict[int, int], fits: float) -> dict[int, int]:
    """The members by their mean cosine to each other, in all pictures, until nothing changes."""
    pictures = sorted({int(n) for n in faces.picture})
    for _ in range(ROUNDS):
        best = {number: _best(faces, number, members, fits) for number in pictures}
        told = {number: row for number, row in best.items() if row is not None}
        if told == members or not told:
            return told
        members = told
    return members


def _best(faces: _Faces, picture: int, members: Mapping[int, int], fits: float) -> int | None:
    """The face of a picture that fits the members of the others best; None where none fits."""
    fit_of = {row: faces.fit(row, members) for row in faces.of(picture)}
    fitting = {row: fit for row, fit in fit_of.items() if fit is not None and fit >= fits}
    return max(fitting, key=lambda row: (fitting[row], -row)) if fitting else None


def _outvotes(faces: _Faces, members: Mapping[int, int], rival: Mapping[int, int]) -> bool:
    """Whether somebody else is in most pictures too, and is alone in them no less often."""
    if any(members.get(number) == row for number, row in rival.items()):
        return False
    if 2 * len(rival) <= len(faces.voters):
        return False
    return _weight(faces, rival)[1] >= _weight(faces, members)[1]


def _choice(
    number: int, own: pl.DataFrame, faces: _Faces, verdict: _Verdict, limits: Limits
) -> Choice:
    rows = faces.of(number)
    if not rows:
        return Choice(None, _fault(own))
    if set(verdict.members) == {number}:  # there is no other picture to fit
        return Choice(faces.ids[verdict.members[number]], None)
    fit_of = {row: faces.fit(row, verdict.members) for row in rows}
    known = sorted((-fit, row) for row, fit in fit_of.items() if fit is not None)
    fit = -known[0][0] if known else None
    rival = -known[1][0] if len(known) > 1 else None
    best = faces.ids[known[0][1] if known else rows[0]]
    reason = _reason(number, own, faces, verdict, Choice(best, None, fit, rival), limits)
    return Choice(best if reason is None else None, reason, fit, rival)


def _reason(
    number: int,
    own: pl.DataFrame,
    faces: _Faces,
    verdict: _Verdict,
    told: Choice,
    limits: Limits,
) -> str | None:
    """Why the best face of a picture is not chosen; None where it is the person."""
    if told.fit is not None and told.fit >= limits.fits:
        clear = told.rival_fit is None or told.fit - told.rival_fit >= limits.lead
        return None if clear else "two_alike"
    largest = own.sort(["area", "face_id"], descending=[True, False]).row(0, named=True)
    if largest["fault"] is not None:  # whoever else is in it is in the background
        return largest["fault"]
    if verdict.members:
        return "other_person"
    if not any(faces.dominant[row] for row in faces.of(number)):
        return "several_faces"
    return verdict.reason


def _fault(own: pl.DataFrame) -> str:
    """Why no face of a picture can be recognised: what is wrong with the largest."""
    if not own.height:
        return "no_face"
    largest = own.sort(["area", "face_id"], descending=[True, False]).row(0, named=True)
    return str(largest["fault"])
