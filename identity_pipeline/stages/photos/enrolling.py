"""Who a set of photographs is: whether it fits the person it is said to show, and the decision.

What belongs here: everything between measured photographs and the event in the ledger, for the
command and for the watched folder alike. What does not: measuring, and saying it to anybody.

The decision is an ordinary one, on the one track of the set: `undo` takes the whole set back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.library.recompute import template_thresholds
from identity_pipeline.core.matching.gallery import Gallery, gallery_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.errors import IdentityPipelineError, printable
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.media.stills import SUFFIXES
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.curation.targets import people_called
from identity_pipeline.stages.library.spaces import (
    faces_in_space,
    settings_of_library,
    templates_of_video,
)
from identity_pipeline.stages.photos.reading import all_but, is_measured
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets, Registered
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty

THE_PERSON: Final = 0
"""The track of a set that holds the faces of its person; the others are in none."""


class NotEnrolledError(IdentityPipelineError, ValueError):
    """Photographs that do not become anybody's; the sentence says why, and what to do."""


@dataclass(frozen=True)
class Named:
    """Whom a word means.

    Attributes:
        name: of the person, as they are called now; the word where there is nobody yet.
        person_id: null for somebody who is new.
    """

    name: str
    person_id: str | None


@dataclass(frozen=True)
class Refused:
    """A picture that shows its person in no way that can be used, and why."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Likeness:
    """How near a set comes to the person it is said to show.

    Attributes:
        score: of its template with the person's own references; null without any.
        exclude: below it two templates are not one person; null likewise.
        other: somebody else whom it resembles more than them, by name; null: nobody.
        other_score: with that person.
    """

    score: float | None = None
    exclude: float | None = None
    other: str | None = None
    other_score: float | None = None

    @property
    def is_far(self) -> bool:
        """Whether the set shows somebody else, as far as the recogniser can tell."""
        return self.score is not None and self.exclude is not None and self.score < self.exclude


def subject_of(set_id: str) -> str:
    """The track of a set that the decision is about."""
    return ids.track(set_id, THE_PERSON)


def whom(library: LibrarySnapshot, word: str) -> Named:
    """Whom a word means: a person by name, id, or beginning of the id; else somebody new.

    Somebody whom photographs were taken in for under this name, and who has another name now, is
    still meant, unless another bears it.

    Raises:
        CurationError: several people fit, or the word can be no name.
    """
    people = people_called(library, word) or _named_before(library, word)
    if len(people) > 1:
        raise CurationError(
            f"{len(people)} people fit {word!r}: {', '.join(people)}; use one of these ids, or "
            "give one of them another name with `identity-pipeline rename`."
        )
    if people:
        person = library.survivor(people[0])
        return Named(library.called(person), person)
    try:
        return Named(ev.clean_name(word), None)
    except ValueError as error:
        raise CurationError(f"{printable(word)!r} can be nobody's name: {error}.") from None


def _named_before(library: LibrarySnapshot, word: str) -> list[str]:
    """People for whom sets of photographs were taken in under a name that is nobody's now."""
    key = ev.name_key(word)
    sets = library.stores.photos.all()
    owners = {owner_of(library, one.set_id) for one in sets if ev.name_key(one.name) == key}
    return sorted(owner for owner in owners if owner is not None)


def owner_of(library: LibrarySnapshot, set_id: str) -> str | None:
    """The person whose photographs humans said that a set is."""
    person = library.state.assigned.get(subject_of(set_id))
    return None if person is None else library.survivor(person)


def was_decided(library: LibrarySnapshot, set_id: str) -> bool:
    """Whether anything was ever decided on a set, in force or taken back."""
    subject = subject_of(set_id)
    return any(subject in event.named_subjects for event in library.history.events)


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant: those that are named, and of a folder its pictures.

    Raises:
        NotEnrolledError: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = pictures_of(path) if path.is_dir() else [path]
        if not inside:
            raise NotEnrolledError(
                f"{printable(str(path))} holds no picture ({', '.join(SUFFIXES)}); name the folder "
                "in which they lie."
            )
        found += inside
    return found


