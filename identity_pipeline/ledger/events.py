"""What a person can decide, as typed events: one model a kind, told apart by `kind`.

Only what an event is, alone: whether it fits the events before it is for `working` and `replay`.
Nothing here reads a clock or makes an id.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from identity_pipeline.core.box import Box
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.storage.layout import check_video_id

Origin = Literal["human", "suggestion_accepted"]
"""Who proposed what a person confirmed: the person, or the system's suggestion."""
Fault = Literal["eyes", "mouth", "covered", "blurred", "light", "pose", "not_them", "other"]
"""What is wrong with a rejected picture; `not_them`: it shows somebody else."""
Scope = Literal["ride", "person"]
"""Whose sets an order is for: those of each ride, or those of each person over all rides."""
Answer = Literal["granted", "refused", "withdrawn", "unknown"]
"""What was said when somebody was asked for consent; `unknown` takes an earlier answer back."""
AGAINST: tuple[Answer, ...] = ("refused", "withdrawn")
"""The answers that say no."""
ConsentScope = Literal["profile", "export", "training"]
"""What consent is for: being known again over rides, sets of pictures, and learning from them."""
CONSENT_SCOPES: tuple[ConsentScope, ...] = ("profile", "export", "training")
Axis = Literal["yaw", "pitch", "expression", "occlusion", "lighting"]
BIN_WORDS: dict[Axis, tuple[str, ...]] = {
    "pitch": ("down", "slight-down", "neutral", "slight-up", "up", "beyond"),
    "expression": ("neutral", "smile", "mouth_open", "eyes_closed"),
    "occlusion": ("none", "partial", "heavy"),
    "lighting": ("dark", "normal", "overexposed"),
}
"""The words of each axis, as in the table `face_buckets`; yaw is an interval of degrees."""
YAW = re.compile(r"\[(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)[\])]", re.ASCII)
"""A bin of yaw: `[15,30)`."""


def _uuid(value: str) -> str:
    try:
        canonical = str(UUID(value))
    except ValueError:
        canonical = None
    if canonical != value:
        raise ValueError(f"{value!r} is no id; expected a UUID in lower case with dashes")
    return value


def _subject(value: str) -> str:
    ids.parse(value)
    return value


def utc(value: Any) -> str:
    """An instant as ISO 8601 in UTC, ending in `Z`.

    Raises:
        ValueError: it has no time zone, or is no instant.
    """
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value} has no time zone; give the time in UTC")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def clean_name(value: str) -> str:
    """A person's name in Unicode's composed form, with single spaces.

    Raises:
        ValueError: nothing is left, it is too long, or it holds control characters.
    """
    name = " ".join(unicodedata.normalize("NFC", value).split())
    if not name:
        raise ValueError("a name must not be empty")
    if len(name) > 200 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise ValueError("a name has at most 200 characters and no control characters")
    return name


@lru_cache(maxsize=1 << 16)
def name_key(name: str) -> str:
    """What makes two names the same: compatibility form, without case."""
    return unicodedata.normalize("NFKC", name).casefold()


def _bin(axis: Axis, word: str) -> str:
    known = BIN_WORDS.get(axis)
    if known is None:
        edges = YAW.fullmatch(word)
        if word != "beyond" and not (edges and float(edges[1]) < float(edges[2])):
            raise ValueError(f"{word!r} is no bin of yaw; expected one like [15,30), or beyond")
    elif word not in known:
        raise ValueError(f"{word!r} is no bin of {axis}; expected one of {', '.join(known)}")
    return word


def _bins(values: dict[Axis, str]) -> dict[Axis, str]:
    if not values:
        raise ValueError("no bin is given; say at least one of yaw, pitch, expression, ...")
    return {axis: _bin(axis, values[axis]) for axis in sorted(values)}


def _face(value: str) -> str:
    if ids.parse(value).kind != "face":
        raise ValueError(f"{value} is a track; a picture is one face of it")
    return value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a picture is named twice")
    return values


def _scopes(values: tuple[ConsentScope, ...]) -> tuple[ConsentScope, ...]:
    return tuple(scope for scope in CONSENT_SCOPES if scope in values)


