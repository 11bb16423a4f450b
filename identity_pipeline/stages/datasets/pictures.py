"""What a consumer's layout is handed: people, and pictures of them that are cut and measured.

What belongs here: the types that selection, checks and layouts share. What does not: choosing
pictures (`core.datasets`), cutting them, or any consumer's format (`stages.datasets.layouts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.datasets.captions import instance_prompt
from identity_pipeline.core.geometry import Box

SourceKind = Literal["ride", "photos"]
Split = Literal["train", "validation"]


@dataclass(frozen=True)
class Person:
    """Somebody whose pictures are exported.

    Attributes:
        person_id: UUID.
        name: what people call them.
        slug: of the name; safe in file names, without dots, unique in a dataset.
        token: the word that stands for them in captions and prompts.
        class_word: what they are (`person`), which trainers put after the token.
    """

    person_id: str
    name: str
    slug: str
    token: str
    class_word: str


@dataclass(frozen=True)
class Source:
    """The ride or the set of photographs that a picture is of.

    Attributes:
        source_id: id of the video or of the photo set.
        kind: which of the two.
        sha256: of its content.
        date: ISO date when it was taken in; null where nothing tells.
        origin: who says that the person is in it: `human`, `suggestion_accepted` or `auto`.
        date_from: what tells the date: `container` or `exif`, which the recording itself holds,
            `file`, the time of the file, or `added`, when photographs were taken in; null where
            nothing does.
    """

    source_id: str
    kind: SourceKind
    sha256: str
    date: str | None
    origin: str
    date_from: str | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a person, as it is written.

    Attributes:
        key: stem of its files: the person's slug and its rank (`ada_001`); no dot, unique.
        person: whom it shows.
        source: what it is of.
        face_id: of the face, in its source.
        frame_idx: of the frame; of photographs their number in the set.
        timestamp_ms: in the ride; null of photographs.
        role: `anchor`, `coverage` or `challenge`.
        rank: place in the person's order, from 1, the best first.
        split: `train` or `validation`; all pictures of a source are in one.
        variant: which look of the person (`look_1`, ...); null where looks were not told apart.
        jpeg: its bytes.
        width, height: px.
        face: of the person, px of this picture.
        key_points: (5, 2) eyes, nose, corners of the mouth, px of this picture.
        measured: columns of the table `candidates` by name; null is unmeasured.
    """

    key: str
    person: Person
    source: Source
    face_id: str
    frame_idx: int
    timestamp_ms: float | None
    role: str
    rank: int
    split: Split
    variant: str | None
    jpeg: bytes
    width: int
    height: int
    face: Box
    key_points: NDArray[np.float32]
    measured: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a consumer can take; what its loader refuses or spoils is not written.

    Attributes:
        least, most: how many pictures of a person; no upper end where `most` is null.
        short_side_px: least short side of a picture.
        face_px: least longer side of the face in the picture.
        detect_at: input sides, px, at which the consumer looks for faces, one after the other until
            one shows a face; 0 is the native size. None: nobody looks, and no face is asked for.
        one_face: each picture must show exactly one face, the person's.
        yaw_max, pitch_max: degrees from frontal; null: any pose.
        frontal_share: at least this share of the pictures is within 15 degrees of frontal.
        one_look: only pictures of the look that the best one shows, for who averages them.
        portraits: so many calm frontal pictures come before all others, where there are such.
        eyes_open: none with closed eyes, for who draws what it is shown; unmeasured is no fault.
        splits: what it writes has a place for pictures that are held out for validation.
    """

    least: int = 1
    most: int | None = None
    short_side_px: int = 0
    face_px: int = 0
    detect_at: tuple[int, ...] = (640,)
    one_face: bool = True
    yaw_max: float | None = None
    pitch_max: float | None = None
    frontal_share: float = 0.0
    one_look: bool = False
    eyes_open: bool = False
    portraits: int = 0
    splits: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a picture is fit for a consumer.

    Attributes:
        key: of the picture.
        passed: whether it is written.
        code: stable reason why not; null when it passed.
        sentence: the same in words.
    """

    key: str
    passed: bool
    code: str | None = None
    sentence: str | None = None


class Rides(Protocol):
    """What rides and sets of photographs were measured to be, for layouts that show whole ones."""

    def table(self, source_id: str, asset: str) -> pl.DataFrame:
        """A table of a source.

        Raises:
            MissingTableError, DamagedTableError: it cannot be read.
        """
        ...

    def video(self, source_id: str) -> Path:
        """The file of a ride.

        Raises:
            IdentityPipelineError: it is not registered, or no longer there.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """What a layout writes: pictures that passed, person by person, the best first.

    Attributes:
        people: everybody in it, in the order they were asked for.
        pictures: of all of them.
        captions: by key, each one line; empty where none are wanted.
        size: longest side of a picture, px; null: as it was cut.
        repeats: how often a trainer shows each picture in an epoch.
        prompt: how a caption begins (setting `datasets.caption`): see `prompt_of`.
        fit: of a layout for several consumers, keys of the pictures that each can take.
        sources: all that were drawn on, also those of which no picture was chosen.
        rides: what was measured of them; null where nobody asks for it.
    """

    people: Sequence[Person]
    pictures: Sequence[Picture]
    captions: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    repeats: int = 1
    prompt: str = "photo of {token} {class_word}"
    fit: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sources: Sequence[Source] = ()
    rides: Rides | None = None

    def prompt_of(self, person: Person) -> str:
        """The one prompt that stands for all pictures of a person."""
        return instance_prompt(person.token, person.class_word, self.prompt)

    def caption_of(self, picture: Picture) -> str:
        """Its caption, or the person's prompt where captions are not wanted."""
        return self.captions.get(picture.key) or self.prompt_of(picture.person)

    def of(self, person: Person, part: str | None = None) -> list[Picture]:
        """The pictures of one person, the best first; of a part, those that are fit for it."""
        theirs = [picture for picture in self.pictures if picture.person == person]
        if part is None:
            return theirs
        return [picture for picture in theirs if picture.key in self.fit.get(part, ())]


class Layout(Protocol):
    """How one consumer wants its data.

    Attributes:
        name: what `--for` takes.
        sentence: what it is, for help texts.
        limits: what it can take.
    """

    name: str
    sentence: str
    limits: Limits

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes the consumer's folders and files into `root`, which is empty and private.

        `manifest.json`, `README.md` and `about/` there are not the layout's.

        Returns:
            The files of each picture by its key, relative to `root`, with `/`.
        """
        ...

    def usage(self, dataset: Dataset) -> str:
        """Markdown: how the consumer is pointed at what was written, with the command."""
        ...


@runtime_checkable
class HasParts(Protocol):
    """A layout for several consumers at once, each with limits of its own.

    A picture is handed to it where at least one of them can take it; `Dataset.fit` says which.

    Attributes:
        parts: limits by the name of the consumer.
    """

    parts: Mapping[str, Limits]


def parts_of(layout: Layout) -> Mapping[str, Limits]:
    """The limits of each consumer that a layout serves, by name."""
    return layout.parts if isinstance(layout, HasParts) else {layout.name: layout.limits}