def pictures_of(folder: Path) -> list[Path]:
    """The files of a folder that are called like pictures, sorted; not those of folders in it."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def passed_over(folder: Path) -> list[str]:
    """What else lies in a folder, sorted: other files and folders, but for hidden ones."""
    pictures = set(pictures_of(folder))
    others = (path for path in folder.iterdir() if path not in pictures)
    return sorted(path.name for path in others if not path.name.startswith("."))


def unmeasured_sets(store: TableStore) -> list[str]:
    """Registered sets whose steps have not all been done; no table is opened."""
    ids = PhotoSets(store.layout).ids()
    return sorted(set(ids) - store.videos_noted("photo_templates"))


def free_pictures(library: LibrarySnapshot, person_id: str | None) -> frozenset[str]:
    """Digests of pictures of sets that may become somebody's in another set.

    Those of measured sets that are nobody's (refused, or taken back), so that some of them can be
    taken in without the rest; and of other people's sets those whose faces were left out.

    Args:
        library: as it is now.
        person_id: whose they are said to be; None for somebody new.
    """
    store, photos = library.stores.tables, library.stores.photos
    held: set[str] = set()
    for photo_set in photos.all():
        owner, pictures = owner_of(library, photo_set.set_id), list(photo_set.pictures)
        if is_measured(store, photo_set.set_id) and (owner is None or owner != person_id):
            used = frozenset[int]() if owner is None else _used(store, photo_set.set_id)
            pictures = [picture for picture in pictures if picture.number in used]
        held.update(picture.sha256 for picture in pictures)
    return all_but(photos, held)


def _used(store: TableStore, set_id: str) -> frozenset[int]:
    """Numbers of the pictures of a measured set whose faces are its person's."""
    told = store.read("photo_faces", set_id, ("frame_idx", "face_id"))
    return frozenset(told.drop_nulls("face_id")["frame_idx"])


def refused_pictures(store: TableStore, set_id: str) -> list[Refused]:
    """The pictures of a set that are not used, in their order, a sentence each."""
    told: dict[int, Refused] = {}
    for name in ("photo_set", "photo_faces"):  # what could not be read is told by the first
        table = store.read(name, set_id, ("frame_idx", "name", "sentence"))
        for number, picture, sentence in table.drop_nulls("sentence").iter_rows():
            told.setdefault(number, Refused(picture, sentence))
    return [told[number] for number in sorted(told)]


def faces_used(store: TableStore, set_id: str) -> int:
    """How many faces of a set are its person's."""
    templates = _templates(store, set_id)
    return int(templates["face_count"].sum()) if templates.height else 0


def _templates(store: TableStore, set_id: str) -> pl.DataFrame:
    there = store.outputs.has("track_templates", set_id)
    return store.read("track_templates", set_id) if there else empty("track_templates")


def likeness(
    library: LibrarySnapshot, settings: Settings, set_id: str, person_id: str | None
) -> Likeness:
    """How near a set comes to a person, by the library in force.

    Nothing is told before there is a library, or where it was computed with another recogniser.

    Args:
        library: as it is now.
        settings: `match`.
        set_id: which set.
        person_id: who it is said to be; None for somebody new.
    """
    references = library.table("person_references")
    if library.generation is None or not references.height:
        return Likeness()
    space = library.generation.space
    stores = library.stores
    settings = settings_of_library(stores, settings)
    template = templates_of_video(faces_in_space(stores, set_id, space), settings)[
        "track_templates"
    ].filter(pl.col("space") == space)
    if not template.height:
        return Likeness()
    known = _scores(gallery_of(references), template, subject_of(set_id))
    score = known.pop(person_id, None) if person_id else None
    thresholds = template_thresholds(library.table("calibration"), space, settings)
    exclude = thresholds.at("exclude")
    other = max(known, key=lambda p: (known[p], p), default=None)
    if other is None or known[other] < max(thresholds.at("suggest"), score or -1.0):
        return Likeness(score, exclude)
    return Likeness(score, exclude, library.called(other), known[other])