def _date(value: str) -> str:
    return date.fromisoformat(value).isoformat()


def _video(value: str) -> str:
    return check_video_id(value)


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


Uuid = Annotated[str, AfterValidator(_uuid)]
SubjectId = Annotated[str, AfterValidator(_subject)]
Subjects = Annotated[tuple[SubjectId, ...], Field(min_length=1), AfterValidator(_sorted)]
FaceId = Annotated[SubjectId, AfterValidator(_face)]
Faces = Annotated[tuple[FaceId, ...], Field(min_length=1), AfterValidator(_sorted)]
FacesInOrder = Annotated[tuple[FaceId, ...], Field(min_length=1), AfterValidator(_each_once)]
Bins = Annotated[dict[Axis, str], AfterValidator(_bins)]
Name = Annotated[str, AfterValidator(clean_name)]
ConsentScopes = Annotated[tuple[ConsentScope, ...], Field(min_length=1), AfterValidator(_scopes)]
Date = Annotated[str, AfterValidator(_date)]
VideoId = Annotated[str, AfterValidator(_video)]
Utc = Annotated[str, BeforeValidator(utc)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Pixel = Annotated[Number, AfterValidator(lambda value: round(value, 2))]


class _Frozen(BaseModel):
    # Validators are built for the kinds that are met: a command meets a few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Anchor(_Frozen):
    """One face of a subject at the time of the decision: where to look for it again.

    Attributes:
        subject: the track or face that was decided on.
        frame_idx: frame of the face, in the source's decode order.
        box: `x1, y1, x2, y2` of the face in pixels of the source, kept to 0.01.
    """

    subject: SubjectId
    frame_idx: int = Field(ge=0)
    box: tuple[Pixel, Pixel, Pixel, Pixel]

    @property
    def video_id(self) -> str:
        """The video in which the face is seen."""
        return ids.parse(self.subject).video_id

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if Box(*self.box).area <= 0:
            raise ValueError(f"the box of {self.subject} is empty")
        return self


class _Event(_Frozen):
    """What all events have.

    Attributes:
        id: UUID of the event.
        seq: place in the ledger, from 1, without gaps.
        time: when it was decided, ISO 8601 in UTC.
        actor: who decided.
        reason: why, in their words; may be empty.
        anchors: one face of each subject that the event names, sorted by subject.
    """

    id: Uuid
    seq: int = Field(ge=1)
    time: Utc
    actor: str = Field(min_length=1)
    reason: str = ""
    anchors: tuple[Anchor, ...] = ()

    @property
    def named_subjects(self) -> tuple[str, ...]:
        """The subjects that the decision is about."""
        return tuple(getattr(self, "subjects", ()))

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        anchored = [anchor.subject for anchor in self.anchors]
        if anchored != sorted(set(anchored)):
            raise ValueError("anchors must be sorted by subject, one each")
        if missing := sorted(set(self.named_subjects) - set(anchored)):
            raise ValueError(f"no anchor for {', '.join(missing)}; give one face of each subject")
        if other := sorted(set(anchored) - set(self.named_subjects)):
            raise ValueError(f"anchors for {', '.join(other)}, which the event does not name")
        return self


class Created(_Event):
    """A new person, with a name, made of subjects that are nobody's yet.

    `same_name` says that another person bears the name and that this is meant.
    """

    kind: Literal["name"] = "name"
    person_id: Uuid
    name: Name
    subjects: Subjects
    same_name: bool = False


class Renamed(_Event):
    """Another name for a person."""

    kind: Literal["rename"] = "rename"
    person_id: Uuid
    name: Name
    same_name: bool = False


class Confirmed(_Event):
    """Subjects belong to a person (must-link)."""

    kind: Literal["confirm"] = "confirm"
    person_id: Uuid
    subjects: Subjects
    origin: Origin = "human"


class Rejected(_Event):
    """Subjects do not belong to a person: a cannot-link for ever; it also takes them off them."""

    kind: Literal["reject"] = "reject"
    person_id: Uuid
    subjects: Subjects


class SuggestionRejected(_Event):
    """A suggestion was declined: weaker than a rejection, it may come back on new evidence.

    Attributes:
        evidence: the suggestion's score at that time.
    """

    kind: Literal["suggestion_rejected"] = "suggestion_rejected"
    person_id: Uuid
    subjects: Subjects
    evidence: Number


class Merged(_Event):
    """A person is another one: everything of `person_id` becomes `into`'s."""

    kind: Literal["merge"] = "merge"
    person_id: Uuid
    into: Uuid


class Split(_Event):
    """Subjects of a person are another, new person; the two parts must never be one again."""

    kind: Literal["split"] = "split"
    person_id: Uuid
    subjects: Subjects
    new_person_id: Uuid
    new_name: Name | None = None
    same_name: bool = False


class Moved(_Event):
    """Subjects of a person belong to another one. It is no rejection of the first."""

    kind: Literal["move"] = "move"
    person_id: Uuid
    to: Uuid
    subjects: Subjects


class Hidden(_Event):
    """A person is not to be listed."""

    kind: Literal["hide"] = "hide"
    person_id: Uuid


class Unhidden(_Event):
    """A person is to be listed again."""

    kind: Literal["unhide"] = "unhide"
    person_id: Uuid


class NotAFace(_Event):
    """Subjects are no faces; it also takes them off their person."""

    kind: Literal["not_a_face"] = "not_a_face"
    subjects: Subjects


class Ignored(_Event):
    """Subjects are faces that nobody wants to know about; it also takes them off their person."""

    kind: Literal["ignore"] = "ignore"
    subjects: Subjects


class CoverSet(_Event):
    """The picture that stands for a person.

    Attributes:
        subjects: the one subject of the person that it shows.
        face_id: which of the subject's faces; None: its best one.
    """

    kind: Literal["set_cover"] = "set_cover"
    person_id: Uuid
    subjects: Annotated[Subjects, Field(max_length=1)]
    face_id: str | None = Field(default=None, pattern=r"^\d{6,}-\d+$")


class PictureAccepted(_Event):
    """Faces are good pictures: each is in its sets, unless a hard rule forbids it.

    Hard rules are those on who is shown; and nothing can be done with a face of which nothing was
    measured.
    """

    kind: Literal["picture_accept"] = "picture_accept"
    subjects: Faces


class PictureRejected(_Event):
    """Faces are bad pictures: in no set again, under whatever models and settings.

    Attributes:
        fault: what is wrong with them.
    """

    kind: Literal["picture_reject"] = "picture_reject"
    subjects: Faces
    fault: Fault


class PictureAnchored(_Event):
    """A face is the better anchor; it is accepted with that.

    Attributes:
        subjects: the one face.
        instead_of: the face that is no anchor while this one is, or None.
    """

    kind: Literal["picture_anchor"] = "picture_anchor"
    subjects: Annotated[Faces, Field(max_length=1)]
    instead_of: FaceId | None = None

    @property
    def named_subjects(self) -> tuple[str, ...]:
        """Both faces."""
        return self.subjects if self.instead_of is None else (*self.subjects, self.instead_of)

    @model_validator(mode="after")
    def _is_another(self) -> Self:
        if self.instead_of in self.subjects:
            raise ValueError("a picture cannot take its own place")
        return self


class PictureBinned(_Event):
    """Faces belong into other bins than were measured.

    Attributes:
        bins: the right bin of each axis that is said; of the others nothing is decided.
    """

    kind: Literal["picture_bins"] = "picture_bins"
    subjects: Faces
    bins: Bins


class PictureOrdered(_Event):
    """The order of faces in the sets that they are in.

    Attributes:
        subjects: the first first; not sorted.
        scope: whose sets.
    """

    kind: Literal["picture_order"] = "picture_order"
    subjects: FacesInOrder
    scope: Scope


class ConsentRecorded(_Event):
    """What somebody answered when asked for consent, or what their guardian did.

    It is about a person over all their rides, or about one visit: the riders of one video, or the
    one in a seat of it. The newest answer of a target and scope holds.

    Attributes:
        person_id: the person, or None.
        video_id: the ride, or the set of photographs, or None; one of the two is given.
        seat: the rider, counted from the left as in the table `riders`; None: all of the ride.
        answer: what they said.
        scopes: for what.
        until: the last day on which a grant holds; None: until it is withdrawn.
        minor: whether they are under age; None: not said.
        evidence: where the answer is on paper, such as the number of a ticket.
        by: who says so: the rider, a guardian, the ticketing of the park.
    """

    kind: Literal["consent"] = "consent"
    person_id: Uuid | None = None
    video_id: VideoId | None = None
    seat: int | None = Field(default=None, ge=0)
    answer: Answer
    scopes: ConsentScopes
    until: Date | None = None
    minor: bool | None = None
    evidence: str = ""
    by: str = ""

    @model_validator(mode="after")
    def _about_one(self) -> Self:
        if (self.person_id is None) == (self.video_id is None):
            raise ValueError("consent is either a person's or a ride's; name one of the two")
        if self.seat is not None and self.video_id is None:
            raise ValueError("a seat is of a ride; name the ride")
        if self.until is not None and self.answer != "granted":
            raise ValueError(f"{self.answer} has no last day; only a grant does")
        return self


class Forgotten(_Event):
    """People and rides that nothing may be known of any more. It can never be undone.

    Attributes:
        person_ids: the people, with all who were merged into them, sorted.
        videos: rides and sets of photographs that go as a whole, sorted.
        subjects: their tracks and faces as far as decisions name them, sorted; without anchors,
            for nobody is to find them again.
    """

    kind: Literal["forget"] = "forget"
    person_ids: Annotated[tuple[Uuid, ...], AfterValidator(_sorted)] = ()
    videos: Annotated[tuple[VideoId, ...], AfterValidator(_sorted)] = ()
    subjects: Annotated[tuple[SubjectId, ...], AfterValidator(_sorted)] = ()

    @property
    def named_subjects(self) -> tuple[str, ...]:
        """None: see `subjects`."""
        return ()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.person_ids or self.videos or self.subjects):
            raise ValueError("nobody and nothing is named to be forgotten")
        return self