def _scores(gallery: Gallery, template: pl.DataFrame, own: str) -> dict[str, float]:
    """Of a template with each person who has a reference that is not made of itself."""
    scores = gallery.reference_scores(to_matrix(template["template"]), [own])
    best = gallery.person_scores(scores).max(axis=0).tolist()
    by_person = dict(zip(gallery.people, best, strict=True))
    return {person: score for person, score in by_person.items() if np.isfinite(score)}


def check(
    library: LibrarySnapshot,
    settings: Settings,
    photo_set: PhotoSet,
    person: Named,
    *,
    sure: bool = False,
) -> Likeness:
    """Whether a set may be decided to be a person, and whom it resembles.

    Args:
        library: as it is now.
        settings: `match`.
        photo_set: which set.
        person: who it is said to be.
        sure: it is them, however far it is.

    Raises:
        NotEnrolledError: none of its pictures can be used, or it is far from the person.
    """
    if not faces_used(library.stores.tables, photo_set.set_id):
        raise NotEnrolledError(
            f"none of the {len(photo_set.pictures)} pictures can be used, so nothing was decided; "
            "take some in which one face is large and sharp."
        )
    found = likeness(library, settings, photo_set.set_id, person.person_id)
    if found.is_far and not sure:
        nearer = f", and nearer to {found.other} ({found.other_score:.2f})" if found.other else ""
        raise NotEnrolledError(
            f"these pictures are far from {person.name}: their likeness is {found.score:.2f}, and "
            f"below {found.exclude:.2f} two are not one person{nearer}. Nothing was decided; look "
            "at the pictures, and add --sure where it is them."
        )
    return found


def decide(curator: Curator, photo_set: PhotoSet, person: Named) -> Planned:
    """Says in the ledger that a set is a person.

    Raises:
        LedgerError: it contradicts an earlier decision.
    """
    subjects = [subject_of(photo_set.set_id)]
    if person.person_id is None:
        return curator.name(person.name, subjects)
    return curator.confirm(person.person_id, subjects)


def sets_to_decide(
    library: LibrarySnapshot, taken: Registered, pictures: Iterable[Path], person: Named
) -> tuple[list[PhotoSet], list[str]]:
    """The sets that pictures are, the one that is new or was named first.

    A set is one decision, so one that is nobody's yet is decided only where all of it was named.

    Args:
        library: as it is now.
        taken: what became of the pictures.
        pictures: that were named.
        person: whose they are said to be.

    Returns:
        The sets, and of the others that some pictures are in a sentence each.
    """
    photos = library.stores.photos
    first = [taken.photo_set.set_id] if taken.photo_set is not None else []
    known = sorted({one.set_id for one in taken.not_taken if one.set_id is not None})
    named = {sha256_of_file(path) for path in pictures if path.is_file()}
    sets, told = [], []
    for photo_set in photos.readable(dict.fromkeys([*first, *known])):
        if why_not := _why_not(library, photo_set, named, person):
            told.append(why_not)
        else:
            sets.append(photo_set)
    return sets, told


def _why_not(
    library: LibrarySnapshot, photo_set: PhotoSet, named: set[str], person: Named
) -> str | None:
    """Why a set does not become this person's; None where it may, or is."""
    set_id, owner = photo_set.set_id, owner_of(library, photo_set.set_id)
    if owner is not None and owner != person.person_id:
        track = subject_of(set_id).removeprefix("track:")
        return (
            f"pictures of the set {set_id} were taken in for {library.called(owner)}; if all of it "
            f"shows {person.name}: identity-pipeline move {track} --to PERSON, or undo that "
            "decision (`identity-pipeline events` lists it)."
        )
    if owner is None and not {picture.sha256 for picture in photo_set.pictures} <= named:
        folder = shlex.quote(str(library.stores.layout.photo_set(set_id)))
        return (
            f"some pictures are in the set {set_id}, which was taken in as {photo_set.name!r} and "
            "is nobody's; it is decided as a whole, with all of its pictures: "
            f"identity-pipeline enrol {shlex.quote(person.name)} {folder}"
        )
    return None