class Undone(_Event):
    """An event is as if it had never been; undoing the undo brings it back."""

    kind: Literal["undo"] = "undo"
    event_id: Uuid


class Renumbered(_Event):
    """Not a decision: videos were processed anew, and their subjects have other names now.

    Attributes:
        renames: (old, new) subjects, sorted; subjects in neither list keep their names.
        not_found: subjects that no face of the new processing matches, sorted.
    """

    kind: Literal["renumber"] = "renumber"
    renames: tuple[tuple[SubjectId, SubjectId], ...] = ()
    not_found: tuple[SubjectId, ...] = ()

    @model_validator(mode="after")
    def _is_a_mapping(self) -> Self:
        old = [pair[0] for pair in self.renames]
        if old != sorted(set(old)) or list(self.not_found) != sorted(set(self.not_found)):
            raise ValueError("renames and subjects not found must be sorted, each subject once")
        if both := sorted(set(old) & set(self.not_found)):
            raise ValueError(f"{', '.join(both)} cannot be both found and not found")
        return self


Event = (
    Created
    | Renamed
    | Confirmed
    | Rejected
    | SuggestionRejected
    | Merged
    | Split
    | Moved
    | Hidden
    | Unhidden
    | NotAFace
    | Ignored
    | CoverSet
    | PictureAccepted
    | PictureRejected
    | PictureAnchored
    | PictureBinned
    | PictureOrdered
    | ConsentRecorded
    | Forgotten
    | Undone
    | Renumbered
)
_BY_KIND: dict[str, type[Event]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(Event)
}


def parse(fields: Mapping[str, Any]) -> Event:
    """An event of whatever kind, by its `kind`.

    Raises:
        ValidationError: it is none.
    """
    kind = fields.get("kind")
    known = _BY_KIND.get(kind) if isinstance(kind, str) else None
    return known.model_validate(fields) if known else _any_kind().validate_python(fields)


@lru_cache(maxsize=1)
def _any_kind() -> TypeAdapter[Event]:
    """Says which kinds there are where something is of none."""
    return TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def why_invalid(error: ValidationError) -> str:
    """One sentence about what is wrong with an event's fields."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place}: {text}." if place else f"{text[:1].upper()}{text[1:]}."
